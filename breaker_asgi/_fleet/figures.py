"""Figures of a breaker in one worker, as they are published for display, and read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from breaker_asgi._core.snapshot import count_under_way, take_snapshot
from breaker_asgi._core.state import WORST_FIRST, CircuitBreakerState
from breaker_asgi._fleet.published_outage import (
    LONGEST,
    ago,
    number,
    outage_as_json,
    read_outage,
    without_ages,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from breaker_asgi.breaker import CircuitBreaker

_TOTALS = 4
"""Totals in the figures of a breaker, which calls under way follow."""


class WorkerFigures(NamedTuple):
    """One breaker in one worker; calls are counted from the worker's start."""

    name: str
    state: str
    alone: bool
    calls_per_second: float
    successes: int
    failures: int
    slow_calls: int
    rejected: int
    calls_under_way: int | None
    """None where no breaker of the name measures durations."""
    slow_calls_under_way: int | None


class MoreFigures(NamedTuple):
    """Further figures of it, which earlier versions neither publish nor read.

    The rates are of the seconds before they were published.
    """

    ignored: int = 0
    excluded: int = 0
    ok_per_second: float = 0.0
    failed_per_second: float = 0.0
    slow_per_second: float = 0.0
    rejected_per_second: float = 0.0
    reason: str = "new"
    changed_ago: float | None = None
    retry_after: float | None = None
    calls: int = 0
    """Calls in the window of this worker."""
    window_failures: int = 0
    window_slow_calls: int = 0
    failure_rate: float | None = None
    slow_call_rate: float | None = None
    consecutive_failures: int = 0
    last_failure_type: str | None = None
    last_failure_ago: float | None = None
    outage: Mapping[str, Any] | None = None
    """The running outage, if there is one."""

    def without_ages(self) -> MoreFigures:
        """Return the figures that time alone does not change."""
        return self._replace(
            changed_ago=None,
            retry_after=None,
            last_failure_ago=None,
            outage=without_ages(self.outage),
        )


NO_MORE = MoreFigures()


class Totals(NamedTuple):
    """Calls since the start that have ended. A slow success is not counted in `ok`."""

    ok: int = 0
    failed: int = 0
    slow: int = 0
    rejected: int = 0
    ignored: int = 0

    def since(self, before: Totals) -> Totals:
        """Return the calls after `before`."""
        return Totals(*(max(0, new - old) for new, old in zip(self, before, strict=True)))

    @property
    def all(self) -> int:
        """The number of all calls."""
        return sum(self)


NO_TOTALS = Totals()


def totals_of(breakers: Iterable[CircuitBreaker]) -> Totals:
    """Return the totals of all breakers of a name."""
    totals = NO_TOTALS
    for breaker in breakers:
        slow = max(0, min(breaker.slow_calls - breaker._unended_slow_calls, breaker.successes))
        ok = breaker.successes - slow
        ended = (ok, breaker.failures, slow, breaker.rejected, breaker.ignored)
        totals = Totals(*map(sum, zip(totals, ended, strict=True)))
    return totals


def published_totals(figures: WorkerFigures) -> Totals:
    """Return the totals that another worker has published, as far as they are in all versions."""
    slow = min(figures.slow_calls, figures.successes)
    return Totals(figures.successes - slow, figures.failures, slow, figures.rejected)


def worst_of(breakers: Iterable[CircuitBreaker]) -> CircuitBreaker:
    """Return the breaker in the worst state."""
    return min(breakers, key=lambda breaker: WORST_FIRST.index(breaker.state))


def figures_of(breakers: list[CircuitBreaker], rate: float) -> WorkerFigures:
    """Return the figures of a name: the calls of all its breakers, and the worst one's state."""
    worst = worst_of(breakers)
    return WorkerFigures(
        worst.name,
        worst.state.value,
        worst._fleet is not None and worst._fleet.alone,
        round(rate, 1),
        sum(breaker.successes for breaker in breakers),
        sum(breaker.failures for breaker in breakers),
        sum(breaker.slow_calls for breaker in breakers),
        sum(breaker.rejected for breaker in breakers),
        *_under_way(breakers),
    )


