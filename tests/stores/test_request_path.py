"""No request waits for the store: each takes as many turns of the event loop as without one.

The store works until it is armed. From then on it blocks, raises or sleeps in one of its
operations, and calls are made through everything that asks a breaker.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Literal, cast
from unittest.mock import patch

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from breaker_asgi import (
    BreakerConfig,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreakerError,
)
from breaker_asgi.clients.httpx import AsyncBreakerTransport
from breaker_asgi.fastapi import _dependency, breaker
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.testing import FakeClock
from tests.monitor.conftest import allow

FAIL_MAX = 3
OPEN_TIME = 10
OPERATIONS = ["sync", "wait", "publish", "published"]
Way = Literal["blocks", "raises", "sleeps"]


class Faulty:
    """A store that fails in one operation, or any, once it is armed; it records the callers."""

    label = "faulty"

    def __init__(self, operation: str, way: Way) -> None:
        self.armed = threading.Event()
        self.gone_wrong = threading.Event()
        self.released = threading.Event()
        self.callers: set[int] = set()
        self._store, self._operation, self._way = MemoryStore(), operation, way

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def called(*args: Any) -> Any:
            self.callers.add(threading.get_ident())
            if self._operation in {operation, "any"} and self.armed.is_set():
                self.gone_wrong.set()
                self._go_wrong()
            return getattr(self._store, operation)(*args)

        return called

    def _go_wrong(self) -> None:
        if self._way == "raises":
            raise OSError("no route")
        if self._way == "sleeps":
            time.sleep(0.05)
        else:
            self.released.wait(30)


# The ways to a breaker: each is called with "work" or "fail"

Door = Callable[[str], Awaitable[str]]


async def request(app: Any, path: str) -> str:
    """The response of an application, without a client that takes turns of its own."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"shop")],
        "client": ("127.0.0.1", 1),
        "server": ("shop", 80),
    }
    await app(scope, receive, send)
    return {200: "ok", 500: "failed", 503: "rejected"}[statuses[0]]


def middleware(registry: BreakerRegistry) -> Door:
    async def route(request: Request) -> Response:
        return Response(status_code=500 if request.path_params["how"] == "fail" else 200)

    app = Starlette(routes=[Route("/{how}", route)])
    app.add_middleware(
        cast("Any", BreakerMiddleware),
        registry=registry,
        config=registry.config,
        authorize=allow,
    )
    return lambda how: request(app, f"/{how}")


def monitor(registry: BreakerRegistry) -> Door:
    through = middleware(registry)
    return lambda _: through("breakers")


def dependency(registry: BreakerRegistry) -> Door:
    app = FastAPI()
    _dependency.cache_clear()
    with patch("breaker_asgi.fastapi.default_registry", registry):
        guard = breaker("dependency")

    @app.get("/{how}", dependencies=[Depends(guard)])
    async def route(how: str) -> None:
        if how == "fail":
            raise HTTPException(500)

    return lambda how: request(app, f"/{how}")


def function(registry: BreakerRegistry) -> Door:
    @registry.get("function")
    async def guarded(how: str) -> None:
        if how == "fail":
            raise OSError

    return partial(outcome, guarded)


def plain_function(registry: BreakerRegistry) -> Door:
    @registry.get("plain function")
    def guarded(how: str) -> None:
        if how == "fail":
            raise OSError

    async def call(how: str) -> None:
        guarded(how)

    return partial(outcome, call)


def client(registry: BreakerRegistry) -> Door:
    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500 if request.url.path == "/fail" else 200)

    transport = AsyncBreakerTransport(
        httpx.MockTransport(answer), registry=registry, config=registry.config
    )

    async def call(how: str) -> None:
        sent = httpx.Request("GET", f"http://bank/{how}")
        response = await transport.handle_async_request(sent)
        await response.aread()
        if response.is_error:
            raise OSError

    return partial(outcome, call)


