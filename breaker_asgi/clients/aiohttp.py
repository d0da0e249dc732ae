"""A client middleware for aiohttp: `ClientSession(middlewares=[BreakerClientMiddleware()])`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "aiohttp"):
    import aiohttp
    from aiohttp import StreamReader
    from aiohttp.http import HttpProcessingError
    from aiohttp.payload import BytesPayload, Payload

from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi.clients.downstream import (
    ORIGIN_CONFIG,
    Downstream,
    RejectedError,
    Sent,
    guarded_already,
    origin_of,
)
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.permit import Permit
    from breaker_asgi._core.stream_reading import Reading

__all__ = ["BreakerClientMiddleware", "RequestRejectedError", "guard"]

_ERROR = 400
_NETWORK = (
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
    HttpProcessingError,
    OSError,
)


class RequestRejectedError(RejectedError, aiohttp.ClientConnectionError):
    """The rejection of a request by its breaker; `request` was not sent.

    A `CircuitBreakerError`, and an error of aiohttp's, so that handlers of those catch it too.
    """

    @property
    def request(self) -> ClientRequest:
        """The request that was not sent."""
        request: ClientRequest = self._request
        return request


class BreakerClientMiddleware:
    """A middleware that guards the requests of a `ClientSession`: a breaker for every origin.

    docs/clients.md explains the settings, and what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting; its requests raise `RequestRejectedError`.
    """

    def __init__(
        self,
        *,
        registry: BreakerRegistry = default_registry,
        name: Callable[[ClientRequest], str | None] | str | None = None,
        config: BreakerConfig = ORIGIN_CONFIG,
        is_failure: Callable[[ClientResponse], object] | None = None,
        fallback: Callable[[ClientRequest, RequestRejectedError], Awaitable[ClientResponse]]
        | None = None,
        honour_retry_after: bool = False,
    ) -> None:
        self._downstream: Downstream[ClientRequest, ClientResponse] = Downstream(
            origin=_origin,
            network=_NETWORK,
            rejected=RequestRejectedError,
            registry=registry,
            name=name,
            config=config,
            is_failure=is_failure,
            fallback=fallback,
            honour_retry_after=honour_retry_after,
        )

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send a request, if its breaker admits it."""
        downstream = self._downstream
        try:
            permit = await downstream.admit_async(request)
        except CircuitBreakerError as error:
            answer: ClientResponse = await downstream.reject(error, request)
            return answer
        if permit is None:
            return await handler(request)
        sent = _watch_sending(request)
        try:
            response = await handler(request)
        except BaseException as error:
            self._raised(permit, error, request, sent)
            raise
        self._watch(permit, response, sent)
        return response

    def _raised(
        self, permit: Permit, error: BaseException, request: ClientRequest, sent: Sent | None
    ) -> None:
        """Settle by the exception that sending a request has raised."""
        if request.session.closed:
            permit.ignore(error)  # while it waited for a connection, or for an answer
            return
        judged = _judged(error, request)
        self._downstream.raised(permit, judged, sent)
        if isinstance(error, asyncio.CancelledError):
            vars(error).update(vars(judged))  # its note: this is the cause of the caller's error

    def _watch(self, permit: Permit, response: ClientResponse, sent: Sent | None) -> None:
        """Settle by the head of a response, or by the reading of its body."""
        status, headers, content = response.status, response.headers, response.content
        reading = self._downstream.reading(
            permit, response, status, headers, sent, whole=content.is_eof()
        )
        if reading is not None:
            response.content = _Body(content, reading)  # type: ignore[assignment]
            if not reading.is_of_events:  # it needs the pieces before the end
                content.on_eof(reading.ended)
        elif status >= _ERROR:
            response.raise_for_status = _RaisesFor(response)  # type: ignore[method-assign]


class _RaisesFor:
    """A failed response's `raise_for_status`: its error leads to the response, as httpx's does.

    So a breaker that has counted the response does not count the error again.
    """

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    def __call__(self) -> None:
        response = self._response
        try:
            type(response).raise_for_status(response)
        except aiohttp.ClientResponseError as error:
            vars(error)["response"] = response
            raise


