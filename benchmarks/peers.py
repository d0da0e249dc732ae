"""Other libraries, each set to trip as late as ours: by 100 failures with no success between.

They are imported when they are used: one that is not installed is missing from the tables only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any

from benchmarks.guards import LIMIT, OPEN_SECONDS, Function, Guard, by_breaker

DISTRIBUTIONS = (
    "aiobreaker",
    "circuitbreaker",
    "fluxgate",
    "interlock-cb",
    "purgatory",
    "pybreaker",
    "pyresilience",
)


def aiobreaker() -> Callable[[], Any]:
    """Trips by failures in a row."""
    breaker = import_module("aiobreaker").CircuitBreaker
    return partial(breaker, fail_max=LIMIT, timeout_duration=timedelta(seconds=OPEN_SECONDS))


def circuitbreaker() -> Callable[[], Any]:
    """Trips by failures in a row."""
    breaker = import_module("circuitbreaker").CircuitBreaker
    return partial(breaker, failure_threshold=LIMIT, recovery_timeout=OPEN_SECONDS, name="peer")


def fluxgate(
    window: str = "CountWindow", size: int = LIMIT, kind: str = "AsyncCircuitBreaker"
) -> Callable[[], Any]:
    """Trips by a failure rate."""
    breaker = getattr(import_module("fluxgate"), kind)
    window_type = getattr(import_module("fluxgate.windows"), window)
    trippers = import_module("fluxgate.trippers")
    tripper = trippers.MinRequests(min(LIMIT, size)) & trippers.FailureRate(1.0)
    retry = import_module("fluxgate.retries").Cooldown(OPEN_SECONDS)
    return lambda: breaker(window=window_type(size), tripper=tripper, retry=retry)


def wrap_by_fluxgate(function: Function) -> Function:
    kind = "AsyncCircuitBreaker" if inspect.iscoroutinefunction(function) else "CircuitBreaker"
    guarded: Function = fluxgate(kind=kind)()(function)
    return guarded


def interlock(window: str = "COUNT_BASED", size: int = LIMIT) -> Callable[[], Any]:
    """Trips by a failure rate."""
    module = import_module("interlock")
    config = module.Config(
        failure_rate_threshold=1.0,
        minimum_number_of_calls=min(LIMIT, size),
        wait_duration_in_open=OPEN_SECONDS,
        window_type=module.WindowType[window],
        window_size=size,
    )
    return partial(module.CircuitBreaker, name="peer", config=config)


def purgatory(kind: str = "SyncCircuitBreakerFactory") -> Any:
    """Trips by failures in a row. Its factory keeps the breakers."""
    factory = getattr(import_module("purgatory"), kind)
    return factory(default_threshold=LIMIT, default_ttl=OPEN_SECONDS)


def wrap_by_purgatory(function: Function) -> Function:
    asynchronous = inspect.iscoroutinefunction(function)
    factory = purgatory(f"{'Async' if asynchronous else 'Sync'}CircuitBreakerFactory")
    guarded: Function = factory("peer")(function)
    return guarded


def purgatory_breakers() -> Callable[[], Any]:
    factory, numbers = purgatory(), count()
    return lambda: factory.get_breaker(f"peer {next(numbers)}")


def pybreaker() -> Callable[[], Any]:
    """Trips by failures in a row. Async functions need tornado, or nothing is guarded."""
    breaker = import_module("pybreaker").CircuitBreaker
    return partial(breaker, fail_max=LIMIT, reset_timeout=OPEN_SECONDS)


def pyresilience_config(size: int) -> Any:
    """Trips by failures in a row, or by the failure rate of a window."""
    return import_module("pyresilience").CircuitBreakerConfig(
        failure_threshold=LIMIT,
        recovery_timeout=OPEN_SECONDS,
        sliding_window_size=size,
        failure_rate_threshold=1.0,
    )


def pyresilience(size: int = 0) -> Callable[[Function], Function]:
    resilient = import_module("pyresilience").resilient
    decorator: Callable[[Function], Function] = resilient(circuit_breaker=pyresilience_config(size))
    return decorator


def wrap_by_pyresilience(function: Function, size: int = 0) -> Function:
    return pyresilience(size)(function)


def pyresilience_breakers(size: int = 0) -> Callable[[], Any]:
    return partial(import_module("pyresilience").CircuitBreaker, pyresilience_config(size))


PEERS = (
    by_breaker("aiobreaker", aiobreaker),
    by_breaker("circuitbreaker", circuitbreaker),
    Guard("fluxgate", wrap_by_fluxgate, fluxgate),
    by_breaker("interlock-cb", interlock),
    Guard("purgatory", wrap_by_purgatory, purgatory_breakers),
    by_breaker("pybreaker", pybreaker),
    Guard("pyresilience", wrap_by_pyresilience, pyresilience_breakers),
    Guard(
        "pyresilience, window",
        partial(wrap_by_pyresilience, size=LIMIT),
        partial(pyresilience_breakers, LIMIT),
    ),
)

WINDOWS: dict[str, Callable[[int], Callable[[Function], Function]]] = {
    "fluxgate, count window": lambda size: fluxgate("CountWindow", size)(),
    "fluxgate, time window": lambda size: fluxgate("TimeWindow", size)(),
    "interlock-cb, count window": lambda size: interlock("COUNT_BASED", size)(),
    "interlock-cb, time window": lambda size: interlock("TIME_BASED", size)(),
    "pyresilience, count window": pyresilience,
}
