"""A failure that a breaker meets twice in one request is one failure."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Response
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from breaker_asgi import (
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    Permit,
    breaker,
    default_registry,
    protected,
)
from breaker_asgi.asgi.types import Receive, Scope, Send
from tests.asgi.conftest import Get
from tests.asgi.visitor import visit


@pytest.fixture
def bank() -> CircuitBreaker:
    return default_registry.get("bank", fail_max=4)


async def fails() -> None:
    raise ConnectionError


def shop(bank: CircuitBreaker, then: Any, **settings: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/pay")
    async def pay() -> Any:
        return await then(bank)

    app.add_middleware(BreakerMiddleware, rules={"/pay": "bank"}, **settings)
    return app


async def lets_it_out(bank: CircuitBreaker) -> None:
    await bank.call_async(fails)


async def raises_from_it(bank: CircuitBreaker) -> None:
    try:
        await bank.call_async(fails)
    except ConnectionError as error:
        raise HTTPException(502) from error


@pytest.mark.parametrize("then", [lets_it_out, raises_from_it])
@pytest.mark.parametrize("settings", [{}, {"settle": "end"}, {"is_failure": lambda *_: True}])
@pytest.mark.parametrize("state", ["closed", "half-open"])
async def test_a_failure_of_a_call_and_of_the_route_around_it_counts_once(
    call: Get, bank: CircuitBreaker, then: Any, settings: Any, state: str
) -> None:
    app = shop(bank, then, **settings)
    if state == "half-open":
        bank.half_open()
    await call(app, "/pay")
    assert bank.failures == 1


async def test_the_breaker_opens_after_fail_max_requests(call: Get, bank: CircuitBreaker) -> None:
    app = shop(bank, lets_it_out)
    for _ in range(3):
        await call(app, "/pay")
    assert bank.state == "closed"
    await call(app, "/pay")
    assert bank.state == "open"


async def test_the_same_exception_in_the_next_request_counts_again(
    call: Get, bank: CircuitBreaker
) -> None:
    error = ConnectionError("kept by the application")

    async def raises_the_same(_bank: CircuitBreaker) -> None:
        raise error

    app = shop(bank, raises_the_same)
    for _ in range(3):
        await call(app, "/pay")
    assert bank.failures == 3


@pytest.mark.parametrize("state", ["closed", "half-open"])
async def test_a_response_that_a_route_and_its_dependency_judge_counts_once(
    call: Get, bank: CircuitBreaker, state: str
) -> None:
    app = FastAPI()

    @app.get("/pay")
    async def pay(permit: Annotated[Permit, Depends(breaker("bank"))]) -> Response:
        return Response(status_code=500)

    app.add_middleware(BreakerMiddleware, rules={"/pay": "bank"})
    if state == "half-open":
        bank.half_open()
    await call(app, "/pay")
    assert bank.failures == 1


async def fail(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("no", 500)


async def boom(_request: Request) -> PlainTextResponse:
    raise ConnectionError


@pytest.mark.parametrize("endpoint", [fail, boom])
async def test_a_response_that_two_middlewares_judge_counts_once(
    bank: CircuitBreaker, endpoint: Any
) -> None:
    middleware = [Middleware(BreakerMiddleware, rules={"*": "bank"})]
    inner = Starlette(routes=[Route("/pay", endpoint)], middleware=middleware)
    outer = BreakerMiddleware(Mount("/shop", inner), rules={"*": "bank"})
    with pytest.raises(ConnectionError) if endpoint is boom else nullcontext():
        await visit(outer, "/shop/pay")
    assert bank.failures == 1


async def test_two_breakers_of_one_request_count_it_separately(
    call: Get, bank: CircuitBreaker
) -> None:
    registry = BreakerRegistry()
    app = FastAPI()

    @app.get("/pay")
    @protected("payments")
    async def pay(permit: Annotated[Permit, Depends(breaker("bank"))]) -> Response:
        return Response(status_code=500)

    app.add_middleware(BreakerMiddleware, registry=registry)
    await call(app, "/pay")
    assert (bank.failures, registry["payments"].failures) == (1, 1)


async def test_two_successful_calls_count_twice(bank: CircuitBreaker) -> None:
    async def pays(scope: Scope, receive: Receive, send: Send) -> None:
        with bank:
            await PlainTextResponse("paid")(scope, receive, send)

    await visit(BreakerMiddleware(pays, rules={"*": "bank"}))
    assert bank.successes == 2
