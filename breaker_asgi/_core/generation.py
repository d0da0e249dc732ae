"""One stay in one state, and the rules that lead to the next.

The rules are those of resilience4j, whose recorded behaviour the tests replay, with one addition:
a breaker that trips by `fail_max` opens again at the first failed probe.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple, Protocol

from breaker_asgi._core.outcome import IGNORED, Outcome
from breaker_asgi._core.state import CLOSED, FORCED_OPEN, HALF_OPEN, OPEN, CircuitBreakerState
from breaker_asgi._core.windows import NOTHING_SEEN

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.errors import Terms
    from breaker_asgi._core.permit import Permit
    from breaker_asgi._core.windows import Figures, Record


class Probes:
    """The permits of one half-open generation: so many, each lent for a limited time.

    It keeps no permit alive: one that nobody holds any more comes back.
    """

    __slots__ = ("_free", "_lent", "_timeout")

    def __init__(self, config: BreakerConfig) -> None:
        self._free = config.half_open_calls
        self._lent: dict[int, float] = {}
        """When each was lent, by the permit's id."""
        self._timeout = config.probe_timeout

    def lend(self, permit: Permit, now: float) -> bool:
        """Lend a permit, taking back the first one that was kept for too long."""
        if not self._free:
            holder = next(iter(self._lent), None)
            if holder is None or self._lent[holder] <= now <= self._lent[holder] + self._timeout:
                return False
            del self._lent[holder]
            self._free += 1
        self._free -= 1
        self._lent[id(permit)] = now
        return True

    def holds(self, permit: Permit) -> bool:
        """Return True if a permit is lent still, and was not taken back."""
        return id(permit) in self._lent

    def end(self, permit: Permit, outcome: Outcome) -> bool:
        """End a probe. Return False if its permit was taken back before."""
        lent = self._lent.pop(id(permit), None) is not None
        if lent and outcome is IGNORED:
            self._free += 1
        return lent

    def next_due(self, now: float) -> float:
        """Return the seconds until a permit is free, if no probe ends before; 0 if one is now."""
        if self._free:
            return 0.0
        return max(0.0, next(iter(self._lent.values()), now) + self._timeout - now)


class Transition(NamedTuple):
    """A change of state: to which, and why."""

    state: CircuitBreakerState
    reason: str
    lasts: float | None = None
    """Seconds that the state lasts; an open one its open time, unless another is given."""
    by_hand: bool = False
    who: str | None = None
    age: float = 0.0
    """Seconds since it happened, somewhere else."""
    openings: int | None = None
    """Openings in a row, this one included: counted here, or by somebody else."""
    elsewhere: bool = False
    """Whether it was made in another worker, and is followed here."""
    alone: bool = False
    """Whether it is for this worker only: too few others have seen what it saw."""
    by_failures: bool = False
    """True where failures have opened the breaker, of which the last one tells what fails."""


class Generation:
    """One stay in one state. A permit belongs to the generation that gave it.

    `record` is what it sees, None where nothing is recorded; `seen` is what the one before saw.
    `since` is a reading of the breaker's clock. `terms` is what an open one tells its callers.
    """

    __slots__ = (
        "number",
        "probes",
        "record",
        "seen",
        "since",
        "state",
        "terms",
        "transition",
        "until",
    )

    def __init__(
        self,
        number: int,
        transition: Transition,
        now: float,
        *,
        record: Record | None = None,
        probes: Probes | None = None,
        terms: Terms | None = None,
        seen: Figures = NOTHING_SEEN,
    ) -> None:
        self.number = number
        self.transition = transition
        self.state = transition.state  # what every admission looks at
        self.since = now - transition.age
        self.record = record
        self.probes = probes
        self.seen = seen
        self.terms = terms
        self.until = self.since + (transition.lasts or 0.0) if terms is None else terms.until

    @property
    def reason(self) -> str:
        return self.transition.reason

    def has_ended(self, now: float) -> bool:
        """Whether its time is over, or the clock was set back before its beginning."""
        return not self.since <= now <= self.until

    def wait(self, now: float) -> float | None:
        """Seconds until a call may be admitted: 0 if it may now, None if nobody can tell."""
        if self.state is FORCED_OPEN and self.transition.lasts is None:
            return None
        if self.probes is not None:
            return self.probes.next_due(now)
        rejects = self.state in {OPEN, FORCED_OPEN} and not self.has_ended(now)
        return self.until - now if rejects else 0.0


class Evidence(Protocol):
    """Evidence that the rules look at: a record, or what a fleet has seen together."""

    @property
    def streak(self) -> int: ...

    @property
    def calls(self) -> int: ...

    @property
    def failures(self) -> int: ...

    @property
    def slow_calls(self) -> int: ...


def due_change(
    state: CircuitBreakerState, config: BreakerConfig, record: Evidence
) -> Transition | None:
    """Return the change that is due after a call was added to `record` in `state`."""
    limit = config.streak_limit
    if state is CLOSED:
        if limit is not None and record.streak >= limit:
            return Transition(OPEN, f"{record.streak} failures in a row", by_failures=True)
        if config.rated and record.calls >= config.least_calls:
            return _rate_exceeded(config, record)
    elif state is HALF_OPEN:
        if limit is not None and record.failures:
            return Transition(OPEN, "a probe failed", by_failures=True)
        if record.calls >= config.probes_to_judge:
            rate = _rate_exceeded(config, record)
            return rate or Transition(CLOSED, "the probes succeeded")
    return None


def _rate_exceeded(config: BreakerConfig, record: Evidence) -> Transition | None:
    limit = config.failure_rate
    if limit is not None and (rate := record.failures / record.calls) >= limit:
        reason = f"failure rate {rate:.0%} of {record.calls} calls, limit {limit:.0%}"
        return Transition(OPEN, reason, by_failures=True)
    limit = config.slow_call_rate
    if limit is not None and (rate := record.slow_calls / record.calls) >= limit:
        reason = f"slow-call rate {rate:.0%} of {record.calls} calls, limit {limit:.0%}"
        return Transition(OPEN, reason)
    return None


def open_time(config: BreakerConfig, openings: int) -> float:
    """Seconds that the breaker stays open at the `openings`-th opening in a row."""
    try:
        wait = min(config.timeout * config.backoff ** (openings - 1), config.longest_timeout)
    except OverflowError:
        wait = config.longest_timeout
    return wait * (1 - config.jitter * random.random()) if config.jitter else wait  # noqa: S311
