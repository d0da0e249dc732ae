"""A snapshot of a breaker, for status pages."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from breaker_asgi._core.counters import name_of
from breaker_asgi._core.outage import Outage
from breaker_asgi._core.outages import rates
from breaker_asgi._core.state import FORCED_OPEN, OPEN, CircuitBreakerState

if TYPE_CHECKING:
    from breaker_asgi._core.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSnapshot:
    """A breaker as it stood at one moment."""

    name: str
    state: CircuitBreakerState
    reason: str
    """Why the breaker went to this state."""
    changed_at: datetime
    """When it did, in UTC."""
    generation: int
    """Number of changes of the breaker, a reset included."""
    admitted_share: float | None
    """Share of the calls that are admitted while it is closing; None in the other states."""
    retry_after: float | None
    """Seconds until it admits a call again: 0 if it does now, None if that is unknown."""

    outage: Outage | None
    """The outage that goes on, or the last one that has ended; None if there was none."""

    calls: int
    """Calls in the window; while open, in the window with which the outage began."""
    failure_rate: float | None
    """Share of those that failed; None below `minimum_calls`, or if no rate is set."""
    slow_call_rate: float | None
    """Share of those that were slow; None likewise."""
    consecutive_failures: int

    successes: int
    """Calls since the start that succeeded, those with an excluded exception included."""
    failures: int
    ignored: int
    rejected: int
    excluded: int
    """Successes that raised an exception named by `exclude`."""
    slow_calls: int
    """Calls since the start that took longer than `slow_call_duration`, or do so now."""
    calls_under_way: int | None
    """Calls that have been admitted and have not ended; None without a `slow_call_duration`."""
    slow_calls_under_way: int | None
    """Calls under way that have been running for longer than that; None likewise."""

    last_failure_type: str | None
    """The class of the exception; without one what failed: "status 503"."""
    last_failure_at: datetime | None
    last_failure_message: str | None
    """None unless the breaker's `keep_messages` is set and the snapshot was asked for messages."""


def count_under_way(engine: "Engine", now: float) -> tuple[int | None, int | None]:
    """Return the calls under way, and the slow ones of them; None without their durations."""
    if engine._under_way is None:
        return None, None
    calls, slow_calls = engine._under_way.counts(now)
    probes = engine._generation.probes
    if probes is None:
        return calls, slow_calls
    more, slow = probes.under_way(now, engine.config.slow_after)
    return calls + more, slow_calls + slow


def take_snapshot(engine: "Engine", *, messages: bool) -> BreakerSnapshot:
    config = engine.config
    generation, fleet = engine._generation, engine._fleet
    number = None if fleet is None else fleet.number_of(generation)
    now = config.clock()
    today = datetime.now(UTC)

    def moment(then: float) -> datetime:
        return today - timedelta(seconds=now - then)

    course = generation.transition.outage
    outage = course and course.as_outage(now, engine.rejected)
    counts = generation.counts(now)
    calls, streak = counts.calls, counts.streak
    failure_rate, slow_call_rate = rates(config, counts, generation.state)
    if generation.state in {OPEN, FORCED_OPEN} and course is not None:
        calls, streak = course.calls, course.consecutive_failures
        failure_rate, slow_call_rate = course.failure_rate, course.slow_call_rate
    calls_under_way, slow_calls_under_way = count_under_way(engine, now)
    return BreakerSnapshot(
        name=engine.name,
        state=generation.state,
        reason=generation.reason,
        changed_at=moment(generation.since),
        generation=generation.number if number is None else number,
        admitted_share=generation.admitted_share(now),
        retry_after=generation.wait(now),
        outage=outage,
        calls=calls,
        failure_rate=failure_rate,
        slow_call_rate=slow_call_rate,
        consecutive_failures=streak,
        successes=engine.successes,
        failures=engine.failures,
        ignored=engine.ignored,
        rejected=engine.rejected,
        excluded=engine.excluded,
        slow_calls=engine.slow_calls,
        calls_under_way=calls_under_way,
        slow_calls_under_way=slow_calls_under_way,
        last_failure_type=name_of(engine._failed_by),
        last_failure_at=None if engine._failed_at is None else moment(engine._failed_at),
        last_failure_message=engine._failed_saying if messages else None,
    )
