"""What a world is made of: its figures, its kinds of breakers, and how it says that it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi import CountWindow, TimeWindow
from breaker_asgi.stores.protocol import NO_CALLS, Counts

if TYPE_CHECKING:
    from breaker_asgi import CircuitBreaker

OPEN_TIME = 5.0
LEASE = 4.0
TERM = 2 * LEASE
"""So long a lease lasts that is kept for a rare call."""
ALIKE = 1.5
"""Seconds after which all agree: a report, and a look at the store."""
SAME = 1.0
"""Seconds by which two ends of one state may differ, besides those that an answer is late."""
SKEW = 0.01
"""The share by which a worker's clock goes faster or slower at most."""
EPOCH = 1000.0
"""What the store's clock says when the world begins."""
KINDS: dict[str, dict[str, Any]] = {
    "streak": {"fail_max": 3, "half_open_calls": 2},
    "single": {"fail_max": 2, "half_open_calls": 1, "backoff": 1.1},
    "rate": {"failure_rate": 0.5, "minimum_calls": 4, "window": TimeWindow(600)},
    "count": {"failure_rate": 0.5, "window": CountWindow(6), "half_open_calls": 3},
    "slow": {
        "slow_call_rate": 0.5,
        "slow_call_duration": 0.5,
        "window": TimeWindow(8),
        "minimum_calls": 4,
        "half_open_calls": 2,
    },
}
LEGAL = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
BY_HAND = {"forced_open", "disabled", "metrics_only"}


class Violation(BaseException):
    """Something that must hold does not; no engine takes it for a fault of the store."""


def hold(holds: object, *what: object) -> None:
    if not holds:
        raise Violation(*what)


def most(name: str) -> int:
    """Probes that a breaker admits in one half-open episode."""
    calls: int = KINDS[name].get("half_open_calls", 1)
    return calls


def add(one: Counts, other: Counts) -> Counts:
    if one is NO_CALLS:
        return other
    return Counts(one[0] + other[0], one[1] + other[1], one[2] + other[2])


def less(one: Counts, other: Counts) -> Counts:
    return Counts(one[0] - other[0], one[1] - other[1], one[2] - other[2])


def at_most(one: Counts, other: Counts) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one[2] <= other[2]


def totals(breaker: CircuitBreaker) -> Counts:
    return Counts(breaker.successes + breaker.failures, breaker.failures, breaker.slow_calls)
