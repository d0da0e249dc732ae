"""The tables of docs/outcomes.md: each cell is a request and its outcome."""

import asyncio
import functools
import importlib.util
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.exceptions import WebSocketException
from starlette.websockets import WebSocketDisconnect

from breaker_asgi import (
    BreakerMiddleware,
    CircuitBreaker,
    CircuitBreakerError,
    CountWindow,
    Permit,
    breaker,
    default_registry,
)
from breaker_asgi.asgi.types import Message
from breaker_asgi.asgi.versions import version_of
from breaker_asgi.testing import FakeClock

Handler: TypeAlias = Callable[..., Any]

DOCUMENT = Path(__file__).parent.parent.parent / "docs/outcomes.md"


class CardDeclinedError(Exception):
    """Excluded."""


class LocalQueueFullError(Exception):
    """Ignored."""


class NotFoundError(Exception):
    """Answered by 404."""


class NoSuchCustomerError(Exception):
    """An exception of a client library for a 404."""

    status_code = 404


class BadGatewayError(Exception):
    """An exception of a client library for a 502."""

    status_code = 502


class OverloadedError(Exception):
    """Answered by 503."""


def is_not_implemented(error: Exception) -> bool:
    """Excluded."""
    return isinstance(error, HTTPException) and error.status_code == 501


class Column(NamedTuple):
    breaker: str
    middleware: dict[str, Any] | None
    stream: str = "head"


STALLS = 5
"""Seconds that a stream may stall for."""

COLUMNS = {
    "alone": Column("payments", None),
    "with the middleware": Column("payments", {}),
    "the route's own": Column("route", {}),
    "at the end, with the middleware": Column("payments", {"settle": "end"}),
    "at the end, the route's own": Column("route", {"settle": "end"}),
    "judged by its first event": Column("route", {}, "event"),
    "judged by its end": Column("route", {}, "end"),
}


class Shop:
    """An application with one route, and its client."""

    def __init__(self, column: Column, kind: str) -> None:
        self.app = FastAPI()
        self.clock = FakeClock()
        self.method = "GET"
        self.path = "/pay"
        self.body: bytes | None = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.spec_version = "2.3"
        self.client_leaves = asyncio.Event()
        self._is_async = kind == "async"
        self._guarded = column.breaker == "payments"
        self._scope_type = "http"
        settings: dict[str, Any] = {
            "exclude": [CardDeclinedError, is_not_implemented],
            "ignore": [LocalQueueFullError],
            "clock": self.clock,
        }
        if column.stream != "head":
            settings |= {"stream": column.stream, "stream_idle_timeout": STALLS}
        if kind == "slow":
            settings |= {"slow_call_rate": 1, "slow_call_duration": 1, "window": CountWindow(1)}
        for name in ("payments", "route"):
            default_registry.get(name, **settings)
        if column.middleware is not None:
            self.app.add_middleware(
                BreakerMiddleware, rules={"*": "route"}, websockets=True, **column.middleware
            )

    def serves(
        self, handler: Handler, before: Sequence[Any] = (), after: Sequence[Any] = (), **more: Any
    ) -> None:
        """Guard `handler`; `before` and `after` are dependencies around the breaker's."""
        guard = [breaker("payments")] if self._guarded else []
        dependencies = [Depends(dependency) for dependency in (*before, *guard, *after)]
        if self._is_async:
            handler = made_async(handler)
        methods = ["GET", "POST", "HEAD"]
        self.app.api_route("/pay", methods=methods, dependencies=dependencies, **more)(handler)

    def talks(self, handler: Handler) -> None:
        """Guard the handler of a websocket."""
        self._scope_type = "websocket"
        guard = [Depends(breaker("payments"))] if self._guarded else []
        self.app.websocket("/pay", dependencies=guard)(handler)

    async def visit(self) -> None:
        """Make the request, and drop the exceptions of the application."""
        path, _, query = self.path.partition("?")
        scope = {
            "type": self._scope_type,
            "asgi": {"version": "3.0", "spec_version": self.spec_version},
            "path": path,
            "query_string": query.encode(),
            "headers": self.headers,
        }
        if self._scope_type == "http":
            scope["method"] = self.method
        request = asyncio.ensure_future(self.app(scope, self._receiver(), self._send))
        await asyncio.wait({request}, timeout=5)
        assert request.done(), "the request hangs"
        if not request.cancelled():
            request.exception()

    def _receiver(self) -> Callable[[], Any]:
        websocket = self._scope_type == "websocket"
        messages: list[Message] = [{"type": "websocket.connect"}] if websocket else []
        if self.body is not None and not websocket:
            messages = [{"type": "http.request", "body": self.body, "more_body": False}]
        gone: dict[str, Any] = {"type": f"{self._scope_type}.disconnect"}
        if websocket:
            gone["code"] = 1001

        async def receive() -> Message:
            if messages:
                return messages.pop(0)
            if self.body is not None and not websocket:
                await self.client_leaves.wait()
            return gone

        return receive

    async def _send(self, message: Message) -> None:
        if self.spec_version >= "2.4" and self.client_leaves.is_set():
            raise OSError


