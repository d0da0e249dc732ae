"""Breakers that share their state, ours and others, each set to open by one failure.

Other libraries are imported when they are used: one that is not installed is missing from the
tables only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias

from benchmarks.calls import finish
from breaker_asgi import BreakerRegistry

Function: TypeAlias = Callable[[], Awaitable[Any]]

DISTRIBUTIONS = ("asyncbreaker", "nopanic-redis", "redis")
"""Distributions that are not in `benchmarks.peers`."""


class Settings(NamedTuple):
    """Settings of one breaker, as far as its library has them."""

    name: str
    open_seconds: float = 3600.0
    probes: int = 1
    lease: float = 30.0


Guard: TypeAlias = Callable[[Function], Function]
Maker: TypeAlias = Callable[[Settings], Guard]


class Storage(NamedTuple):
    """A library, and the function that connects its breakers to a store."""

    name: str
    connect: Callable[[str], Awaitable[Maker]]
    """Called once in each process; returns the function that creates guards."""
    module: str = "breaker_asgi"
    remark: str = ""


class Ours:
    """A maker of our breakers, in one registry."""

    def __init__(self, url: str) -> None:
        self.registry = BreakerRegistry(store=url)

    def __call__(self, settings: Settings) -> Guard:
        return self.registry.get(
            settings.name,
            fail_max=1,
            timeout_duration=settings.open_seconds,
            half_open_calls=settings.probes,
            half_open_timeout=settings.lease,
        )

    def stop(self) -> None:
        if self.registry.fleet is not None:
            self.registry.fleet.stop()


async def _ours(url: str) -> Maker:
    return Ours(url)


async def _aiobreaker(url: str) -> Maker:
    module, storage = import_module("aiobreaker"), import_module("aiobreaker.storage.redis")
    client = import_module("redis").Redis.from_url(url)

    def make(settings: Settings) -> Guard:
        closed = module.CircuitBreakerState.CLOSED
        breaker = module.CircuitBreaker(
            fail_max=1,
            timeout_duration=timedelta(seconds=settings.open_seconds),
            state_storage=storage.CircuitRedisStorage(closed, client, namespace=settings.name),
        )
        return lambda function: partial(breaker.call_async, function)

    return make


async def _asyncbreaker(url: str) -> Maker:
    module = import_module("asyncbreaker")
    client = import_module("redis.asyncio").Redis.from_url(url)

    def make(settings: Settings) -> Guard:
        breaker = module.CircuitBreaker(
            fail_max=1,
            timeout_duration=timedelta(seconds=settings.open_seconds),
            state_storage=module.RedisStorage(redis=client, namespace=settings.name),
        )
        return lambda function: partial(breaker.call, function)

    return make


async def _interlock(url: str) -> Maker:
    module, storages = import_module("interlock"), import_module("interlock.integrations.redis")
    storage = storages.AsyncRedisStorage(import_module("redis.asyncio").Redis.from_url(url))

    def make(settings: Settings) -> Guard:
        config = module.Config(
            failure_rate_threshold=1.0,
            minimum_number_of_calls=1,
            window_size=1,
            wait_duration_in_open=settings.open_seconds,
            permitted_calls_in_half_open=settings.probes,
        )
        guard: Guard = module.CircuitBreaker(name=settings.name, config=config, storage=storage)
        return guard

    return make


async def _nopanic(url: str) -> Maker:
    module = import_module("nopanic_redis")
    client = import_module("redis.asyncio").Redis.from_url(url)

    def make(settings: Settings) -> Guard:
        guard: Guard = module.redis_circuit_breaker(
            client,
            name=settings.name,
            failure_threshold=1e-9,
            min_calls=1,
            reset_timeout=settings.open_seconds,
            half_open_max_calls=settings.probes,
        )
        return guard

    return make


async def _purgatory(url: str) -> Maker:
    module = import_module("purgatory")
    factory = module.AsyncCircuitBreakerFactory(
        default_threshold=1, uow=module.AsyncRedisUnitOfWork(url)
    )
    await factory.initialize()

    def make(settings: Settings) -> Guard:
        guard: Guard = factory(settings.name, ttl=settings.open_seconds)
        return guard

    return make


async def _pybreaker(url: str) -> Maker:
    module = import_module("pybreaker")
    client = import_module("redis").Redis.from_url(url)

    def make(settings: Settings) -> Guard:
        closed = module.STATE_CLOSED
        breaker = module.CircuitBreaker(
            fail_max=1,
            reset_timeout=settings.open_seconds,
            state_storage=module.CircuitRedisStorage(closed, client, namespace=settings.name),
        )

        def guard(function: Function) -> Function:
            async def call() -> Any:
                return breaker.call(lambda: finish(function()))  # type: ignore[arg-type]

            return call

        return guard

    return make


OURS = Storage("ours", _ours)
PEERS = (
    Storage("aiobreaker", _aiobreaker, "aiobreaker", "blocks the event loop"),
    Storage("asyncbreaker", _asyncbreaker, "asyncbreaker"),
    Storage("interlock-cb", _interlock, "interlock"),
    Storage("nopanic-redis", _nopanic, "nopanic_redis"),
    Storage("purgatory", _purgatory, "purgatory"),
    Storage("pybreaker", _pybreaker, "pybreaker", "sync"),
)
ALL = {storage.name: storage for storage in (OURS, *PEERS)}


def is_installed(storage: Storage) -> bool:
    return find_spec(storage.module) is not None
