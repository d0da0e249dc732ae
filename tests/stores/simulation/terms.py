"""The constants of a world, its kinds of breakers, and the exception of a violated rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi import CountWindow, TimeWindow
from breaker_asgi.stores.protocol import NO_CALLS, Counts

if TYPE_CHECKING:
    from breaker_asgi import CircuitBreaker

OPEN_TIME = 5.0
LEASE = 4.0
TERM = 2 * LEASE
"""Seconds that a lease lasts if it is kept for a rare call."""
ALIKE = 1.5
"""Seconds after which all agree: a report, and a fetch."""
SAME = 1.0
"""Seconds by which two ends of one state may differ, besides the delay of a reply."""
SKEW = 0.01
"""The largest share by which a worker's clock is too fast or too slow."""
EPOCH = 1000.0
"""The store's clock when the world begins."""
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
    """A violated rule; not an `Exception`, so that no fleet takes it for a fault of the store."""


def hold(holds: object, *details: object) -> None:
    if not holds:
        raise Violation(*details)


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
    """Return the counts of a breaker since its start, calls that are slow already included."""
    under_way, failures = breaker._under_way, breaker.failures
    running = 0 if under_way is None else under_way.counted
    return Counts(breaker.successes + failures + running, failures, breaker.slow_calls)
