"""`BreakerMiddleware`: a breaker for each route, and a standard 503."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from breaker_asgi import (
    BreakerConfig,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerState,
    CountWindow,
)
from breaker_asgi._core import process
from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
from breaker_asgi.testing import FakeClock
from tests.asgi.conftest import Get


async def answer(request: Request) -> Response:
    """Answer by the status in the query, or raise for 0."""
    status = int(request.query_params.get("status", 200))
    if status == 0:
        raise RuntimeError("secret")
    return PlainTextResponse("answer", status)


@pytest.fixture
def app(registry: BreakerRegistry, config: BreakerConfig) -> ASGIApp:
    shop = Starlette(
        routes=[
            Route("/orders/{id:int}", answer, methods=["GET", "DELETE"]),
            Route("/orders", answer, methods=["POST"]),
            Mount("/sub/{tenant}", routes=[Route("/items/{id}", answer)]),
        ]
    )
    return BreakerMiddleware(shop, registry=registry, config=config)


async def open_by_two_failures(call: Get, app: ASGIApp) -> None:
    for _ in range(2):
        await call(app, "/orders/1?status=500")


async def test_each_route_has_a_breaker_named_by_its_template(
    call: Get, app: ASGIApp, registry: BreakerRegistry
) -> None:
    await call(app, "/orders/1")
    await call(app, "/orders/2")
    await call(app, "/orders", "POST")
    await call(app, "/orders/1", "DELETE")
    await call(app, "/sub/acme/items/7")
    assert [breaker.name for breaker in registry] == [
        "GET /orders/{id:int}",
        "POST /orders",
        "DELETE /orders/{id:int}",
        "GET /sub/{tenant}/items/{id}",
    ]


async def test_head_shares_the_breaker_of_get(
    call: Get, app: ASGIApp, registry: BreakerRegistry
) -> None:
    await call(app, "/orders/1", "HEAD")
    assert [breaker.name for breaker in registry] == ["GET /orders/{id:int}"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/orders/1", 405), ("POST", "/orders/", 307)],
)
async def test_a_request_that_no_route_takes_belongs_to_no_breaker(
    call: Get, app: ASGIApp, registry: BreakerRegistry, method: str, path: str, status: int
) -> None:
    response = await call(app, path, method)
    assert response.status_code == status
    assert len(registry) == 0


@pytest.mark.parametrize("status", [0, 500, 502, 503])
async def test_an_exception_and_a_status_of_500_or_above_are_failures(
    call: Get, app: ASGIApp, registry: BreakerRegistry, status: int
) -> None:
    await call(app, f"/orders/1?status={status}")
    assert registry["GET /orders/{id:int}"].failures == 1


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 429, 499])
async def test_a_lower_status_is_a_success(
    call: Get, app: ASGIApp, registry: BreakerRegistry, status: int
) -> None:
    await call(app, f"/orders/1?status={status}")
    assert registry["GET /orders/{id:int}"].successes == 1


async def test_an_open_route_answers_503_without_calling_the_handler(
    call: Get, app: ASGIApp, registry: BreakerRegistry, clock: FakeClock
) -> None:
    await open_by_two_failures(call, app)
    clock.advance(2.5)
    response = await call(app, "/orders/1")
    assert response.status_code == 503
    seconds = int(response.headers["retry-after"])
    assert seconds in {8, 9, 10}  # spread, so that clients do not come back in one wave
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f"Temporarily unavailable. Try again in {seconds} s.",
        "retry_after": seconds,
    }
    assert registry["GET /orders/{id:int}"].rejected == 1


async def test_the_503_has_no_body_for_head(call: Get, app: ASGIApp) -> None:
    await open_by_two_failures(call, app)
    response = await call(app, "/orders/1", "HEAD")
    assert response.status_code == 503
    assert response.content == b""
    assert int(response.headers["content-length"]) > 0


async def test_retry_after_is_never_less_than_a_second(
    call: Get, app: ASGIApp, clock: FakeClock
) -> None:
    await open_by_two_failures(call, app)
    clock.advance(10)
    assert (await call(app, "/orders/1")).headers["retry-after"] in {"1", "2"}


async def test_another_route_keeps_working(call: Get, app: ASGIApp) -> None:
    await open_by_two_failures(call, app)
    assert (await call(app, "/orders", "POST")).status_code == 200


async def test_a_route_recovers(call: Get, app: ASGIApp, clock: FakeClock) -> None:
    await open_by_two_failures(call, app)
    clock.advance(10.1)
    assert (await call(app, "/orders/1")).status_code == 200
    assert (await call(app, "/orders/1")).status_code == 200


async def test_an_exception_passes_unchanged(app: ASGIApp) -> None:
    scope = {
        "type": "http", "method": "GET", "path": "/orders/1", "query_string": b"status=0",
        "headers": [],
    }  # fmt: skip
    with pytest.raises(RuntimeError, match="secret"):
        await app(scope, receive_nothing, Sent())


async def test_a_rejection_that_leaves_a_handler_becomes_the_same_503(
    call: Get, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    payments = CircuitBreaker(name="payments", timeout_duration=7)
    payments.open()

    @payments
    async def pay(_request: Request) -> Response:
        return PlainTextResponse("paid")

    app = Starlette(routes=[Route("/pay", pay)])
    app.add_middleware(BreakerMiddleware, registry=registry, config=config)
    response = await call(app, "/pay")
    assert response.status_code == 503
    assert response.headers["retry-after"] in {"7", "8"}
    assert response.headers["content-type"] == "application/problem+json"
    assert "payments" not in response.text
    assert registry["GET /pay"].ignored == 1


async def test_a_middleware_around_the_application_answers_before_the_error_page(
    call: Get, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    """Starlette's outermost layer would make a 500 of the rejection, and raise it all the same."""
    payments = CircuitBreaker(name="payments")
    payments.open()

    @payments
    async def pay(_request: Request) -> Response:
        return PlainTextResponse("paid")

    app = BreakerMiddleware(
        Starlette(routes=[Route("/pay", pay)]), registry=registry, config=config
    )
    response = await call(app, "/pay")
    assert response.status_code == 503
    assert response.json()["title"] == "Service Unavailable"
    assert registry["GET /pay"].ignored == 1


