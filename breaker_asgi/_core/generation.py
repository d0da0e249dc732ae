"""One stay in one state, and the change that began it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi._core.state import FORCED_OPEN, OPEN, CircuitBreakerState
from breaker_asgi._core.windows import NO_COUNTS, counts_of

if TYPE_CHECKING:
    from breaker_asgi._core.errors import RejectionDetails
    from breaker_asgi._core.outage import Course
    from breaker_asgi._core.probes import Probes
    from breaker_asgi._core.ramp import Ramp
    from breaker_asgi._core.windows import WindowCounts, WindowRecord


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
    openings: int = 0
    """Openings in a row, this one included. 0 if they are to be counted here."""
    remote: bool = False
    """True if it was made in another worker, and is followed here."""
    local_only: bool = False
    """True if it is for this worker only: too few others have counted the same failures."""
    by_failures: bool = False
    """True where failures have opened the breaker: its reason then names the last one."""
    outage: Course | None = None
    """The breaker's latest outage after it. None if it is to be derived here, or if there was none.
    """


class Generation:
    """One stay in one state. A permit belongs to the generation that gave it.

    `record` has its calls, None where nothing is recorded; `previous_counts` are those of the one
    before. `since` is a reading of the breaker's clock. `terms` are the details of rejections.
    """

    __slots__ = (
        "number",
        "previous_counts",
        "probes",
        "ramp",
        "record",
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
        record: WindowRecord | None = None,
        probes: Probes | None = None,
        ramp: Ramp | None = None,
        terms: RejectionDetails | None = None,
        previous_counts: WindowCounts = NO_COUNTS,
    ) -> None:
        self.number = number
        self.transition = transition
        self.state = transition.state  # what every admission looks at
        self.since = now - transition.age
        self.record = record
        self.probes = probes
        self.ramp = ramp
        self.previous_counts = previous_counts
        self.terms = terms
        self.until = self.since  # one float, not two: most breakers only ever have this generation
        if terms is not None:
            self.until = terms.until
        elif transition.lasts is not None:
            self.until = self.since + transition.lasts

    @property
    def reason(self) -> str:
        return self.transition.reason

    def counts(self, now: float) -> WindowCounts:
        """Return the counts of its record, or of the generation before where it has none."""
        return self.previous_counts if self.record is None else counts_of(self.record, now)

    def admitted_share(self, now: float) -> float | None:
        """Return the share of the calls that are admitted at `now` while it is closing."""
        return None if self.ramp is None else self.ramp.share(now - self.since)

    def has_ended(self, now: float) -> bool:
        """Return True if its time is over, or the clock was set back before its beginning."""
        return not self.since <= now <= self.until

    def wait(self, now: float) -> float | None:
        """Return the seconds until a call may be admitted: 0 for now, None if that is unknown."""
        if self.state is FORCED_OPEN and self.transition.lasts is None:
            return None
        if self.probes is not None:
            return self.probes.next_due(now)
        rejects = self.state in {OPEN, FORCED_OPEN} and not self.has_ended(now)
        return self.until - now if rejects else 0.0