def more_of(breakers: list[CircuitBreaker], new: Totals, seconds: float) -> MoreFigures:
    """Return the further figures of a name, with `new` calls in the last seconds."""
    worst = worst_of(breakers)
    snapshot = take_snapshot(worst, messages=False)
    counts = worst._generation.counts(worst.config.clock())
    ok, failed, slow, rejected, _ = (round(calls / seconds, 2) for calls in new)
    return MoreFigures(
        sum(breaker.ignored for breaker in breakers),
        sum(breaker.excluded for breaker in breakers),
        ok,
        failed,
        slow,
        rejected,
        snapshot.reason[:LONGEST],
        ago(snapshot.changed_at),
        snapshot.retry_after and round(snapshot.retry_after, 1),
        snapshot.calls,
        counts.failures,
        counts.slow_calls,
        snapshot.failure_rate and round(snapshot.failure_rate, 4),
        snapshot.slow_call_rate and round(snapshot.slow_call_rate, 4),
        snapshot.consecutive_failures,
        snapshot.last_failure_type and snapshot.last_failure_type[:LONGEST],
        None if snapshot.last_failure_at is None else ago(snapshot.last_failure_at),
        outage_as_json(snapshot.outage),
    )


def _under_way(breakers: list[CircuitBreaker]) -> tuple[int | None, int | None]:
    """Return the calls under way of all breakers of a name, and the slow ones of them."""
    counts = [count_under_way(breaker, breaker.config.clock()) for breaker in breakers]
    calls, slow_calls = zip(*counts, strict=True)
    return sum_of_known(calls), sum_of_known(slow_calls)


def sum_of_known(counts: Iterable[int | None]) -> int | None:
    """Return the sum of the counts that are known; None if none is."""
    numbers = [count for count in counts if count is not None]
    return sum(numbers) if numbers else None


# As JSON


def as_json(more: MoreFigures) -> dict[str, Any]:
    """Return further figures as JSON, without those that are as in `NO_MORE`."""
    return {
        field: value
        for field, value, usual in zip(more._fields, more, NO_MORE, strict=True)
        if value != usual
    }


def read_figures(name: str, state: str, alone: Any, rate: float, *counts: Any) -> WorkerFigures:
    """Check the figures of another worker. Raises `ValueError` and others if they are wrong."""
    under_way = counts[_TOTALS:] or (None, None)  # without them by an earlier version
    successes, failures, slow_calls, rejected = map(_count, counts[:_TOTALS])
    calls_under_way, slow_calls_under_way = under_way
    if not isinstance(name, str):
        raise TypeError(name)
    return WorkerFigures(
        name,
        CircuitBreakerState(state).value,
        bool(alone),
        number(rate),
        successes,
        failures,
        slow_calls,
        rejected,
        None if calls_under_way is None else _count(calls_under_way),
        None if slow_calls_under_way is None else _count(slow_calls_under_way),
    )


def read_more(content: Mapping[str, Any]) -> MoreFigures:
    """Check further figures of another worker, whose version may have others besides."""
    fields: dict[str, Any] = {
        field: None if content[field] is None else check(content[field])
        for field, check in _CHECKS.items()
        if field in content
    }
    return NO_MORE._replace(**fields)


def _count(count: Any) -> int:
    return max(0, int(count))


def _share(share: Any) -> float:
    return min(number(share), 1.0)


def _text(text: Any) -> str:
    return str(text)[:LONGEST]


_CHECKS: dict[str, Callable[[Any], object]] = {
    "ignored": _count,
    "excluded": _count,
    "ok_per_second": number,
    "failed_per_second": number,
    "slow_per_second": number,
    "rejected_per_second": number,
    "reason": _text,
    "changed_ago": number,
    "retry_after": number,
    "calls": _count,
    "window_failures": _count,
    "window_slow_calls": _count,
    "failure_rate": _share,
    "slow_call_rate": _share,
    "consecutive_failures": _count,
    "last_failure_type": _text,
    "last_failure_ago": number,
    "outage": read_outage,
}
