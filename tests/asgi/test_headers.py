"""ASGI lets headers be any iterable, read once, or missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from breaker_asgi import BreakerMiddleware, BreakerRegistry, LastGood
from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
from tests.asgi.visitor import Reply

FIELDS = [(b"content-type", b"text/plain"), (b"x-shop", b"7")]


def generated() -> Iterator[tuple[bytes, bytes]]:
    yield from FIELDS


def answering(headers: Iterable[Any] | None, status: int = 200) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        fields = {} if headers is None else {"headers": headers}
        await send({"type": "http.response.start", "status": status, **fields})
        await send({"type": "http.response.body", "body": b"hello"})

    return app


async def visit(app: ASGIApp, headers: Iterable[Any] | None = ()) -> Reply:
    reply = Reply()
    scope: Scope = {"type": "http", "method": "GET", "path": "/"}
    if headers is not None:
        scope["headers"] = headers

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, reply.receive)
    return reply


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


@pytest.mark.parametrize("headers", [generated(), tuple(FIELDS), iter(FIELDS), FIELDS])
async def test_headers_of_a_response_pass_as_any_iterable(
    registry: BreakerRegistry, headers: Iterable[Any]
) -> None:
    reply = await visit(BreakerMiddleware(answering(headers), registry=registry))
    assert list(reply.messages[0]["headers"]) == FIELDS
    assert registry["app"].successes == 1


async def test_a_response_without_headers_passes(registry: BreakerRegistry) -> None:
    reply = await visit(BreakerMiddleware(answering(None), registry=registry))
    assert (reply.status, reply.body) == (200, b"hello")


@pytest.mark.parametrize("made", [iter, tuple])
async def test_a_stream_of_events_is_recognised_by_its_type(
    registry: BreakerRegistry, made: Any
) -> None:
    """Its success does not wait for its first event."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = made([(b"content-type", b"text/event-stream")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    await visit(BreakerMiddleware(app, registry=registry))
    assert registry["app"].successes == 1


@pytest.mark.parametrize("headers", [None, iter([(b"accept", b"text/html")])])
async def test_a_rejected_request_may_have_any_iterable_of_headers_or_none(
    registry: BreakerRegistry, headers: Any
) -> None:
    registry.get("app").open()
    reply = await visit(BreakerMiddleware(answering([]), registry=registry), headers)
    kind = b"application/problem+json" if headers is None else b"text/html; charset=utf-8"
    assert (b"content-type", kind) in reply.messages[0]["headers"]


@pytest.mark.parametrize("headers", [generated(), FIELDS])
async def test_last_good_keeps_a_response_with_any_iterable_of_headers(
    registry: BreakerRegistry, headers: Iterable[Any]
) -> None:
    app = BreakerMiddleware(answering(headers), registry=registry, fallback=LastGood())
    assert list((await visit(app)).messages[0]["headers"]) == FIELDS
    registry["app"].open()
    assert (await visit(app)).body == b"hello"


async def test_last_good_leaves_one_shot_headers_of_a_request_to_the_application(
    registry: BreakerRegistry,
) -> None:
    received: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.extend(scope["headers"])
        await answering([])(scope, receive, send)

    guarded = BreakerMiddleware(app, registry=registry, fallback=LastGood())
    await visit(guarded, iter([(b"host", b"shop")]))
    assert received == [(b"host", b"shop")]


async def test_last_good_serves_a_scope_without_headers(registry: BreakerRegistry) -> None:
    app = BreakerMiddleware(answering([]), registry=registry, fallback=LastGood())
    await visit(app, None)
    registry["app"].open()
    assert (await visit(app, None)).body == b"hello"


async def test_the_monitor_serves_a_scope_without_headers(registry: BreakerRegistry) -> None:
    reply = Reply()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/breakers"}
    await BreakerMiddleware(answering([]), registry=registry)(scope, receive, reply.receive)
    assert reply.status == 200
