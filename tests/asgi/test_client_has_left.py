"""An `OSError` of the server's `send` means that the client has left, and is ignored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse

from breaker_asgi import BreakerMiddleware, BreakerRegistry
from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send

REQUEST = {"type": "http", "method": "GET", "path": "/", "headers": []}


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send_fails(_: Message) -> None:
    raise OSError("the client is gone")


class Cycle:
    """A server, whose `send` is a method."""

    async def send(self, _: Message) -> None:
        raise OSError

    __call__ = send


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


async def wraps_it(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await hello(scope, receive, send)
    except OSError as error:
        raise RuntimeError("can't send") from error


async def groups_it(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await hello(scope, receive, send)
    except OSError as error:
        raise ExceptionGroup("can't send", [error]) from None


async def makes_a_500_of_it(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await hello(scope, receive, send)
    except OSError:
        await send({"type": "http.response.start", "status": 500, "headers": []})


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


async def outcomes(app: ASGIApp, registry: BreakerRegistry, send: Send) -> Any:
    with pytest.raises((OSError, RuntimeError, ExceptionGroup)):
        await app({**REQUEST}, receive, send)
    judge = registry["app"]
    return judge.successes, judge.failures, judge.ignored


@pytest.mark.parametrize("app", [hello, wraps_it, groups_it, makes_a_500_of_it])
@pytest.mark.parametrize("send", [send_fails, Cycle().send, Cycle()])
async def test_an_error_of_send_is_ignored(
    registry: BreakerRegistry, app: ASGIApp, send: Send
) -> None:
    guarded = BreakerMiddleware(app, registry=registry)
    assert await outcomes(guarded, registry, send) == (0, 0, 1)


async def test_two_middlewares_ignore_an_error_of_send(registry: BreakerRegistry) -> None:
    outer = BreakerRegistry()
    guarded = BreakerMiddleware(BreakerMiddleware(hello, registry=registry), registry=outer)
    assert await outcomes(guarded, registry, send_fails) == (0, 0, 1)
    assert outer["app"].ignored == 1


async def test_an_error_of_send_is_ignored_through_other_middleware(
    registry: BreakerRegistry,
) -> None:
    guarded = BreakerMiddleware(hello, registry=registry)

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def pass_on(message: Message) -> None:
            await send(message)

        await guarded(scope, receive, pass_on)

    assert await outcomes(outer, registry, send_fails) == (0, 0, 1)


async def test_an_error_of_send_is_ignored_at_the_end_of_a_stream(
    registry: BreakerRegistry,
) -> None:
    chunks = 0

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async def send(_: Message) -> None:
        nonlocal chunks
        chunks += 1
        if chunks > 1:
            raise OSError

    guarded = BreakerMiddleware(stream, registry=registry, settle="end")
    assert await outcomes(guarded, registry, send) == (0, 0, 1)


async def test_an_error_of_the_applications_own_io_is_a_failure(registry: BreakerRegistry) -> None:
    async def reads_a_file(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise OSError("no such file")

    guarded = BreakerMiddleware(reads_a_file, registry=registry)
    assert await outcomes(guarded, registry, send_fails) == (0, 1, 0)


async def test_an_error_of_the_applications_own_io_between_two_messages_is_a_failure(
    registry: BreakerRegistry,
) -> None:
    async def sent(_: Message) -> None:
        """Take it."""

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in list[bytes]():
            yield chunk
        raise ConnectionResetError("by the bank")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(chunks()).stream_response(send)

    guarded = BreakerMiddleware(app, registry=registry)
    assert await outcomes(guarded, registry, sent) == (0, 1, 0)
