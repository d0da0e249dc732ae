"""Log records of state changes.

That a breaker opens, or is taken out of service by hand, is a WARNING. The way back is INFO, and
so are the failed probes of an outage that goes on, and what another worker has changed.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.logs import log, logger, one_line
from breaker_asgi._core.state import CLOSED, FORCED_OPEN, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.outage import Course

_MINUTE, _HOUR = 60, 3_600


def log_change(
    name: str,
    config: BreakerConfig,
    before: Generation,
    after: Generation,
    number: int | None = None,
) -> None:
    """Log a change of state, with the fleet's number of it where there is one."""
    level = _level(after)
    if logger.isEnabledFor(level):
        log(
            level,
            "breaker %r: %s -> %s%s (%s%s)%s",
            name,
            before.state.words,
            after.state.words,
            _how_long(after),
            one_line(after.reason),
            _by_whom(after),
            _cost(before, after),
            fields=_fields(name, config, before, after, number),
        )


def is_first_opening(generation: Generation) -> bool:
    """Return True if an outage begins: a breaker has opened by itself that was not open before."""
    change = generation.transition
    by_itself = not (change.by_hand or change.remote)
    return change.state is OPEN and change.openings == 1 and by_itself


def _level(after: Generation) -> int:
    change = after.transition
    by_hand_here = change.by_hand and not change.remote
    takes_out = by_hand_here and change.state not in {CLOSED, HALF_OPEN}
    return logging.WARNING if takes_out or is_first_opening(after) else logging.INFO


def _fields(
    name: str,
    config: BreakerConfig,
    before: Generation,
    after: Generation,
    number: int | None,
) -> dict[str, Any]:
    """Return the `extra` of a record: plain values, the same keys in every one."""
    change, counts = after.transition, after.previous_counts
    rated = config.rated and counts.calls > 0
    slow_rated = rated and config.measures_duration
    return {
        "breaker": name,
        "state_from": before.state.value,
        "state_to": after.state.value,
        "reason": after.reason,
        "open_for": _seconds_left(after) if after.state in {OPEN, FORCED_OPEN} else None,
        "calls": counts.calls,
        "failures": counts.failures,
        "slow_calls": counts.slow_calls,
        "failure_rate": counts.failures / counts.calls if rated else None,
        "slow_call_rate": counts.slow_calls / counts.calls if slow_rated else None,
        "consecutive_failures": counts.streak,
        **_outage_fields(before, after),
        "changed_by": change.who,
        "elsewhere": change.remote,
        "alone": change.local_only,
        "generation": after.number if number is None else number,
    }


def _outage_of(before: Generation, after: Generation) -> Course | None:
    """Return the outage that a change belongs to: one that goes on, or that it has ended."""
    last, course = before.transition.outage, after.transition.outage
    was_over = last is None or last.ended is not None
    return None if course is None or (course.ended is not None and was_over) else course


def _outage_fields(before: Generation, after: Generation) -> dict[str, Any]:
    course = _outage_of(before, after)
    if course is None:
        names = ("outage_began_at", "outage_seconds", "probes_failed", "rejected", "failure_type")
        return dict.fromkeys(names)
    began_at = datetime.fromtimestamp(course.began + course.offset, UTC)
    return {
        "outage_began_at": began_at.isoformat(timespec="milliseconds"),
        "outage_seconds": round(course.length(after.since), 3),
        "probes_failed": course.probes_failed,
        "rejected": course.rejected,
        "failure_type": course.failure_type,
    }


def _cost(before: Generation, after: Generation) -> str:
    """Return the length and the cost of an outage that a change ends."""
    course = _outage_of(before, after)
    if course is None or course.ended is None:
        return ""
    failed, rejected = course.probes_failed, course.rejected
    probes = f", {failed:,} {'probe' if failed == 1 else 'probes'} failed" if failed else ""
    calls = f", {rejected:,} {'call' if rejected == 1 else 'calls'} rejected" if rejected else ""
    return f" after {_words_for(course.length(after.since))}{probes}{calls}"


def _words_for(seconds: float) -> str:
    """Return a length in its two largest units."""
    if seconds < _MINUTE:
        return f"{seconds:.2g} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE // 1:.0f} s"
    return f"{seconds // _HOUR:,.0f} h {seconds % _HOUR // _MINUTE:.0f} min"


def _seconds_left(after: Generation) -> float | None:
    lasts = after.transition.lasts
    return None if lasts is None else round(max(0.0, lasts - after.transition.age), 3)


def _how_long(after: Generation) -> str:
    left = _seconds_left(after)
    return "" if left is None else f" for {left:g} s"


def _by_whom(after: Generation) -> str:
    change = after.transition
    by = "" if change.who is None else f"; by {one_line(change.who)}"
    if change.remote:
        return f"{by}; in another worker"
    return f"{by}; in this worker only" if change.local_only else by
