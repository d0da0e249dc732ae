"""An exception raised from a rejection is a rejection: a 503 with `Retry-After`, ignored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.websockets import WebSocketDisconnect

from breaker_asgi import (
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    Permit,
    breaker,
    default_registry,
    install,
)
from breaker_asgi.asgi.types import Message, Receive, Scope, Send
from breaker_asgi.asgi.versions import denies_websockets_by_http
from tests.asgi.conftest import Get
from tests.asgi.visitor import Reply, visit


class ShopError(Exception):
    """An exception of the shop."""


def rejecting(seconds: float = 60) -> CircuitBreaker:
    bank = CircuitBreaker(name="bank")
    bank.open(seconds)
    return bank


async def charge(seconds: float = 60) -> None:
    rejecting(seconds).acquire()


async def bare() -> None:
    await charge()


async def two_causes_deep() -> None:
    try:
        try:
            await charge()
        except CircuitBreakerError as error:
            raise ConnectionError from error
    except ConnectionError as error:
        raise ShopError from error


async def while_it_is_handled() -> None:
    try:
        await charge()
    except CircuitBreakerError:
        raise ShopError  # noqa: B904


async def in_a_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(charge(10))
        group.create_task(charge(600))


async def in_nested_groups() -> None:
    try:
        await in_a_task_group()
    except ExceptionGroup as error:
        raise ExceptionGroup("the order", [error]) from None


async def caused_by_a_group() -> None:
    try:
        await in_a_task_group()
    except BaseExceptionGroup as error:
        raise ShopError from error


REJECTIONS = [
    bare,
    two_causes_deep,
    while_it_is_handled,
    in_a_task_group,
    in_nested_groups,
    caused_by_a_group,
]
LONGEST = {in_a_task_group, in_nested_groups, caused_by_a_group}
Handler = Callable[[], Awaitable[None]]


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


def shop(handler: Handler, *dependencies: Any) -> FastAPI:
    app = FastAPI()
    app.get("/pay", dependencies=[Depends(dependency) for dependency in dependencies])(handler)
    return app


async def is_the_503(call: Get, app: Any, handler: Handler) -> None:
    response = await call(app, "/pay")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    wait = int(response.headers["retry-after"])
    assert wait >= 600 if handler in LONGEST else 10 <= wait <= 72


@pytest.mark.parametrize("handler", REJECTIONS)
async def test_the_middleware_answers_by_503_and_ignores_it(
    call: Get, registry: BreakerRegistry, handler: Handler
) -> None:
    app = shop(handler)
    app.add_middleware(BreakerMiddleware, registry=registry)
    await is_the_503(call, app, handler)
    assert (registry["GET /pay"].failures, registry["GET /pay"].ignored) == (0, 1)


@pytest.mark.parametrize("handler", REJECTIONS)
async def test_the_middleware_around_the_application_answers_by_503_and_ignores_it(
    call: Get, registry: BreakerRegistry, handler: Handler
) -> None:
    app = BreakerMiddleware(shop(handler), registry=registry)
    await is_the_503(call, app, handler)
    assert (registry["GET /pay"].failures, registry["GET /pay"].ignored) == (0, 1)


@pytest.mark.parametrize("handler", REJECTIONS)
async def test_the_dependency_answers_by_503_and_ignores_it(call: Get, handler: Handler) -> None:
    app = shop(handler, breaker("payments"))
    await is_the_503(call, app, handler)
    payments = default_registry["payments"]
    assert (payments.failures, payments.ignored) == (0, 1)


@pytest.mark.parametrize("handler", REJECTIONS)
async def test_install_answers_by_503(call: Get, handler: Handler) -> None:
    app = shop(handler)
    install(app)
    await is_the_503(call, app, handler)


def with_middleware(handler: Handler) -> FastAPI:
    app = shop(handler)
    app.add_middleware(BreakerMiddleware)
    return app


def with_dependency(handler: Handler) -> FastAPI:
    return shop(handler, breaker("payments"))


def installed(handler: Handler) -> FastAPI:
    app = shop(handler)
    install(app)
    return app


@pytest.mark.parametrize("handler", [two_causes_deep, in_a_task_group])
@pytest.mark.parametrize("guarded", [with_middleware, with_dependency, installed])
async def test_an_exception_handler_of_the_applications_own_keeps_its_answer(
    call: Get, guarded: Callable[[Handler], FastAPI], handler: Handler
) -> None:
    async def answer(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "later"}, 503)

    app = guarded(handler)
    app.add_exception_handler(ShopError, answer)
    app.add_exception_handler(ExceptionGroup, answer)
    response = await call(app, "/pay")
    assert (response.status_code, response.json()) == (503, {"detail": "later"})
    assert sum(judge.failures for judge in default_registry) == 0


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("middleware", [False, True])
async def test_an_http_exception_keeps_its_response_and_is_ignored(
    call: Get, status: int, middleware: Any
) -> None:
    async def explains() -> None:
        try:
            await two_causes_deep()
        except ShopError as error:
            raise HTTPException(status, "not now") from error

    app = shop(explains, breaker("payments"))
    if middleware:
        app.add_middleware(BreakerMiddleware)
    response = await call(app, "/pay")
    assert (response.status_code, response.json()) == (status, {"detail": "not now"})
    for name in ["payments", "GET /pay"] if middleware else ["payments"]:
        judge = default_registry[name]
        assert (judge.successes, judge.failures, judge.ignored) == (0, 0, 1)


async def test_a_group_with_one_failure_is_a_failure(call: Get, registry: BreakerRegistry) -> None:
    async def one_fails() -> None:
        raise ExceptionGroup("the order", [ConnectionError(), *rejections()])

    app = shop(one_fails, breaker("payments"))
    app.add_middleware(BreakerMiddleware, registry=registry)
    assert (await call(app, "/pay")).status_code == 500
    assert registry["GET /pay"].failures == 1
    assert default_registry["payments"].failures == 1


def rejections() -> list[Exception]:
    try:
        rejecting().acquire()
    except CircuitBreakerError as error:
        return [error]
    raise AssertionError


async def test_a_failure_raised_again_from_its_group_is_a_failure(
    call: Get, registry: BreakerRegistry
) -> None:
    """As users of anyio raise it, and Starlette up to 0.46 for a stream."""

    async def fails() -> None:
        raise ExceptionGroup("tasks", [ConnectionError()])

    async def collapses() -> None:
        try:
            await fails()
        except ExceptionGroup as group:
            raise group.exceptions[0]  # noqa: B904

    app = shop(collapses, breaker("payments"))
    app.add_middleware(BreakerMiddleware, registry=registry)
    assert (await call(app, "/pay")).status_code == 500
    assert registry["GET /pay"].failures == 1
    assert default_registry["payments"].failures == 1


async def test_a_rejection_raised_again_from_its_group_is_a_rejection(
    call: Get, registry: BreakerRegistry
) -> None:
    async def collapses() -> None:
        try:
            await in_a_task_group()
        except ExceptionGroup as group:
            raise group.exceptions[0]  # noqa: B904

    app = shop(collapses)
    app.add_middleware(BreakerMiddleware, registry=registry)
    await is_the_503(call, app, collapses)
    assert registry["GET /pay"].ignored == 1


async def test_an_exception_raised_from_none_is_a_failure(
    call: Get, registry: BreakerRegistry
) -> None:
    async def something_else() -> None:
        try:
            await charge()
        except CircuitBreakerError:
            raise ShopError from None

    app = shop(something_else)
    app.add_middleware(BreakerMiddleware, registry=registry)
    assert (await call(app, "/pay")).status_code == 500
    assert registry["GET /pay"].failures == 1


async def test_a_cancelled_request_is_not_answered(registry: BreakerRegistry) -> None:
    async def cancelled(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await charge()
        except CircuitBreakerError:
            raise asyncio.CancelledError  # noqa: B904

    with pytest.raises(asyncio.CancelledError):
        await visit(BreakerMiddleware(cancelled, registry=registry))
    assert registry["app"].ignored == 1


async def test_an_exception_handled_by_the_applications_caller_does_not_count(
    registry: BreakerRegistry,
) -> None:
    """A fallback that asks another application, in the same process."""

    async def sorry(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("sorry", 500)(scope, receive, send)

    app = BreakerMiddleware(sorry, registry=registry)
    reply = Reply()
    try:
        await charge()
    except CircuitBreakerError:
        reply = await visit(app)
    assert (reply.status, reply.text) == (500, "sorry")
    assert registry["app"].failures == 1


async def test_an_error_page_is_judged_by_its_error_inside_and_outside_of_the_application(
    call: Get,
) -> None:
    class NoSuchCustomerError(Exception):
        status_code = 404

    async def asks() -> None:
        raise NoSuchCustomerError

    inside, outside = BreakerRegistry(), BreakerRegistry()
    app = shop(asks)
    app.add_middleware(BreakerMiddleware, registry=inside)
    assert (await call(BreakerMiddleware(app, registry=outside), "/pay")).status_code == 500
    assert (inside["GET /pay"].successes, outside["GET /pay"].successes) == (1, 1)


async def test_a_response_that_has_begun_is_not_begun_again(registry: BreakerRegistry) -> None:
    async def breaks(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await two_causes_deep()

    with pytest.raises(ShopError):
        await visit(BreakerMiddleware(breaks, registry=registry))
    assert registry["app"].rejected == 0


# Websockets


async def talk(app: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await app(
        {"type": "websocket", "path": "/talk", "query_string": b"", "headers": []}, receive, send
    )
    return sent


async def test_a_rejected_websocket_is_closed_by_try_again_later(registry: BreakerRegistry) -> None:
    app = FastAPI()

    @app.websocket("/talk")
    async def talks(websocket: WebSocket) -> None:
        await in_a_task_group()

    app.add_middleware(BreakerMiddleware, registry=registry, websockets=True)
    assert [message.get("code") for message in await talk(app)] == [None, 1013]
    assert registry["WEBSOCKET /talk"].ignored == 1


async def test_a_frameworks_close_after_a_rejection_is_replaced(
    registry: BreakerRegistry,
) -> None:
    async def framework(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await two_causes_deep()
        except ShopError:
            await send({"type": "websocket.close", "code": 1011})

    app = BreakerMiddleware(framework, registry=registry, websockets=True)
    assert [message.get("code") for message in await talk(app)] == [None, 1013]
    assert (registry["app"].failures, registry["app"].ignored) == (0, 1)


@pytest.mark.parametrize("accepts", [False, True])
async def test_a_dependency_answers_a_websocket_that_was_not_accepted(accepts: Any) -> None:
    app = FastAPI()

    @app.websocket("/talk")
    async def talks(
        websocket: WebSocket, permit: Annotated[Permit, Depends(breaker("payments"))]
    ) -> None:
        if accepts:
            await websocket.accept()
        await two_causes_deep()

    if accepts:
        with pytest.raises(ShopError):
            await talk(app)
    else:
        answer, *_ = await talk(app)
        if denies_websockets_by_http():
            assert (answer["type"], answer["status"]) == ("websocket.http.response.start", 503)
        else:
            assert (answer["type"], answer["code"]) == ("websocket.close", 1013)
    assert default_registry["payments"].ignored == 1


def leaves() -> None:
    raise WebSocketDisconnect


async def test_a_close_because_the_client_has_left_is_ignored(registry: BreakerRegistry) -> None:
    async def framework(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            leaves()
        except WebSocketDisconnect:
            await send({"type": "websocket.close", "code": 1011})

    await talk(BreakerMiddleware(framework, registry=registry, websockets=True))
    assert (registry["app"].failures, registry["app"].ignored) == (0, 1)