async def outcome(call: Callable[[str], Awaitable[object]], how: str) -> str:
    try:
        await call(how)
    except CircuitBreakerError:
        return "rejected"
    except OSError:
        return "failed"
    return "ok"


DOORS = [middleware, monitor, dependency, function, plain_function, client]


async def turns(call: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    """The result of a call, and the number of turns of the event loop that it took."""
    loop, taken = asyncio.get_running_loop(), 0
    handle: asyncio.Handle

    def turn() -> None:
        nonlocal taken, handle
        taken += 1
        handle = loop.call_soon(turn)

    handle = loop.call_soon(turn)
    try:
        return await call(), taken
    finally:
        handle.cancel()


async def play(registry: BreakerRegistry) -> list[Any]:
    """Make hundreds of calls: their breakers are closed, trip, and are open."""
    outcomes: list[Any] = []
    for make in DOORS:
        door = make(registry)
        for how in ["work"] * 20 + ["fail"] * FAIL_MAX + ["work"] * 20:
            came, taken = await turns(partial(door, how))
            outcomes.append((make.__name__, how, came, taken))
        at_once = partial(asyncio.gather, *(door("work") for _ in range(30)))
        outcomes.append((make.__name__, "at once", *await turns(at_once)))
    return outcomes


@pytest.fixture
def config() -> BreakerConfig:
    return BreakerConfig(fail_max=FAIL_MAX, timeout_duration=OPEN_TIME, clock=FakeClock())


@pytest.fixture
async def as_without_a_store(config: BreakerConfig) -> list[Any]:
    results = await play(BreakerRegistry(config))
    outcomes = {(door, how, came) for door, how, came, _ in results if how != "at once"}
    assert {came for door, _, came in outcomes if door != "monitor"} == {
        "ok",
        "failed",
        "rejected",
    }
    return results


@contextmanager
def sharing(store: Faulty, config: BreakerConfig) -> Iterator[BreakerRegistry]:
    registry = BreakerRegistry(config, store=cast("Any", store))
    try:
        yield registry
    finally:
        store.released.set()
        assert registry.fleet
        registry.fleet.stop()


async def keep_the_store_busy(store: Faulty, registry: BreakerRegistry) -> None:
    """Make the fleet use all operations of its store, until that has failed."""
    driver, clock = registry.get("driver"), cast("FakeClock", registry.config.clock)
    assert registry.fleet
    async with asyncio.timeout(30):
        while not store.gone_wrong.is_set():
            registry.fleet.workers()
            with suppress(CircuitBreakerError):
                permit = await driver.acquire_async()
                permit.success() if driver.state == "half_open" else permit.failure()
            if driver.state == "open":
                clock.advance(OPEN_TIME)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_while_an_operation_hangs_calls_take_no_more_turns(
    operation: str, config: BreakerConfig, as_without_a_store: list[Any]
) -> None:
    store = Faulty(operation, "blocks")
    with sharing(store, config) as registry:
        store.armed.set()
        await keep_the_store_busy(store, registry)
        assert await play(registry) == as_without_a_store
        assert not store.released.is_set()
    assert threading.get_ident() not in store.callers


@pytest.mark.parametrize("way", ["blocks", "raises", "sleeps"])
async def test_faulty_store_from_the_start_costs_calls_no_turns(
    way: Way, config: BreakerConfig, as_without_a_store: list[Any]
) -> None:
    store = Faulty("any", way)
    store.armed.set()
    with sharing(store, config) as registry:
        assert await play(registry) == as_without_a_store
        assert store.gone_wrong.is_set()
    assert threading.get_ident() not in store.callers


async def test_a_store_that_works_costs_no_turn_either(
    config: BreakerConfig, as_without_a_store: list[Any]
) -> None:
    store = Faulty("none", "blocks")
    with sharing(store, config) as registry:
        assert await play(registry) == as_without_a_store
    assert store.callers
    assert threading.get_ident() not in store.callers
