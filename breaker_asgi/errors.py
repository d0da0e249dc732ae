"""The exceptions of the package.

Exception
├── CircuitBreakerError         a call was rejected: the breaker did not admit it
└── ValueError
    └── BreakerConfigError      a setting is wrong; raised where it is given

UserWarning
└── BreakerConfigWarning        a setting is allowed, but probably not what was meant
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breaker_asgi.state import CircuitBreakerState


class CircuitBreakerError(Exception):
    """A breaker rejected the call; what it guards was not called.

    Only rejected calls raise it: the call that trips a breaker raises its own exception. Breakers
    make it, with plain values, so it can be pickled and keeps no breaker and no frame alive.
    Building its message is left to whoever reads it: rejecting has to be cheap.
    """

    args: tuple[str, CircuitBreakerState, str, float, float]

    @property
    def name(self) -> str:
        """The name of the breaker that rejected the call."""
        return self.args[0]

    @property
    def state(self) -> CircuitBreakerState:
        """The breaker's state when it rejected the call."""
        return self.args[1]

    @property
    def reason(self) -> str:
        """Why the breaker last left the closed state."""
        return self.args[2]

    @property
    def retry_after(self) -> float:
        """Seconds, counted from the rejection, until asking again makes sense.

        Open: the time left until the first probe. Half-open: one second, or less where a probe's
        permit runs out sooner. Forced open, where no end is known: the breaker's `timeout_duration`.
        """
        return self.args[3]

    @property
    def reopen_time(self) -> datetime:
        """The moment that `retry_after` leads to, in UTC."""
        return datetime.fromtimestamp(self.args[4], timezone.utc)

    @property
    def time_remaining(self) -> timedelta:
        """What is left of `retry_after` by the wall clock; never negative, never more than that."""
        return timedelta(seconds=min(max(self.args[4] - time.time(), 0.0), self.retry_after))

    @property
    def message(self) -> str:
        """The text of the error."""
        return str(self)

    async def sleep_until_open(self) -> None:
        """Sleep, under asyncio, for as long as `time_remaining` says."""
        await asyncio.sleep(self.time_remaining.total_seconds())

    def __str__(self) -> str:
        name, state, reason, retry_after, _ = self.args
        return f"breaker {name!r} is {state.words} ({reason}); retry in {retry_after:.3g} s"


class BreakerConfigError(ValueError):
    """A setting that is wrong, or that could never have an effect beside the others.

    The message names the setting, the value that was given, what is allowed and how to mend it.
    """


class BreakerConfigWarning(UserWarning):
    """A setting that is allowed, but would make the breaker useless where it was not meant."""
