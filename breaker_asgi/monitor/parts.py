"""A breaker's figures in one worker, and their sum over several."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from breaker_asgi._core.outages import rates as judged_rates
from breaker_asgi._core.state import CLOSED, METRICS_ONLY
from breaker_asgi._core.windows import NO_COUNTS, WindowCounts
from breaker_asgi._fleet.figures import NO_MORE, MoreFigures, sum_of_known
from breaker_asgi._fleet.published_outage import outage_of
from breaker_asgi.monitor.moments import outage_json, seconds_ago
from breaker_asgi.monitor.publication import Extra, read
from breaker_asgi.monitor.rates import NO_CALLS, Rates, figures_of, sum_of
from breaker_asgi.monitor.scope import worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breaker_asgi._fleet.figures import WorkerFigures
    from breaker_asgi._fleet.link import Link
    from breaker_asgi._fleet.roster import Worker
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.percentiles import Timed

Json: TypeAlias = dict[str, Any]

_FRESH = 10.0
"""Seconds for which the store's counts are state."""
_SUMMED = ("successes", "failures", "ignored", "rejected", "excluded", "slow_calls")
_UNDER_WAY = ("calls_under_way", "slow_calls_under_way")
_OF_THE_CHANGE = (
    "state",
    "reason",
    "changed_at",
    "generation",
    "admitted_share",
    "retry_after",
    "outage",
)
"""Fields that are the same in all workers of a fleet."""
_OF_THE_STATE = (
    *_OF_THE_CHANGE,
    "alone",
    "calls",
    "failure_rate",
    "slow_call_rate",
    "consecutive_failures",
)
"""Fields that belong together: they are of a worker that has the worst state."""
_OF_THE_LAST_FAILURE = ("last_failure_type", "last_failure_at", "last_failure_message")


class Part(NamedTuple):
    """A breaker in one worker: as JSON of the list, and what sums need besides."""

    content: Json
    rates: Rates = NO_CALLS
    timed: Timed = []  # noqa: RUF012 (it is not changed)
    window: WindowCounts = NO_COUNTS


def published(worker: Worker, figures: WorkerFigures) -> Part:
    """Return what another worker has published of a breaker; what it has not is null."""
    more, extra = worker.more.get(figures.name, NO_MORE), extra_of(worker, figures.name)
    rates = Rates(
        more.ok_per_second,
        more.failed_per_second,
        more.slow_per_second,
        more.rejected_per_second,
    )
    ignored = max(0.0, figures.calls_per_second - rates.calls)
    if ignored > 0.1:  # noqa: PLR2004 (the rates are rounded)
        rates = rates._replace(ignored=ignored)
    counts = (more.calls, more.window_failures, more.window_slow_calls, more.consecutive_failures)
    content = _content(figures, more, worker.age) | figures_of(rates, extra.timed)
    return Part(content, rates, extra.timed, WindowCounts(*counts))


def following(part: Part, change: Json) -> Part:
    """Return a part with a later change of the fleet, which the worker has not published yet."""
    if part.content["alone"]:
        return part
    return part._replace(content=part.content | {field: change[field] for field in _OF_THE_CHANGE})


def extra_of(worker: Worker, name: str) -> Extra:
    """Return the additions of another worker's monitor."""
    return read(worker.extras.get(name))


