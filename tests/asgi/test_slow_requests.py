"""Slow requests while they run, and routes that close gently."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerMiddleware, BreakerRegistry, CircuitBreaker, Permit
from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
from breaker_asgi.middleware.exchange import Exchange
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import Reply, visit

SLOW = 2
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}


class Shop:
    """An application whose handlers wait, before the response begins or in its middle."""

    def __init__(self) -> None:
        self.before, self.amid = asyncio.Event(), asyncio.Event()
        self.status = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/hang":
            await self.before.wait()
        await send(START | {"status": self.status})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        if scope["path"] == "/drip":
            await self.amid.wait()
        await send({"type": "http.response.body", "body": b"k"})


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def config(clock: FakeClock) -> BreakerConfig:
    return BreakerConfig(
        slow_call_rate=0.5, slow_call_duration=SLOW, minimum_calls=4, half_open_calls=4, clock=clock
    )


@pytest.fixture
def app(shop: Shop, registry: BreakerRegistry, config: BreakerConfig) -> ASGIApp:
    return BreakerMiddleware(shop, registry=registry, config=config)


@pytest.fixture
def breaker(registry: BreakerRegistry, config: BreakerConfig) -> CircuitBreaker:
    return registry.get("app", defaults=config)


async def begin(app: ASGIApp, path: str, times: int) -> list[asyncio.Task[Reply]]:
    """Make requests that wait."""
    tasks = [asyncio.ensure_future(visit(app, path)) for _ in range(times)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def end(tasks: list[asyncio.Task[Reply]], event: asyncio.Event) -> list[int]:
    event.set()
    return [reply.status for reply in await asyncio.gather(*tasks)]


def under_way(breaker: CircuitBreaker) -> tuple[int | None, int | None]:
    snapshot = breaker.snapshot()
    return snapshot.calls_under_way, snapshot.slow_calls_under_way


async def test_requests_that_hang_open_a_route_before_they_end(
    app: ASGIApp, shop: Shop, breaker: CircuitBreaker, clock: FakeClock
) -> None:
    hanging = await begin(app, "/hang", 4)
    clock.advance(SLOW + 1)
    assert (await visit(app, "/")).status == 503
    assert breaker.snapshot().reason == "slow-call rate 100% of 4 calls, limit 50%"
    assert await end(hanging, shop.before) == [200] * 4
    assert (breaker.successes, breaker.slow_calls, under_way(breaker)) == (4, 4, (0, 0))


@pytest.mark.parametrize("state", ["closed", "half_open", "metrics_only"])
@pytest.mark.parametrize("status", [200, 404, 500])
async def test_a_request_that_hangs_is_slow_once_whatever_its_answer(
    status: int, state: str, app: ASGIApp, shop: Shop, breaker: CircuitBreaker, clock: FakeClock
) -> None:
    if state != "closed":
        getattr(breaker, state)()
    hanging = await begin(app, "/hang", 1)
    assert under_way(breaker) == (1, 0)
    clock.advance(SLOW + 1)
    assert (await visit(app, "/")).status == 200
    assert under_way(breaker) == (1, 1)
    shop.status = status
    assert await end(hanging, shop.before) == [status]
    assert (breaker.slow_calls, under_way(breaker)) == (1, (0, 0))
    assert (breaker.successes, breaker.failures) == ((1, 1) if status == 500 else (2, 0))
    assert breaker.snapshot().calls == 2


@pytest.mark.parametrize("state", ["closed", "half_open", "metrics_only"])
async def test_a_request_whose_response_has_begun_is_not_slow(
    state: str, app: ASGIApp, shop: Shop, breaker: CircuitBreaker, clock: FakeClock
) -> None:
    if state != "closed":
        getattr(breaker, state)()
    dripping = await begin(app, "/drip", 2)
    clock.advance(SLOW + 1)
    await visit(app, "/")
    assert (breaker.slow_calls, under_way(breaker)) == (0, (0, 0))
    assert await end(dripping, shop.amid) == [200] * 2
    assert (breaker.successes, breaker.slow_calls) == (3, 0)


@pytest.mark.parametrize("state", ["closed", "half_open"])
async def test_a_request_that_is_cancelled_is_not_under_way(
    state: str, app: ASGIApp, breaker: CircuitBreaker, clock: FakeClock
) -> None:
    if state != "closed":
        getattr(breaker, state)()
    hanging = await begin(app, "/hang", 2)
    clock.advance(SLOW + 1)
    await visit(app, "/")
    assert under_way(breaker) == (2, 2)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert (breaker.slow_calls, under_way(breaker)) == (2, (0, 0))
    assert breaker.ignored == 2


async def test_a_permit_of_a_handler_is_not_under_way_once_the_response_has_begun(
    registry: BreakerRegistry, config: BreakerConfig, clock: FakeClock
) -> None:
    payments = CircuitBreaker.from_config(config, "payments")
    counts: list[Any] = []

    async def handle(scope: Scope, _receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        assert exchange is not None
        permit: Permit = payments.acquire()
        exchange.add_permit(permit)
        counts.append(under_way(payments))
        await send(START)
        counts.append(under_way(payments))
        clock.advance(SLOW + 1)
        await send({"type": "http.response.body", "body": b"ok"})

    await visit(BreakerMiddleware(handle, registry=registry, config=config), "/")
    assert counts == [(1, 0), (0, 0)]
    assert (payments.successes, payments.slow_calls) == (1, 0)


# A route that closes gently


async def test_a_closing_route_answers_a_growing_share(
    shop: Shop, registry: BreakerRegistry, clock: FakeClock
) -> None:
    config = BreakerConfig(fail_max=1, ramp=10, clock=clock)
    app = BreakerMiddleware(shop, registry=registry, config=config)
    registry.get("app", defaults=config).half_open()
    assert (await visit(app, "/")).status == 200
    shares = []
    for _ in range(3):
        statuses = [(await visit(app, "/")).status for _ in range(10)]
        shares.append(statuses.count(200))
        assert statuses.count(503) == 10 - shares[-1]
        clock.advance(5)
    assert shares == [1, 5, 10]


async def test_the_others_may_come_back_in_a_second(
    shop: Shop, registry: BreakerRegistry, clock: FakeClock
) -> None:
    config = BreakerConfig(ramp=10, clock=clock)
    app = BreakerMiddleware(shop, registry=registry, config=config)
    registry.get("app", defaults=config).half_open()
    await visit(app, "/")
    reply = await visit(app, "/")
    assert reply.status == 503
    assert reply.headers["retry-after"] in {"1", "2"}  # spread, as for any other rejection