class _Body:
    """A response's content, whose reading settles the call."""

    __aiter__: Any = StreamReader.__aiter__  # they call the methods below
    iter_any: Any = StreamReader.iter_any
    iter_chunks: Any = StreamReader.iter_chunks
    iter_chunked: Any = StreamReader.iter_chunked

    def __init__(self, content: Any, reading: Reading) -> None:
        self._content = content
        self._reading = reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    def set_exception(self, error: BaseException, *more: Any) -> None:
        """Settle a response that was closed unread."""
        self._reading.left()
        self._content.set_exception(error, *more)

    async def _watch(self, reads: Awaitable[Any]) -> Any:
        self._reading.waits()
        try:
            data = await reads
        except asyncio.IncompleteReadError:
            raise  # the body has ended before the size requested
        except BaseException as error:
            self._reading.broke(error)
            raise
        piece = data[0] if isinstance(data, tuple) else data
        if piece:
            self._reading.received(piece)
        if self._content.at_eof():
            self._reading.ended()
        return data

    async def read(self, n: int = -1) -> bytes:
        if n < 0 and self._reading.is_of_events:  # to receive each piece as it comes
            return b"".join([piece async for piece in self.iter_any()])
        data: bytes = await self._watch(self._content.read(n))
        return data

    async def readany(self) -> bytes:
        data: bytes = await self._watch(self._content.readany())
        return data

    async def readchunk(self) -> tuple[bytes, bool]:
        chunk: tuple[bytes, bool] = await self._watch(self._content.readchunk())
        return chunk

    async def readexactly(self, n: int) -> bytes:
        data: bytes = await self._watch(self._content.readexactly(n))
        return data

    async def readline(self, **limits: Any) -> bytes:
        data: bytes = await self._watch(self._content.readline(**limits))
        return data

    async def readuntil(self, separator: bytes = b"\n", **limits: Any) -> bytes:
        data: bytes = await self._watch(self._content.readuntil(separator, **limits))
        return data


class _Sent(Sent):
    """The body of a request, written through a writer whose errors are the network's."""

    def __init__(self, body: Payload) -> None:
        self._body = body
        body.write_with_length = self.write_with_length  # type: ignore[assignment,method-assign]

    async def write_with_length(self, writer: Any, length: int | None) -> None:
        watched = _Writer(writer)
        try:
            await type(self._body).write_with_length(self._body, watched, length)  # type: ignore[arg-type]
        except Exception as error:
            if watched.error is None:
                self.error = error
            raise


class _Writer:
    """A writer to the network, which keeps the network's errors."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.error: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    async def _watch(self, writing: Awaitable[None]) -> None:
        try:
            await writing
        except BaseException as error:
            self.error = error
            raise

    async def write(self, *args: Any, **kwargs: Any) -> None:
        await self._watch(self._writer.write(*args, **kwargs))

    async def write_eof(self, *args: Any, **kwargs: Any) -> None:
        await self._watch(self._writer.write_eof(*args, **kwargs))

    async def drain(self) -> None:
        await self._watch(self._writer.drain())


def _watch_sending(request: ClientRequest) -> Sent | None:
    """Watch over the body of a request, unless it can't break."""
    body = request.body
    if isinstance(body, Payload) and not isinstance(body, BytesPayload):
        return _Sent(body)
    return None


def _judged(error: BaseException, request: ClientRequest) -> BaseException:
    """Return the error to judge: a time limit, or an answer that is not HTTP.

    aiohttp gives the latter the status 400, which no server has sent.
    """
    if isinstance(error.__cause__, HttpProcessingError):
        return error.__cause__
    return _timeout_behind(error, request) or error


def guard(session: aiohttp.ClientSession, **settings: Any) -> aiohttp.ClientSession:
    """Guard a session that exists, inside of the middlewares that it has; return it."""
    middlewares = session._middlewares
    if any(isinstance(middleware, BreakerClientMiddleware) for middleware in middlewares):
        raise guarded_already(session)
    session._middlewares = (*middlewares, BreakerClientMiddleware(**settings))
    return session


def _timeout_behind(error: BaseException, request: ClientRequest) -> TimeoutError | None:
    """Return the total time limit, which reaches middlewares as a cancellation."""
    if isinstance(error, asyncio.CancelledError) and (timer := getattr(request, "_timer", None)):
        try:
            timer.assert_timeout()
        except TimeoutError as timeout:
            return timeout
    return None


def _origin(request: ClientRequest) -> str:
    url = request.url
    return origin_of(url.scheme, url.host or "", url.port)
