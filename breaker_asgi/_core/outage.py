"""An outage: a time in which a breaker does not admit calls as usual."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

_STEP: Final = 0.5
"""Seconds by which the wall clock has to be set for moments to be read anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which a breaker does not admit calls as usual.

    It begins when the breaker opens, or is opened by hand, and goes on through half-open and failed
    probes. It ends when the breaker closes, with a ramp when it begins to close, or when an
    operator closes, resets or disables it, or sets it to metrics only. An opening while it is
    closing takes the end back.
    """

    began_at: datetime
    """When it began, in UTC."""
    ended_at: datetime | None
    """When it ended; None while it goes on."""
    reason: str
    """Why the breaker opened. Failed probes do not change it."""
    failure_type: str | None
    """Class of most of the failures that opened it, or what failed: "status 503"; None without."""
    by_hand: bool
    """True if an operator has begun it."""
    who: str | None
    """The operator who has begun it, if that was given."""
    calls: int
    """Calls in the window that opened the breaker."""
    failure_rate: float | None
    """Share of those that failed; None below `minimum_calls`, or if no rate is set."""
    slow_call_rate: float | None
    """Share of those that were slow; None likewise."""
    consecutive_failures: int
    """Failures in a row that it began with."""
    probes_failed: int
    """Openings after the first one, but for those by hand."""
    last_probe_at: datetime | None
    """When probing last began or failed."""
    rejected: int
    """Calls rejected in it so far; by all workers where a store adds them up."""


class Course(NamedTuple):
    """An outage as a breaker keeps it: moments are readings of the breaker's clock."""

    began: float
    offset: float
    """Added to a reading, it gave the wall clock's time when the outage began."""
    reason: str
    failure_type: str | None
    by_hand: bool
    who: str | None
    calls: int
    failure_rate: float | None
    slow_call_rate: float | None
    consecutive_failures: int
    counted: int
    """Calls that the breaker had rejected in all when it was in this outage by `rejected`."""
    rejected: int = 0
    probes_failed: int = 0
    probed: float | None = None
    ended: float | None = None

    def rejected_by(self, total: int) -> int:
        """Return the calls rejected in it, when the breaker has rejected `total` in all."""
        return self.rejected + (total - self.counted if self.ended is None else 0)

    def length(self, now: float) -> float:
        """Return its seconds so far, or from its begin to its end."""
        return max(0.0, (now if self.ended is None else self.ended) - self.began)

    def as_outage(self, now: float, total: int) -> Outage:
        """Return the outage, at the reading `now`, with `total` calls rejected by the breaker.

        Its moments are the same each time, unless one of the clocks was set.
        """
        drift = time.time() - now - self.offset
        offset = self.offset + round(drift / _STEP) * _STEP

        def moment(reading: float) -> datetime:
            return datetime.fromtimestamp(reading + offset, UTC)

        return Outage(
            began_at=moment(self.began),
            ended_at=None if self.ended is None else moment(self.ended),
            reason=self.reason,
            failure_type=self.failure_type,
            by_hand=self.by_hand,
            who=self.who,
            calls=self.calls,
            failure_rate=self.failure_rate,
            slow_call_rate=self.slow_call_rate,
            consecutive_failures=self.consecutive_failures,
            probes_failed=self.probes_failed,
            last_probe_at=None if self.probed is None else moment(self.probed),
            rejected=self.rejected_by(total),
        )


def course_of(outage: Outage, last: Course | None, now: float, counted: int) -> Course:
    """Return the store's outage as a breaker keeps it.

    A store has ages, so that its moments differ a little each time: those of `last` stay.
    """
    behind = now - time.time()

    def reading(moment: datetime, kept: float | None) -> float:
        then = moment.timestamp() + behind
        return then if kept is None or abs(then - kept) > _STEP else kept

    ended, probed = outage.ended_at, outage.last_probe_at
    return Course(
        began=reading(outage.began_at, last and last.began),
        offset=last.offset if last else -behind,
        reason=outage.reason,
        failure_type=outage.failure_type,
        by_hand=outage.by_hand,
        who=outage.who,
        calls=outage.calls,
        failure_rate=outage.failure_rate,
        slow_call_rate=outage.slow_call_rate,
        consecutive_failures=outage.consecutive_failures,
        counted=counted,
        rejected=outage.rejected,
        probes_failed=outage.probes_failed,
        probed=None if probed is None else reading(probed, last and last.probed),
        ended=None if ended is None else reading(ended, last and last.ended),
    )