def made_async(handler: Handler) -> Handler:
    """Return the same handler as an `async def`."""
    if inspect.iscoroutinefunction(handler):
        return handler

    async def call(*args: Any, **kwargs: Any) -> Any:
        return handler(*args, **kwargs)

    async def generate(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        for item in handler(*args, **kwargs):
            yield item

    made: Handler = generate if inspect.isgeneratorfunction(handler) else call
    functools.update_wrapper(made, handler)
    del made.__wrapped__  # type: ignore[attr-defined]
    made.__signature__ = inspect.signature(handler)  # type: ignore[attr-defined]
    return made


class Row(NamedTuple):
    make: Callable[[Shop], None]
    kinds: tuple[str, ...]


ROWS: dict[str, Row] = {}
BOTH, ASYNC, SLOW = ("async", "plain"), ("async",), ("slow",)


def row(
    text: str, kinds: tuple[str, ...] = BOTH
) -> Callable[[Callable[[Shop], None]], Callable[[Shop], None]]:
    """Register the function that sets a shop up for the row of that text."""

    def take(make: Callable[[Shop], None]) -> Callable[[Shop], None]:
        assert text not in ROWS
        ROWS[text] = Row(make, kinds)
        return make

    return take


def raises(error: BaseException) -> Handler:
    def handler() -> None:
        raise error

    return handler


def returns(value: object) -> Handler:
    def handler() -> Any:
        return value

    return handler


def rejects() -> None:
    """Raise the rejection of another breaker."""
    bank = CircuitBreaker(name="bank")
    bank.open()
    bank.acquire()


# The handler


@row("returns a value")
def _(shop: Shop) -> None:
    shop.serves(returns("paid"))


@row("answers a HEAD request")
def _(shop: Shop) -> None:
    shop.method = "HEAD"
    shop.serves(returns("paid"))


@row("returns a redirect")
def _(shop: Shop) -> None:
    shop.serves(returns(RedirectResponse("/elsewhere")))


@row("returns a response with status 404")
def _(shop: Shop) -> None:
    shop.serves(returns(Response(status_code=404)))


@row("returns a response with status 500")
def _(shop: Shop) -> None:
    shop.serves(returns(Response(status_code=500)))


@row("returns a response with status 503")
def _(shop: Shop) -> None:
    shop.serves(returns(Response(status_code=503)))


@row("sets the status of its response to 500")
def _(shop: Shop) -> None:
    def pay(response: Response) -> str:
        response.status_code = 500
        return "an apology"

    shop.serves(pay)


@row("raises `HTTPException(404)`")
def _(shop: Shop) -> None:
    shop.serves(raises(HTTPException(404)))


@row("raises `HTTPException(500)`")
def _(shop: Shop) -> None:
    shop.serves(raises(HTTPException(500)))


@row("raises `HTTPException(503)`")
def _(shop: Shop) -> None:
    shop.serves(raises(HTTPException(503)))


@row("raises another exception")
def _(shop: Shop) -> None:
    shop.serves(raises(ConnectionError()))


@row("raises an exception that carries the status 404")
def _(shop: Shop) -> None:
    shop.serves(raises(NoSuchCustomerError()))


@row("raises an exception that carries the status 502")
def _(shop: Shop) -> None:
    shop.serves(raises(BadGatewayError()))


@row("raises a group of exceptions with a failure among them")
def _(shop: Shop) -> None:
    shop.serves(raises(ExceptionGroup("tasks", [CardDeclinedError(), ConnectionError()])))


@row("raises a group of what `exclude` names")
def _(shop: Shop) -> None:
    shop.serves(raises(ExceptionGroup("tasks", [CardDeclinedError(), CardDeclinedError()])))


@row("raises a group of what `exclude` and `ignore` name")
def _(shop: Shop) -> None:
    shop.serves(raises(ExceptionGroup("tasks", [CardDeclinedError(), LocalQueueFullError()])))


@row("raises what `exclude` names")
def _(shop: Shop) -> None:
    shop.serves(raises(CardDeclinedError()))


@row("raises an `HTTPException(501)` that `exclude` names")
def _(shop: Shop) -> None:
    shop.serves(raises(HTTPException(501)))


@row("raises what `ignore` names")
def _(shop: Shop) -> None:
    shop.serves(raises(LocalQueueFullError()))


def answers(shop: Shop, error: type[Exception], status: int) -> None:
    def answer(_request: Request, _error: Exception) -> Response:
        return JSONResponse({"detail": "an answer"}, status)

    shop.app.add_exception_handler(error, answer)


@row("raises what an exception handler answers by 404")
def _(shop: Shop) -> None:
    answers(shop, NotFoundError, 404)
    shop.serves(raises(NotFoundError()))


@row("raises what an exception handler answers by 503")
def _(shop: Shop) -> None:
    answers(shop, OverloadedError, 503)
    shop.serves(raises(OverloadedError()))


@row("raises what is excluded, and an exception handler answers by 404")
def _(shop: Shop) -> None:
    answers(shop, CardDeclinedError, 404)
    shop.serves(raises(CardDeclinedError()))


@row("returns what its response model refuses")
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), response_model=int)