def _content(figures: WorkerFigures, more: MoreFigures, age: float) -> Json:
    running = None if more.outage is None else outage_of(more.outage, age)
    outage = outage_json(running, more.rejected_per_second, details=True)
    return {
        "name": figures.name,
        "state": figures.state,
        "reason": more.reason,
        "changed_at": seconds_ago(_later(more.changed_ago, age)),
        "generation": None,
        "admitted_share": None,
        "retry_after": None if more.retry_after is None else max(0.0, more.retry_after - age),
        "outage": outage,
        "calls": more.calls,
        "failure_rate": more.failure_rate,
        "slow_call_rate": more.slow_call_rate,
        "consecutive_failures": more.consecutive_failures,
        "successes": figures.successes,
        "failures": figures.failures,
        "ignored": more.ignored,
        "rejected": figures.rejected,
        "excluded": more.excluded,
        "slow_calls": figures.slow_calls,
        "calls_under_way": figures.calls_under_way,
        "slow_calls_under_way": figures.slow_calls_under_way,
        "last_failure_type": more.last_failure_type,
        "last_failure_at": seconds_ago(_later(more.last_failure_ago, age)),
        "last_failure_message": None,
        "alone": figures.alone,
    }


def _later(ago: float | None, age: float) -> float | None:
    return None if ago is None else ago + age


def merged_parts(
    parts: Sequence[Part], states: Sequence[str], breaker: CircuitBreaker | None
) -> Json:
    """Return the sum of a breaker's figures in several workers, of which `states` are the states.

    The first part is that of this worker, if it has one.
    """
    state, first = worst(states), parts[0].content
    base = parts[states.index(state)].content
    content: Json = first | {field: base[field] for field in _OF_THE_STATE} | {"state": state}
    if len(parts) > 1:
        content |= _sums(parts)
        if breaker is not None and base is first:
            content |= _counts_of_all(breaker, parts)
    content["states"] = dict(Counter(states))
    if (outage := content["outage"]) is not None:
        goes_on = outage["ended_at"] is None
        rate = content["rejected_per_second"] if goes_on else None
        content["outage"] = outage | {"rejected_per_second": rate}
    return content


def _sums(parts: Sequence[Part]) -> Json:
    """Return what does not depend on the state, of all parts."""
    rates = sum_of(part.rates for part in parts)
    latest = max(parts, key=lambda part: part.content["last_failure_at"] or "").content
    return {
        **{field: sum(part.content[field] for part in parts) for field in _SUMMED},
        **{field: sum_of_known(part.content[field] for part in parts) for field in _UNDER_WAY},
        **figures_of(rates, [timed for part in parts for timed in part.timed]),
        **{field: latest[field] for field in _OF_THE_LAST_FAILURE},
    }


def _counts_of_all(breaker: CircuitBreaker, parts: Sequence[Part]) -> Json:
    """Return the counts that the rules look at: the store's, or the sum of the workers' windows."""
    state = breaker.state
    if state not in {CLOSED, METRICS_ONLY}:
        return {}
    link: Link | None = breaker._fleet  # type: ignore[assignment] # the fleet's only coordinator
    record = None if link is None else link.record_within(_FRESH)
    if record is not None:
        calls, failures, slow_calls = record.counts
        counts = WindowCounts(calls, min(failures, calls), min(slow_calls, calls), record.streak)
    else:
        windows = [part.window for part in parts]
        calls, failures, slow_calls, _ = map(sum, zip(*windows, strict=True))
        counts = WindowCounts(calls, failures, slow_calls, max(part.streak for part in windows))
    failure_rate, slow_call_rate = judged_rates(breaker.config, counts, state)
    return {
        "calls": counts.calls,
        "failure_rate": failure_rate,
        "slow_call_rate": slow_call_rate,
        "consecutive_failures": counts.streak,
    }


def summed_types(every: Sequence[dict[str, int]]) -> dict[str, int]:
    """Return failures by type in all workers, the most frequent first."""
    total: Counter[str] = Counter()
    for types in every:
        total.update(types)
    return dict(sorted(total.items(), key=lambda pair: -pair[1]))


def merged_hints(every: Sequence[list[dict[str, str]]]) -> list[Json]:
    """Return the hints of all workers: one for each setting, with the workers that have it."""
    by_setting: dict[str, Json] = {}
    for hints in every:
        for hint in hints:
            kept = by_setting.setdefault(hint["setting"], {**hint, "workers": 0})
            kept["workers"] += 1
    return [*by_setting.values()]
