"""The summary of a list: states, rates of all calls, and the likely cause of what is open."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from breaker_asgi._core.state import CircuitBreakerState
from breaker_asgi._fleet.figures import NO_MORE
from breaker_asgi._fleet.published_outage import outage_of
from breaker_asgi.monitor.rates import Rates, rates_of, sum_of
from breaker_asgi.monitor.scope import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from breaker_asgi._core.outage import Outage
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.history import History
    from breaker_asgi.monitor.scope import Scope
    from breaker_asgi.registry import BreakerRegistry

_STATES = [state.value for state in CircuitBreakerState]
_AT_ONCE = 60.0
"""Seconds within which a dependency's outage is the cause of a route's that began before."""


class Suspect(NamedTuple):
    """A running outage that no operator has begun."""

    began: float
    name: str
    is_of_route: bool


def summary(
    breakers: Mapping[str, CircuitBreaker | Elsewhere],
    scope: Scope,
    history: History,
    registry: BreakerRegistry,
) -> dict[str, Any]:
    """Return the summary of all breakers of a scope, by the names that they are listed by."""
    rates = sum_of(_rates(scope, history))
    return {
        **count_states(breakers.values(), scope),
        "calls_per_second": rates.calls,
        "rejected_per_second": rates.rejected,
        "failing_share": rates.failing_share,
        "workers": scope.workers,
        "likely_cause": likely_cause([*_suspects(breakers, scope, registry)]),
    }


def count_states(breakers: Iterable[CircuitBreaker | Elsewhere], scope: Scope) -> dict[str, int]:
    """Count the breakers in each state."""
    states = Counter(map(scope.state, breakers))
    return {"total": states.total(), **{state: states[state] for state in _STATES}}


def _rates(scope: Scope, history: History) -> Iterator[Rates]:
    if scope.has_own:
        yield rates_of(history)
    for worker in scope.others:
        for name, figures in worker.breakers.items():
            more = worker.more.get(name, NO_MORE)
            rates = Rates(
                more.ok_per_second,
                more.failed_per_second,
                more.slow_per_second,
                more.rejected_per_second,
            )
            yield rates._replace(ignored=max(0.0, figures.calls_per_second - rates.calls))


def _suspects(
    breakers: Mapping[str, CircuitBreaker | Elsewhere], scope: Scope, registry: BreakerRegistry
) -> Iterator[Suspect]:
    for label, breaker in breakers.items():
        is_of_route = not isinstance(breaker, Elsewhere) and breaker in registry._of_routes
        for outage in _outages(breaker, scope):
            if outage.ended_at is None and not outage.by_hand:
                yield Suspect(outage.began_at.timestamp(), label, is_of_route)


def _outages(breaker: CircuitBreaker | Elsewhere, scope: Scope) -> Iterator[Outage]:
    has_own = scope.has_own and not isinstance(breaker, Elsewhere)
    if has_own and not isinstance(breaker, Elsewhere):
        course = breaker._generation.transition.outage
        if course is not None and course.ended is None:
            yield course.as_outage(breaker.config.clock(), breaker.rejected)
    for worker, figures in scope.elsewhere(breaker):
        outage = worker.more.get(figures.name, NO_MORE).outage
        if outage is not None and (figures.alone or not has_own):
            yield outage_of(outage, worker.age)


def likely_cause(suspects: list[Suspect]) -> str | None:
    """Return the breaker whose outage began first; a dependency goes before its route."""
    if not suspects:
        return None
    first = min(suspects)
    dependencies = [suspect for suspect in suspects if not suspect.is_of_route]
    other = min(dependencies, default=None)
    since = math.inf if other is None else other.began - first.began
    return other.name if other is not None and since <= _AT_ONCE else first.name