# Invalid requests and other dependencies


@row("has an invalid parameter")
def _(shop: Shop) -> None:
    def pay(amount: int) -> str:
        return f"paid {amount}"

    shop.path = "/pay?amount=much"
    shop.serves(pay)


def pay_order(order: dict[str, int]) -> str:
    return f"paid {order}"


@row("has an invalid body")
def _(shop: Shop) -> None:
    shop.method, shop.body = "POST", b'{"amount": "much"}'
    shop.headers = [(b"content-type", b"application/json")]
    shop.serves(pay_order)


@row("has a body that is no JSON")
def _(shop: Shop) -> None:
    shop.method, shop.body = "POST", b"{"
    shop.headers = [(b"content-type", b"application/json")]
    shop.serves(pay_order)


@row("is refused by a dependency before it: `HTTPException(401)`")
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), before=[raises(HTTPException(401))])


@row("meets a dependency before it that raises `HTTPException(503)`")
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), before=[raises(HTTPException(503))])


@row("meets a dependency before it that raises another exception")
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), before=[raises(ConnectionError())])


@row("is refused by a dependency after it: `HTTPException(401)`")
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), after=[raises(HTTPException(401))])


@row("meets a dependency after it that raises `HTTPException(503)`")
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), after=[raises(HTTPException(503))])


@row("meets a dependency after it that raises another exception")
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), after=[raises(ConnectionError())])


@row("meets a dependency of a dependency that raises an exception")
def _(shop: Shop) -> None:
    def session(database: Annotated[None, Depends(raises(ConnectionError()))]) -> None: ...

    shop.serves(returns("paid"), after=[session])


@row("meets a dependency that depends on it and raises an exception")
def _(shop: Shop) -> None:
    def session(permit: Annotated[Permit, Depends(breaker("payments"))]) -> None:
        raise ConnectionError

    shop.serves(returns("paid"), after=[session])


@row("meets a dependency that depends on it and raises `HTTPException(404)`")
def _(shop: Shop) -> None:
    def session(permit: Annotated[Permit, Depends(breaker("payments"))]) -> None:
        raise HTTPException(404)

    shop.serves(returns("paid"), after=[session])


