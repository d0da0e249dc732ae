"""The states of a breaker, and the rules that lead from one to the next.

The rules are those of resilience4j, whose recorded behaviour the tests replay, with one addition:
a breaker that trips by `fail_max` opens again at the first failed probe.
"""

from __future__ import annotations

import random
import time
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from breaker_asgi.window import Figures

if TYPE_CHECKING:
    from breaker_asgi.config import BreakerConfig
    from breaker_asgi.window import Record


class CircuitBreakerState(str, Enum):
    """Whether a breaker admits calls. Compares equal to its value, a string."""

    CLOSED = "closed"
    """Calls are admitted and watched."""
    OPEN = "open"
    """Calls are rejected until the open time has passed."""
    HALF_OPEN = "half_open"
    """A few calls, the probes, are admitted to find out whether to close or to open again."""
    FORCED_OPEN = "forced_open"
    """Calls are rejected until somebody changes the state."""
    DISABLED = "disabled"
    """Calls are admitted and not watched."""
    METRICS_ONLY = "metrics_only"
    """Calls are admitted and watched, and the breaker never trips."""

    @property
    def words(self) -> str:
        """The state as a person would say it: `half-open`, `forced open`."""
        return "half-open" if self is CircuitBreakerState.HALF_OPEN else self.value.replace("_", " ")


class Outcome(str, Enum):
    """What a call said about the health of what it called."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    """Nothing: cancelled, the client gone, rejected by another breaker."""


class Probes:
    """The permits of one half-open generation: so many, each lent for a limited time."""

    __slots__ = ("_free", "_lent", "_timeout")

    def __init__(self, calls: int, timeout: float) -> None:
        self._free = calls
        self._lent: dict[object, float] = {}
        self._timeout = timeout

    def lend(self, permit: object, now: float) -> bool:
        """Lend a permit, taking back the first one that was kept for too long."""
        if not self._free:
            holder, lent_at = next(iter(self._lent.items()), (None, now))
            if lent_at <= now <= lent_at + self._timeout:
                return False
            del self._lent[holder]
            self._free += 1
        self._free -= 1
        self._lent[permit] = now
        return True

    def end(self, permit: object, *, refund: bool) -> bool:
        """The probe has ended. False if its permit was taken back before."""
        lent = self._lent.pop(permit, None) is not None
        if lent and refund:
            self._free += 1
        return lent

    def next_due(self, now: float) -> float:
        """Seconds until a permit is free, if no probe ends before; 0 if one is free now."""
        if self._free:
            return 0.0
        return max(0.0, next(iter(self._lent.values()), now) + self._timeout - now)


class Generation:
    """One stay in one state. A permit belongs to the generation that gave it.

    `record` is what it sees, None where nothing is recorded; `seen` is what the one before saw.
    `since` and `until` are readings of the breaker's clock, `until_time` is `until` on the wall.
    """

    __slots__ = ("number", "probes", "reason", "record", "seen", "since", "state", "until", "until_time")

    def __init__(  # noqa: PLR0913
        self,
        number: int,
        state: CircuitBreakerState,
        reason: str,
        now: float,
        *,
        record: Record | None = None,
        probes: Probes | None = None,
        wait: float | None = None,
        seen: Figures = Figures(),
    ) -> None:
        self.number = number
        self.state = state
        self.reason = reason
        self.since = now
        self.record = record
        self.probes = probes
        self.seen = seen
        self.until = now if wait is None else now + wait
        self.until_time = 0.0 if wait is None else time.time() + wait


Change: TypeAlias = tuple[CircuitBreakerState, str]
"""The state to go to, and why."""


def due_change(state: CircuitBreakerState, config: BreakerConfig, record: Record) -> Change | None:
    """What has to change after a call was added to `record` in `state`."""
    if state is CircuitBreakerState.CLOSED:
        return _trip(config, record)
    if state is CircuitBreakerState.HALF_OPEN:
        return _verdict_of_probes(config, record)
    return None


def _trip(config: BreakerConfig, record: Record) -> Change | None:
    limit = config.streak_limit
    if limit is not None and record.streak >= limit:
        return CircuitBreakerState.OPEN, f"{record.streak} failures in a row"
    if config.rated and (exceeded := _rate_exceeded(config, record, config.least_calls)):
        return CircuitBreakerState.OPEN, exceeded
    return None


def _verdict_of_probes(config: BreakerConfig, record: Record) -> Change | None:
    if config.streak_limit is not None and record.failures:
        return CircuitBreakerState.OPEN, "a probe failed"
    if record.calls < config.probes_to_judge:
        return None
    if config.rated and (exceeded := _rate_exceeded(config, record, config.probes_to_judge)):
        return CircuitBreakerState.OPEN, f"of the probes: {exceeded}"
    return CircuitBreakerState.CLOSED, "the probes succeeded"


def _rate_exceeded(config: BreakerConfig, record: Record, least_calls: int) -> str | None:
    calls = record.calls
    if calls < least_calls:
        return None
    limit = config.failure_rate
    if limit is not None and record.failures / calls >= limit:
        return f"failure rate {record.failures / calls:.0%} of {calls} calls, limit {limit:.0%}"
    limit = config.slow_call_rate
    if limit is not None and record.slow_calls / calls >= limit:
        return f"slow-call rate {record.slow_calls / calls:.0%} of {calls} calls, limit {limit:.0%}"
    return None


def open_time(config: BreakerConfig, openings: int) -> float:
    """Seconds that the breaker stays open at the `openings`-th opening in a row."""
    try:
        wait = min(config.timeout * config.backoff ** (openings - 1), config.longest_timeout)
    except OverflowError:
        wait = config.longest_timeout
    return wait * (1 - config.jitter * random.random()) if config.jitter else wait  # noqa: S311
