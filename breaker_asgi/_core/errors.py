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
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from breaker_asgi._core.state import OPEN, CircuitBreakerState


class RejectionDetails(NamedTuple):
    """Details shared by all rejections of one generation."""

    name: str
    state: CircuitBreakerState
    reason: str
    until: float
    """When it admits again, by the breaker's clock."""
    until_time: float
    """The same moment in Unix time."""


def _are_details(value: object) -> bool:
    """Return True for terms, and for what JSON has made of them: Celery's backend does."""
    return isinstance(value, list | tuple) and len(value) == len(RejectionDetails._fields)


class CircuitBreakerError(Exception):
    """A breaker rejected the call; what it guards was not called.

    Only rejected calls raise it: the call that trips a breaker raises its own exception. Breakers
    make it, of plain values: it can be pickled, and keeps no breaker and no frame alive. It works
    its figures out when it is asked for them, because rejecting has to be cheap. One that is made
    by hand, as tests do, is of a breaker without a name that admits calls at once.
    """

    @property
    def name(self) -> str:
        """The name of the breaker that rejected the call."""
        return self._terms.name

    @property
    def state(self) -> CircuitBreakerState:
        """The breaker's state when it rejected the call."""
        return self._terms.state

    @property
    def reason(self) -> str:
        """Why the breaker last opened."""
        return self._terms.reason

    @property
    def retry_after(self) -> float:
        """Seconds, counted from the rejection, until asking again makes sense.

        Open: the time left until the first probe. Half-open: one second, or less where a probe's
        permit runs out sooner. Closing: one second. Forced open without an end: `timeout_duration`,
        or 60 s without one.
        """
        terms, now = self._details_and_time
        return max(0.0, terms.until - now)

    @property
    def reopen_time(self) -> datetime:
        """The moment that `retry_after` leads to, in UTC."""
        return datetime.fromtimestamp(self._terms.until_time, UTC)

    @property
    def time_remaining(self) -> timedelta:
        """Remainder of `retry_after` by the wall clock; never negative, never more than that."""
        left = self._terms.until_time - time.time()
        return timedelta(seconds=min(max(left, 0.0), self.retry_after))

    @property
    def message(self) -> str:
        """The text of the error."""
        return str(self)

    async def sleep_until_open(self) -> None:
        """Sleep, under asyncio, for `time_remaining`."""
        await asyncio.sleep(self.time_remaining.total_seconds())

    def __str__(self) -> str:
        if not self._is_of_a_breaker:
            return super().__str__()
        wait = f"{self.retry_after:.3g} s"
        return f"breaker {self.name!r} is {self.state.words} ({self.reason}); retry in {wait}"

    @property
    def _is_of_a_breaker(self) -> bool:
        return bool(self.args) and _are_details(self.args[0])

    @property
    def _details_and_time(self) -> tuple[RejectionDetails, float]:
        """The terms, and the reading of the breaker's clock at the rejection."""
        if self._is_of_a_breaker:
            (name, state, *rest), now = self.args
            return RejectionDetails(name, CircuitBreakerState(state), *rest), now
        return RejectionDetails("unnamed", OPEN, str(self), 0.0, time.time()), 0.0

    @property
    def _terms(self) -> RejectionDetails:
        return self._details_and_time[0]


class BreakerConfigError(ValueError):
    """A setting that is wrong, or that could never have an effect beside the others.

    The message names the setting, the value that was given, what is allowed and how to mend it.
    """


class BreakerConfigWarning(UserWarning):
    """A setting that is allowed, but would make the breaker useless where it was not meant."""
