"""The course of outages: which change begins one, and what becomes of it."""

from __future__ import annotations

import time
from collections import Counter, deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from breaker_asgi._core.counters import name_of
from breaker_asgi._core.outage import Course
from breaker_asgi._core.state import (
    CLOSED,
    CLOSING,
    DISABLED,
    HALF_OPEN,
    METRICS_ONLY,
    CircuitBreakerState,
)
from breaker_asgi._core.windows import NO_COUNTS

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.counters import Counters
    from breaker_asgi._core.generation import Generation, Transition
    from breaker_asgi._core.windows import WindowCounts

_ENDS: Final = {CLOSED, CLOSING, DISABLED, METRICS_ONLY}


def course_after(
    breaker: Counters, before: Generation, change: Transition, counts: WindowCounts, now: float
) -> Course | None:
    """Return the breaker's latest outage after a change; None if there was none so far.

    `counts` are those of the window that the breaker leaves. An outage that the fleet knows better
    comes with the change.
    """
    last, at = before.transition.outage, now - change.age
    if change.outage is not None:
        return change.outage
    if last is not None and last.ended is None:
        rejected = last.rejected_by(breaker.rejected)
        last = last._replace(rejected=rejected, counted=breaker.rejected)
    if change.state in _ENDS:
        is_on = last is not None and last.ended is None
        return last._replace(ended=max(at, last.began)) if last and is_on else last
    if last is not None and (last.ended is None or before.state is CLOSING):
        return _go_on(last, breaker.rejected, before, change, at)
    begins_one = change.state is not HALF_OPEN or (change.remote and change.openings > 0)
    return _begin(breaker, before, change, counts, now) if begins_one else last


def _go_on(
    course: Course, rejected: int, before: Generation, change: Transition, at: float
) -> Course:
    """Return an outage that goes on, or goes on again after its end: a ramp rejects calls too."""
    at = max(at, course.began)
    failed = 0 if change.by_hand else max(0, change.openings - before.transition.openings)
    course = course._replace(ended=None)
    return course._replace(
        rejected=course.rejected_by(rejected),
        counted=rejected,
        probes_failed=course.probes_failed + failed,
        probed=at if failed or change.state is HALF_OPEN else course.probed,
    )


def _begin(
    breaker: Counters, before: Generation, change: Transition, counts: WindowCounts, now: float
) -> Course:
    """Return an outage that begins. In another worker it may have begun before: there it is known.

    That a worker probes, with openings in a row, is the only mark of an outage for one that starts.
    """
    at = now - change.age
    counts = NO_COUNTS if before.record is None else counts  # a disabled breaker has no window
    failure_rate, slow_call_rate = rates(breaker.config, counts, before.state)
    return Course(
        began=at,
        offset=time.time() - now,
        reason=change.reason,
        failure_type=None if change.by_hand else _dominating(breaker._failed_lately, counts),
        by_hand=change.by_hand,
        who=change.who,
        calls=counts.calls,
        failure_rate=failure_rate,
        slow_call_rate=slow_call_rate,
        consecutive_failures=counts.streak,
        counted=breaker.rejected,
        probes_failed=0 if change.by_hand else max(0, change.openings - 1),
        probed=at if change.state is HALF_OPEN else None,
    )


def rates(
    config: BreakerConfig, counts: WindowCounts, state: CircuitBreakerState
) -> tuple[float | None, float | None]:
    """Return the shares of failures and slow calls; None below the calls that are judged."""
    least = config.probes_to_judge if state is HALF_OPEN else config.effective_minimum_calls
    if not config.rated or counts.calls < least:
        return None, None
    slow = counts.slow_calls / counts.calls if config.measures_duration else None
    return counts.failures / counts.calls, slow


def _dominating(kinds: deque[type | str] | None, counts: WindowCounts) -> str | None:
    """Return the name of most of the latest failures, as many as a window has counted.

    Of those that are equally many it is the latest.
    """
    failures = max(counts.failures, counts.streak)
    copied = list(kinds or ())  # calls of other threads add to it meanwhile
    latest = Counter(islice(reversed(copied), failures)).most_common(1)
    return name_of(latest[0][0]) if latest else None