async def test_a_call_of_the_routes_own_breaker_is_part_of_its_probe(
    call: Get, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    payments = registry.get("payments", defaults=config)

    @payments
    async def pay(_request: Request) -> Response:
        return PlainTextResponse("paid")

    app = Starlette(routes=[Route("/pay", pay)])
    app.add_middleware(BreakerMiddleware, registry=registry, rules={"/pay": "payments"})
    payments.half_open()
    assert (await call(app, "/pay")).status_code == 200
    assert payments.state is CircuitBreakerState.CLOSED


async def test_a_request_is_slow_by_the_start_of_its_response(
    call: Get, registry: BreakerRegistry, clock: FakeClock
) -> None:
    async def slow(request: Request) -> Response:
        clock.advance(float(request.query_params["before"]))
        return PlainTextResponse("ok", background=BackgroundTask(clock.advance, 10))

    config = BreakerConfig(
        slow_call_rate=1, slow_call_duration=1, window=CountWindow(1), clock=clock
    )
    app = Starlette(routes=[Route("/", slow)])
    app.add_middleware(BreakerMiddleware, registry=registry, config=config)
    await call(app, "/?before=0.5")
    assert registry["GET /"].snapshot().slow_call_rate == 0
    await call(app, "/?before=1.5")
    assert registry["GET /"].state is CircuitBreakerState.OPEN


async def test_the_outer_breaker_ignores_the_503_of_an_inner_middleware(
    call: Get, config: BreakerConfig
) -> None:
    inner, outer = BreakerRegistry(), BreakerRegistry()
    shop = BreakerMiddleware(
        Starlette(routes=[Route("/orders", answer)]), registry=inner, config=config
    )
    app = BreakerMiddleware(shop, registry=outer, config=config)
    await call(app, "/orders")
    inner["app" if "app" in inner else "GET /orders"].force_open()
    response = await call(app, "/orders")
    assert response.status_code == 503
    (breaker,) = outer
    assert (breaker.successes, breaker.failures, breaker.ignored) == (1, 0, 1)


async def test_a_failing_background_task_does_not_change_the_outcome(
    call: Get, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    def fail() -> None:
        raise RuntimeError

    async def order(_request: Request) -> Response:
        return PlainTextResponse("ordered", background=BackgroundTask(fail))

    app = BreakerMiddleware(
        Starlette(routes=[Route("/orders", order)]), registry=registry, config=config
    )
    await call(app, "/orders")
    assert registry["GET /orders"].successes == 1
    assert registry["GET /orders"].failures == 0


async def test_a_stream_that_dies_before_its_first_chunk_is_a_failure(
    call: Get, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    async def chunks() -> AsyncIterator[str]:
        raise RuntimeError
        yield ""

    async def stream(_request: Request) -> Response:
        return StreamingResponse(chunks())

    app = BreakerMiddleware(
        Starlette(routes=[Route("/stream", stream)]), registry=registry, config=config
    )
    await call(app, "/stream")
    assert registry["GET /stream"].failures == 1


async def test_an_event_stream_is_a_success_from_its_start(
    registry: BreakerRegistry, config: BreakerConfig
) -> None:
    async def events(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    app = BreakerMiddleware(events, registry=registry, config=config)
    await app({"type": "http", "method": "GET", "path": "/"}, receive_nothing, Sent())
    assert registry["app"].successes == 1


async def test_a_file_sent_by_its_path_is_a_success(
    registry: BreakerRegistry, config: BreakerConfig
) -> None:
    async def file(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/etc/hostname"})

    app = BreakerMiddleware(file, registry=registry, config=config)
    await app({"type": "http", "method": "GET", "path": "/"}, receive_nothing, Sent())
    assert registry["app"].successes == 1


async def test_an_application_that_returns_without_an_answer_is_ignored(
    registry: BreakerRegistry, config: BreakerConfig
) -> None:
    async def leave(_scope: Scope, _receive: Receive, _send: Send) -> None:
        return

    app = BreakerMiddleware(leave, registry=registry, config=config)
    await app({"type": "http", "method": "GET", "path": "/"}, receive_nothing, Sent())
    assert registry["app"].ignored == 1


async def test_a_cancelled_request_is_ignored_and_returns_its_probe(
    registry: BreakerRegistry, config: BreakerConfig
) -> None:
    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    app = BreakerMiddleware(hang, registry=registry, config=config)
    breaker = registry.get("app", defaults=config)
    breaker.half_open()
    scope = {"type": "http", "method": "GET", "path": "/"}
    task = asyncio.ensure_future(app(scope, receive_nothing, Sent()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breaker.ignored == 1
    breaker.acquire().success()
    assert breaker.state is CircuitBreakerState.CLOSED


async def test_a_rejection_after_the_start_of_the_response_passes_unanswered(
    registry: BreakerRegistry, config: BreakerConfig
) -> None:
    payments = CircuitBreaker(name="payments")
    payments.open()

    async def half_an_answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        payments.acquire()

    app = BreakerMiddleware(half_an_answer, registry=registry, config=config)
    sent = Sent()
    with pytest.raises(Exception, match="breaker 'payments' is open"):
        await app({"type": "http", "method": "GET", "path": "/"}, receive_nothing, sent)
    kinds = [message["type"] for message in sent.messages]
    assert kinds == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("kind", ["websocket", "something.new"])
async def test_other_scopes_pass_through_unchanged(
    registry: BreakerRegistry, config: BreakerConfig, kind: str
) -> None:
    calls: list[tuple[Any, ...]] = []

    async def note(*passed: Any) -> None:
        calls.append(passed)

    app = BreakerMiddleware(note, registry=registry, config=config)
    scope, send = {"type": kind}, Sent()
    await app(scope, receive_nothing, send)
    assert calls == [({"type": kind}, receive_nothing, send)]
    assert calls[0][0] is scope


async def test_shutdown_callbacks_run_before_the_shutdown_is_reported(
    registry: BreakerRegistry, config: BreakerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, sent_before = Sent(), list[int]()

    def fail() -> None:
        sent_before.append(len(sent.messages))
        raise OSError

    monkeypatch.setattr(process, "_at_shutdown", [fail, fail])
    kinds = ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    async def starts_and_ends(_scope: Any, _receive: Any, send: Any) -> None:
        for kind in kinds:
            await send({"type": kind})

    app = BreakerMiddleware(starts_and_ends, registry=registry, config=config)
    await app({"type": "lifespan"}, receive_nothing, sent)
    assert [message["type"] for message in sent.messages] == kinds
    assert sent_before == [1, 1], "each runs, though the other raises"


async def test_the_scope_is_restored(app: ASGIApp) -> None:
    scope = {
        "type": "http", "method": "GET", "path": "/orders/1", "query_string": b"", "headers": []
    }  # fmt: skip
    await app(scope, receive_nothing, Sent())
    assert "breaker_asgi" not in scope


async def test_routes_added_later_have_breakers_too(
    call: Get, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    shop = Starlette(routes=[Route("/orders", answer)])
    app = BreakerMiddleware(shop, registry=registry, config=config)
    await call(app, "/orders")
    shop.router.routes.append(Route("/later", answer))
    for _ in range(2):  # the first request makes the router read the new route
        await call(app, "/later")
    assert registry["GET /later"].successes == 1


async def test_routes_below_a_root_path_keep_their_names(
    registry: BreakerRegistry, config: BreakerConfig
) -> None:
    app = BreakerMiddleware(
        Starlette(routes=[Route("/orders", answer)]), registry=registry, config=config
    )
    scope = {
        "type": "http", "method": "GET", "path": "/shop/orders", "root_path": "/shop",
        "query_string": b"", "headers": [],
    }  # fmt: skip
    await app(scope, receive_nothing, Sent())
    assert "GET /orders" in registry


class Sent:
    """The messages that an application has sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)


async def receive_nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
