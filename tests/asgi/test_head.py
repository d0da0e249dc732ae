"""The head of a stream, which is held back while a rejection may still be answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from breaker_asgi import (
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    default_registry,
    install,
)
from breaker_asgi._core.rejections import rejection_behind
from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
from breaker_asgi.middleware import held_head
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import Reply, visit

EVENTS = "text/event-stream"


async def ask(app: ASGIApp) -> Reply:
    """Ask as a server does whose `send` raises after the client has left."""
    return await visit(app, "/chat", asgi={"version": "3.0", "spec_version": "2.4"})


@pytest.fixture
def llm(clock: FakeClock) -> CircuitBreaker:
    """A breaker that is open, for half a minute that does not pass."""
    breaker = CircuitBreaker(name="llm", clock=clock)
    breaker.open(30)
    return breaker


def guarded(llm: CircuitBreaker) -> Callable[[], Any]:
    @llm
    async def tokens() -> AsyncIterator[str]:
        yield "data: Hello\n\n"

    return tokens


def calling(llm: CircuitBreaker) -> Callable[[], Any]:
    """A generator that is not guarded, but calls a guarded function."""

    @llm
    async def complete() -> list[str]:
        raise AssertionError

    async def tokens() -> AsyncIterator[str]:
        try:
            for token in await complete():
                yield token
        except Exception as error:
            raise LookupError("the SDK wraps what it catches") from error

    return tokens


def plain(llm: CircuitBreaker) -> Callable[[], Any]:
    @llm
    def tokens() -> Iterator[str]:
        yield "data: Hello\n\n"

    return tokens


def shop(tokens: Callable[[], Any], media_type: str | None) -> FastAPI:
    app = FastAPI()

    @app.get("/chat")
    async def chat() -> StreamingResponse:
        return StreamingResponse(tokens(), media_type=media_type)

    return app


@pytest.fixture(params=[EVENTS, "text/plain", None])
def media_type(request: pytest.FixtureRequest) -> str | None:
    kind: str | None = request.param
    return kind


@pytest.fixture(params=[guarded, calling, plain])
def tokens(request: pytest.FixtureRequest, llm: CircuitBreaker) -> Any:
    return request.param(llm)


async def test_a_rejected_stream_is_a_503(tokens: Any, media_type: str | None) -> None:
    reply = await ask(BreakerMiddleware(shop(tokens, media_type)))
    assert (reply.status, int(reply.headers["retry-after"]) >= 30) == (503, True)
    route = default_registry["GET /chat"]
    assert (route.successes, route.failures, route.ignored) == (0, 0, 1)


async def test_a_rejected_stream_is_a_503_without_the_middleware(
    tokens: Any, media_type: str | None
) -> None:
    app = shop(tokens, media_type)
    install(app)
    reply = await ask(app)
    assert (reply.status, int(reply.headers["retry-after"]) >= 30) == (503, True)


def installed(app: FastAPI) -> ASGIApp:
    install(app)
    return app


@pytest.mark.parametrize("add", [BreakerMiddleware, installed])
async def test_a_stream_is_not_changed(
    add: Callable[[FastAPI], ASGIApp], media_type: str | None
) -> None:
    async def two() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    reply = await ask(add(shop(two, media_type)))
    assert [message.get("body") for message in reply.messages] == [None, b"a", b"b", b""]
    assert reply.status == 200


@pytest.mark.parametrize("error", [ConnectionError("gone"), asyncio.CancelledError()])
async def test_the_head_is_sent_before_another_exception_passes(error: BaseException) -> None:
    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    sent: list[str] = []

    async def note(message: Message) -> None:
        sent.append(message["type"])

    app = BreakerMiddleware(broken, registry=BreakerRegistry())
    with pytest.raises(type(error)):
        await app({"type": "http", "method": "GET", "path": "/", "headers": []}, _receive, note)
    assert sent == ["http.response.start"]


async def _receive() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_quiet_stream_has_its_head_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_head, "LONGEST", 0.01)
    came, goes_on = asyncio.Event(), asyncio.Event()
    sent: list[Message] = []

    async def quiet(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", EVENTS.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await goes_on.wait()
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def note(message: Message) -> None:
        sent.append(message)
        came.set()

    registry = BreakerRegistry()
    app = BreakerMiddleware(quiet, registry=registry)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    visiting = asyncio.ensure_future(app(scope, _receive, note))
    await asyncio.wait_for(came.wait(), 1)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert registry["app"].successes == 1
    goes_on.set()
    await visiting
    assert [message.get("body") for message in sent] == [None, b"data: 1\n\n", b""]


async def test_the_application_gets_the_error_of_a_delayed_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_head, "LONGEST", 0.01)
    failed = asyncio.Event()
    errors: list[BaseException] = []

    async def quiet(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await failed.wait()
        try:
            await send({"type": "http.response.body", "body": b"late"})
        except OSError as error:
            errors.append(error)

    async def gone(_message: Message) -> None:
        failed.set()
        raise OSError("the client is gone")

    app = BreakerMiddleware(quiet, registry=BreakerRegistry())
    await app({"type": "http", "method": "GET", "path": "/", "headers": []}, _receive, gone)
    assert str(errors) == "[OSError('the client is gone')]"


async def test_a_rejection_after_the_first_chunk_passes_unanswered(llm: CircuitBreaker) -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "a"
        llm.acquire()

    app = BreakerMiddleware(shop(tokens, "text/plain"))
    with pytest.raises((CircuitBreakerError, ExceptionGroup)) as raised:
        await ask(app)
    assert rejection_behind(raised.value) is not None


async def test_a_head_that_is_about_to_leave_is_sent_before_the_rejection_passes(
    llm: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_head, "LONGEST", 0)
    sent: list[str] = []

    async def late(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0)  # the timer is due,
        await asyncio.sleep(0)  # and has made a task that has not begun
        llm.acquire()

    async def note(message: Message) -> None:
        sent.append(message["type"])

    app = BreakerMiddleware(late, registry=BreakerRegistry())
    with pytest.raises(CircuitBreakerError):
        await app({"type": "http", "method": "GET", "path": "/", "headers": []}, _receive, note)
    assert sent == ["http.response.start"]


async def test_a_response_with_a_length_is_not_held_back() -> None:
    sent: list[str] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        sent.append("(between)")
        await send({"type": "http.response.body", "body": b"ok"})

    async def note(message: Message) -> None:
        sent.append(message["type"])

    guarded_app = BreakerMiddleware(app, registry=BreakerRegistry())
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await guarded_app(scope, _receive, note)
    assert sent == ["http.response.start", "(between)", "http.response.body"]


def test_without_an_event_loop_of_asyncio_no_head_is_held_back() -> None:
    async def send(_message: Message) -> None:
        """Send nothing."""

    start = {"type": "http.response.start", "status": 200, "headers": []}
    assert held_head.hold(start, held_head.Body.of(start), send, lambda: None) is None
