"""Rates of a breaker over the last ten whole seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi.monitor.history import RATED
from breaker_asgi.monitor.percentiles import Timed, percentile, weighed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.history import History, RecentRates


class Rates(NamedTuple):
    """Calls per second, by their outcomes. A slow success is not counted in `ok`."""

    ok: float = 0.0
    failed: float = 0.0
    slow: float = 0.0
    rejected: float = 0.0
    ignored: float = 0.0

    @property
    def calls(self) -> float:
        """Calls per second, rejected ones included."""
        return math.fsum(self)

    @property
    def failing_share(self) -> float | None:
        """The share of judged calls that failed; None without any."""
        judged = self.ok + self.failed + self.slow
        return self.failed / judged if judged else None

    @property
    def rejected_share(self) -> float | None:
        """The share of all calls that were turned away; None without any."""
        return self.rejected / self.calls if self.calls else None


NO_CALLS = Rates()


def sum_of(rates: Iterable[Rates]) -> Rates:
    """Return the sum of several rates."""
    return Rates(*map(math.fsum, zip(NO_CALLS, *rates, strict=True)))


def rates_of(history: History, breaker: CircuitBreaker | None = None) -> Rates:
    """Return the rates of a breaker in this worker; of all breakers together without one."""
    since = history.now() - RATED
    seconds = history.all_seconds() if breaker is None else history.seconds(breaker)
    recent = [second for second in seconds if second.at >= since]
    if not recent:
        return NO_CALLS
    outcomes = zip(*(second[1:6] for second in recent), strict=True)
    return Rates(*(sum(calls) / RATED for calls in outcomes))


def timed_of_last_minute(history: History, breaker: CircuitBreaker) -> Timed:
    """Return the calls of this worker that were timed in the last minute."""
    seconds = history.seconds(breaker)
    durations = [duration for second in seconds for duration in second.times]
    return weighed(durations, sum(second.calls - second.rejected for second in seconds))


def figures_of(rates: Rates, timed: Timed) -> RecentRates:
    """Return the rates and percentiles of a listed breaker."""
    return {
        "calls_per_second": rates.calls,
        "rejected_per_second": rates.rejected,
        "failing_share": rates.failing_share,
        "rejected_share": rates.rejected_share,
        "p50": percentile(timed, 0.5),
        "p95": percentile(timed, 0.95),
        "p99": percentile(timed, 0.99),
    }