@row("meets a dependency that turns the handler's exception into `HTTPException(404)`")
def _(shop: Shop) -> None:
    def translate() -> Iterator[None]:
        try:
            yield
        except NotFoundError:
            raise HTTPException(404) from None

    shop.serves(raises(NotFoundError()), after=[translate])


# Other breakers


@row("leaves the handler")
def _(shop: Shop) -> None:
    shop.serves(rejects)


@row("is answered by an exception handler, by 503")
def _(shop: Shop) -> None:
    answers(shop, CircuitBreakerError, 503)
    shop.serves(rejects)


def caught(then: Callable[[CircuitBreakerError], Any]) -> Handler:
    def handler() -> Any:
        try:
            rejects()
        except CircuitBreakerError as error:
            return then(error)

    return handler


@row("is caught by the handler, which returns a value")
def _(shop: Shop) -> None:
    shop.serves(caught(lambda _: "an apology"))


@row("is caught by the handler, which raises `HTTPException(503)` from it")
def _(shop: Shop) -> None:
    def explain(error: CircuitBreakerError) -> None:
        raise HTTPException(503) from error

    shop.serves(caught(explain))


@row("is caught by the handler, which raises `HTTPException(503)` while it handles it")
def _(shop: Shop) -> None:
    shop.serves(caught(lambda _: raises(HTTPException(503))()))


@row("leaves the handler in a group, as those of `asyncio.TaskGroup`")
def _(shop: Shop) -> None:
    async def pay() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(made_async(rejects)())

    shop.serves(pay)


@row("is caught by the handler, which raises another exception from it")
def _(shop: Shop) -> None:
    def explain(error: CircuitBreakerError) -> None:
        raise ConnectionError from error

    shop.serves(caught(explain))


@row("is caught by the handler, which raises `HTTPException(502)` from what it was raised from")
def _(shop: Shop) -> None:
    def explain(error: CircuitBreakerError) -> None:
        cause = ConnectionError()
        cause.__cause__ = error
        raise HTTPException(502) from cause

    shop.serves(caught(explain))


@row("is caught by the handler, which raises `HTTPException(404)` from it")
def _(shop: Shop) -> None:
    def explain(error: CircuitBreakerError) -> None:
        raise HTTPException(404) from error

    shop.serves(caught(explain))


@row("is caught by the handler, which raises an exception from `None`")
def _(shop: Shop) -> None:
    def explain(_error: CircuitBreakerError) -> None:
        raise ConnectionError from None

    shop.serves(caught(explain))


@row("is caught by the handler, which returns a response with status 503")
def _(shop: Shop) -> None:
    shop.serves(caught(lambda _: Response(status_code=503)))


@row("comes from a `Depends(breaker(...))` before it")
def _(shop: Shop) -> None:
    default_registry.get("bank").open()
    shop.serves(returns("paid"), before=[breaker("bank")])


@row("comes from a `Depends(breaker(...))` after it")
def _(shop: Shop) -> None:
    default_registry.get("bank").open()
    shop.serves(returns("paid"), after=[breaker("bank")])


# The permit


def settles(settle: Callable[[Permit], None], then: Handler) -> Handler:
    def handler(permit: Annotated[Permit, Depends(breaker("payments"))]) -> Any:
        settle(permit)
        return then()

    return handler


@row("`permit.success()`, and raises an exception")
def _(shop: Shop) -> None:
    shop.serves(settles(Permit.success, raises(ConnectionError())))


@row("`permit.success()`, and returns a response with status 500")
def _(shop: Shop) -> None:
    shop.serves(settles(Permit.success, returns(Response(status_code=500))))


@row("`permit.failure(error)`, and returns a value")
def _(shop: Shop) -> None:
    shop.serves(settles(lambda permit: permit.failure(ConnectionError()), returns("paid")))


@row("`permit.ignore()`, and returns a value")
def _(shop: Shop) -> None:
    shop.serves(settles(Permit.ignore, returns("paid")))


@row("`permit.ignore()`, and raises an exception")
def _(shop: Shop) -> None:
    shop.serves(settles(Permit.ignore, raises(ConnectionError())))


# Streams


def chunks(good: int, error: Exception | None = None) -> Callable[[], Iterator[str]]:
    def generate() -> Iterator[str]:
        yield from ["chunk"] * good
        if error is not None:
            raise error

    return generate


