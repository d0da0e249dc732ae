"""A breaker as a row of the stream: its fields in order, rounded to what a page can show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from breaker_asgi.monitor.moments import outage_without_details
from breaker_asgi.monitor.reasons import without_limits

if TYPE_CHECKING:
    from collections.abc import Callable

Json: TypeAlias = dict[str, Any]
Values: TypeAlias = list[Any]

_LEAST_SHARE, _LEAST_DURATION = 0.01, 0.001
_TENTHS_BELOW, _WHOLE_BELOW = 10, 10_000


def share(value: float) -> float:
    """Round a share to whole percents; one below 1 % to half of it."""
    if 0 < value < _LEAST_SHARE:
        return _LEAST_SHARE / 2
    return _short(math.floor(value * 100 + 0.5) / 100)


def duration(value: float) -> float:
    """Round seconds to milliseconds, from a second on to tenths; below 1 ms to half of it."""
    if 0 < value < _LEAST_DURATION:
        return _LEAST_DURATION / 2
    return _short(round(value, 3 if value < 1 else 1))


def count(value: float) -> int:
    """Round a count to three digits, from ten thousand on."""
    whole = round(value)
    return whole if whole < _WHOLE_BELOW else round(whole, 3 - len(str(whole)))


def rate(value: float) -> float:
    """Round a rate to tenths below ten, and else as a count."""
    return _short(round(value, 1)) if value < _TENTHS_BELOW else count(value)


def _short(value: float) -> float:
    return int(value) if value == int(value) else value


_OF_AN_OUTAGE: dict[str, Callable[[float], float]] = {
    "failure_rate": share,
    "slow_call_rate": share,
    "rejected": count,
    "rejected_per_second": rate,
}


def outage(value: Json) -> Json:
    """Round the figures of an outage."""
    rounded = {name: round_(value[name]) for name, round_ in _OF_AN_OUTAGE.items() if value[name]}
    return {**value, **rounded}


_FIELDS: dict[str, Callable[[Any], Any] | None] = {
    "name": None,
    "state": None,
    "reason": None,
    "changed_at": None,
    "retry_after": None,
    "admitted_share": share,
    "states": None,
    "alone": None,
    "outage": outage,
    "failure_rate": share,
    "slow_call_rate": share,
    "consecutive_failures": count,
    "limits": None,
    "calls_per_second": rate,
    "failing_share": share,
    "rejected_per_second": rate,
    "rejected_share": share,
    "p50": duration,
    "p95": duration,
    "p99": duration,
    "calls_under_way": count,
    "slow_calls_under_way": count,
    "role": None,
    "owner": None,
    "runbook": None,
    "description": None,
}
"""The fields of a row, and the function that rounds each."""

FIELDS = [*_FIELDS]
NAME, STATE, REASON = map(FIELDS.index, ("name", "state", "reason"))
CHANGED_AT = FIELDS.index("changed_at")
RETRY_AFTER, OUTAGE, LIMITS = map(FIELDS.index, ("retry_after", "outage", "limits"))

_PLAN = [*_FIELDS.items()]


def values_of(content: Json) -> Values:
    """Return the values of a listed breaker's row; a field that it does not have is None."""
    values = []
    for name, round_ in _PLAN:
        value = content.get(name)
        values.append(value if value is None or round_ is None else round_(value))
    return values


def without_details(values: Values) -> Values:
    """Return a row without what only readers of details may see."""
    outage = values[OUTAGE]
    masked = values.copy()
    masked[LIMITS] = None
    masked[REASON] = without_limits(values[REASON])
    masked[OUTAGE] = outage and outage_without_details(outage)
    return masked


def difference(before: Values, values: Values) -> list[Any]:
    """Return the index and the value of each field that differs; of an outage what has changed."""
    pairs: list[Any] = []
    for index, (old, new) in enumerate(zip(before, values, strict=True)):
        if old != new:
            pairs += (index, _patch(old, new) if index == OUTAGE and old and new else new)
    return pairs


def _patch(old: Json, new: Json) -> Json:
    return {name: value for name, value in new.items() if old.get(name) != value}