def streams(generate: Callable[[], Iterator[str]], media_type: str | None = None) -> Handler:
    def handler() -> Response:
        return StreamingResponse(generate(), media_type=media_type)

    return handler


@row("goes well")
def _(shop: Shop) -> None:
    shop.serves(streams(chunks(2)))


@row("breaks before its first chunk")
def _(shop: Shop) -> None:
    shop.serves(streams(chunks(0, ConnectionError())))


@row("breaks after its first chunk")
def _(shop: Shop) -> None:
    shop.serves(streams(chunks(1, ConnectionError())))


@row("of a generator goes well")
def _(shop: Shop) -> None:
    shop.serves(chunks(2))


@row("of a generator breaks before its first item")
def _(shop: Shop) -> None:
    shop.serves(chunks(0, ConnectionError()))


@row("of a generator breaks after its first item")
def _(shop: Shop) -> None:
    shop.serves(chunks(1, ConnectionError()))


def serves_events(shop: Shop, generate: Callable[[], Iterator[str]]) -> None:
    """Serve events by FastAPI's own stream, or by a response of their type if it has none."""
    if importlib.util.find_spec("fastapi.sse") is None:
        shop.serves(streams(generate, "text/event-stream"))
    else:
        sse = importlib.import_module("fastapi.sse")
        shop.serves(generate, response_class=sse.EventSourceResponse)


@row("of events goes well")
def _(shop: Shop) -> None:
    serves_events(shop, chunks(2))


@row("of events breaks before its first event")
def _(shop: Shop) -> None:
    serves_events(shop, chunks(0, ConnectionError()))


@row("of events breaks after its first event")
def _(shop: Shop) -> None:
    serves_events(shop, chunks(1, ConnectionError()))


@row("asks another breaker before its first chunk, which rejects it")
def _(shop: Shop) -> None:
    shop.serves(streams(chunks(0, rejected_error())))


@row("of events asks another breaker before its first event, which rejects it")
def _(shop: Shop) -> None:
    serves_events(shop, chunks(0, rejected_error()))


def rejected_error() -> CircuitBreakerError:
    try:
        rejects()
    except CircuitBreakerError as error:
        return error
    raise AssertionError


TOKEN = 'data: {"token": "Hello"}\n\n'
OVERLOADED = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'
TOO_LONG = 'event: error\ndata: {"type": "error", "error": {"type": "invalid_request_error"}}\n\n'


def events(*steps: str | BaseException | Callable[[], object]) -> Handler:
    """A stream of events: each step is one, is raised, or is done."""

    async def generate() -> AsyncIterator[str]:
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            if not isinstance(step, str):
                done = step()
                if inspect.isawaitable(done):
                    await done
            else:
                yield step

    async def handler() -> Response:
        return StreamingResponse(generate(), media_type="text/event-stream")

    return handler


def stalls(shop: Shop) -> Callable[[], object]:
    return lambda: shop.clock.advance(STALLS + 1)


def leaves(shop: Shop) -> Callable[[], object]:
    async def leave() -> None:
        shop.client_leaves.set()
        await asyncio.Event().wait()

    return leave


@row("comes to its end", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(": a comment\n\n", TOKEN, TOKEN))


@row("ends without an event", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(": a comment\n\n"))


@row("breaks before its first event", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(": a comment\n\n", ConnectionError()))


@row("breaks after its first event", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(TOKEN, ConnectionError()))


@row("has an error event as its first", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(OVERLOADED))


@row("has an error event after its first", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(TOKEN, OVERLOADED))


@row("has an error event that is the caller's own fault", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(TOO_LONG))


@row("asks another breaker before its first event", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(rejected_error()))


@row("stalls before its first event", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(stalls(shop), TOKEN))


@row("stalls after its first event", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(TOKEN, stalls(shop), TOKEN))


@row("is left by the client before its first event", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(leaves(shop), TOKEN))


@row("is left by the client after its first event", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(events(TOKEN, leaves(shop)))


# After the response


def in_background(task: Callable[..., Any], *args: Any) -> Handler:
    def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(task, *args)
        return "paid"

    return handler


@row("a background task goes well")
def _(shop: Shop) -> None:
    shop.serves(in_background(returns("mailed")))


@row("a background task raises an exception")
def _(shop: Shop) -> None:
    shop.serves(in_background(raises(ConnectionError())))


@row("a dependency's exit code raises an exception")
def _(shop: Shop) -> None:
    def session() -> Iterator[None]:
        yield
        raise ConnectionError

    shop.serves(returns("paid"), after=[session])


# The client leaves


async def is_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


@row("the request is cancelled while the handler runs", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(is_cancelled)


@row("the client leaves while the handler reads the body", ASYNC)
def _(shop: Shop) -> None:
    async def pay(request: Request) -> str:
        return f"paid {await request.body()!r}"

    shop.method, shop.body = "POST", None
    shop.serves(pay)


@row("the client leaves while FastAPI reads the body")
def _(shop: Shop) -> None:
    shop.method, shop.body = "POST", None
    shop.serves(pay_order)


def left_after(shop: Shop, good: int) -> Handler:
    async def generate() -> AsyncIterator[str]:
        for _ in range(good):
            yield "chunk"
        shop.client_leaves.set()
        if shop.spec_version < "2.4":
            await asyncio.Event().wait()
        yield "a chunk without a client"

    async def handler() -> Response:
        return StreamingResponse(generate())

    return handler


@row("the client leaves before the first chunk of a stream", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(left_after(shop, 0))


@row("the client leaves after the first chunk of a stream", ASYNC)
def _(shop: Shop) -> None:
    shop.serves(left_after(shop, 1))


@row("the server tells so by an `OSError` when the response is sent", ASYNC)
def _(shop: Shop) -> None:
    async def pay() -> Response:
        shop.client_leaves.set()
        return Response("paid")

    shop.spec_version = "2.4"
    shop.serves(pay)


@row("the server tells so when a later chunk is sent", ASYNC)
def _(shop: Shop) -> None:
    shop.spec_version = "2.4"
    shop.serves(left_after(shop, 1))


# Websockets


@row("accepts, and closes", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    shop.talks(talk)


@row("accepts, and returns when the client has left", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect:
            return

    shop.talks(talk)


@row("accepts, and lets `WebSocketDisconnect` out", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    shop.talks(talk)


@row("closes before it accepts", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.close(1008)

    shop.talks(talk)


@row("raises an exception before it accepts", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        raise ConnectionError

    shop.talks(talk)


@row("raises an exception after it has accepted", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ConnectionError

    shop.talks(talk)


@row("closes before it accepts, with code 1011", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.close(1011)

    shop.talks(talk)


@row("raises `WebSocketException(1011)`", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        raise WebSocketException(1011)

    shop.talks(talk)


@row("raises `WebSocketException(1008)`", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        raise WebSocketException(1008)

    shop.talks(talk)


@row("is not called: a parameter is invalid", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket, room: int) -> None:
        await websocket.accept()

    shop.path = "/pay?room=kitchen"
    shop.talks(talk)


@row("is cancelled before it accepts", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await is_cancelled()

    shop.talks(talk)


@row("is cancelled after it has accepted", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await is_cancelled()

    shop.talks(talk)


@row("calls what another breaker rejects, before it accepts", ASYNC)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        rejects()

    shop.talks(talk)


# Slow calls


@row("nothing", SLOW)
def _(shop: Shop) -> None:
    shop.serves(returns("paid"))


def takes_long(shop: Shop) -> Handler:
    def handler() -> str:
        shop.clock.advance(2)
        return "at last"

    return handler


@row("the handler", SLOW)
def _(shop: Shop) -> None:
    shop.serves(takes_long(shop))


@row("a dependency before it", SLOW)
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), before=[takes_long(shop)])


@row("a dependency after it", SLOW)
def _(shop: Shop) -> None:
    shop.serves(returns("paid"), after=[takes_long(shop)])


def slow_after(shop: Shop, good: int) -> Callable[[], Iterator[str]]:
    def generate() -> Iterator[str]:
        yield from ["chunk"] * good
        yield takes_long(shop)()

    return generate


@row("the first chunk of a stream", SLOW)
def _(shop: Shop) -> None:
    shop.serves(streams(slow_after(shop, 0)))


@row("a later chunk of a stream", SLOW)
def _(shop: Shop) -> None:
    shop.serves(streams(slow_after(shop, 1)))


@row("a background task", SLOW)
def _(shop: Shop) -> None:
    shop.serves(in_background(takes_long(shop)))


@row("the handler of a websocket, before it accepts", SLOW)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        takes_long(shop)()
        await websocket.accept()

    shop.talks(talk)


@row("the handler of a websocket, after it has accepted", SLOW)
def _(shop: Shop) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        takes_long(shop)()

    shop.talks(talk)


# The document


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


class Table(NamedTuple):
    """A table of outcomes; one for some older versions of FastAPI replaces rows of the others."""

    is_of_older: bool
    holds: bool
    columns: list[str]
    rows: dict[str, list[str]]


def tables() -> Iterator[Table]:
    is_of_older, holds = False, True
    for heading, table in re.findall(
        r"^#+ (.*)|((?:^\|.*\n)+)", DOCUMENT.read_text(), re.MULTILINE
    ):
        if table:
            head, _, *body = map(cells, table.splitlines())
            yield Table(is_of_older, holds, head[1:], {text: outcomes for text, *outcomes in body})
        else:
            before = re.fullmatch(r"Before FastAPI 0\.(\d+)", heading)
            among = re.fullmatch(r"FastAPI 0\.(\d+) to 0\.(\d+)", heading)
            minor = version_of("fastapi")[1]
            is_of_older = bool(before or among)
            holds = (
                minor < int(before[1])
                if before
                else not among or (int(among[1]) <= minor <= int(among[2]))
            )


def cases() -> Iterator[Any]:
    older = {
        (text, column): outcome
        for table in tables()
        if table.is_of_older and table.holds
        for text, outcomes in table.rows.items()
        for column, outcome in zip(table.columns, outcomes, strict=True)
    }
    for table in tables():
        for text, outcomes in table.rows.items() if not table.is_of_older else ():
            for column, documented in zip(table.columns, outcomes, strict=True):
                outcome = older.get((text, column), documented)
                for kind in ROWS[text].kinds if text in ROWS and outcome != "-" else ():
                    where = f"{text}, {column}, {kind}"
                    yield pytest.param(text, column, kind, outcome, id=where)


@pytest.mark.parametrize("state", ["closed", "half-open"])
@pytest.mark.parametrize(("text", "column", "kind", "outcome"), [*cases()])
async def test_each_documented_request_has_the_documented_outcome(
    text: str, column: str, kind: str, outcome: str, state: str
) -> None:
    shop = Shop(COLUMNS[column], kind)
    judge = default_registry[COLUMNS[column].breaker]
    if state == "half-open":
        judge.half_open()
    ROWS[text].make(shop)
    await shop.visit()
    assert outcome_of(judge, kind) == outcome
    assert_no_permit_is_lost(judge)


def outcome_of(judge: CircuitBreaker, kind: str) -> str:
    if kind == "slow":
        return "slow" if "slow" in judge.snapshot().reason else "no"
    counts = {
        "success": judge.successes,
        "failure": judge.failures,
        "ignored": judge.ignored,
        "rejected": judge.rejected,
    }
    calls = {outcome: count for outcome, count in counts.items() if count}
    assert sum(calls.values()) <= 1
    return next(iter(calls), "no call")


def assert_no_permit_is_lost(judge: CircuitBreaker) -> None:
    if judge.state == "half_open":
        judge.acquire().ignore()


def test_the_documented_rows_and_the_rows_here_are_the_same() -> None:
    documented = [text for table in tables() if not table.is_of_older for text in table.rows]
    assert sorted(documented) == sorted(ROWS)


def test_every_row_of_older_versions_is_a_row_of_the_newest_one() -> None:
    assert {text for table in tables() if table.is_of_older for text in table.rows} <= set(ROWS)


def test_the_document_has_only_known_columns_and_outcomes() -> None:
    words = {"success", "failure", "ignored", "no call", "slow", "no", "-"}
    for table in tables():
        assert set(table.columns) <= set(COLUMNS)
        assert {outcome for outcomes in table.rows.values() for outcome in outcomes} <= words
