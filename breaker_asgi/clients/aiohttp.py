"""A client middleware for aiohttp: `ClientSession(middlewares=[BreakerClientMiddleware()])`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import StreamReader

from breaker_asgi.clients.downstream import (
    ORIGIN_CONFIG,
    Downstream,
    RejectedError,
    origin_of,
)
from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

    from breaker_asgi.config import BreakerConfig
    from breaker_asgi.permit import Permit

__all__ = ["BreakerClientMiddleware", "RequestRejectedError"]

_OURS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
_SWITCHING_PROTOCOLS = 101


class RequestRejectedError(RejectedError, aiohttp.ClientConnectionError):
    """A breaker rejected the request; `request` is what was not sent.

    A `CircuitBreakerError`, and an error of aiohttp's, so that handlers of those catch it too.
    """

    @property
    def request(self) -> ClientRequest:
        """The request that was not sent."""
        request: ClientRequest = self._request
        return request


class BreakerClientMiddleware:
    """Guards the requests of a `ClientSession`: a breaker for every origin.

    docs/clients.md tells what the settings mean, and what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting; its requests raise `RequestRejectedError`.
    """

    def __init__(
        self,
        *,
        registry: BreakerRegistry = default_registry,
        name: Callable[[ClientRequest], str | None] | None = None,
        config: BreakerConfig = ORIGIN_CONFIG,
        is_failure: Callable[[ClientResponse], object] | None = None,
        fallback: Callable[[ClientRequest, RequestRejectedError], Awaitable[ClientResponse]]
        | None = None,
        honour_retry_after: bool = False,
    ) -> None:
        self._downstream: Downstream[ClientRequest, ClientResponse] = Downstream(
            origin=_origin,
            ours=_OURS,
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
        try:
            response = await handler(request)
        except BaseException as error:
            downstream.raised(permit, _timeout_behind(error, request) or error)
            raise
        self._watch(permit, response)
        return response

    def _watch(self, permit: Permit, response: ClientResponse) -> None:
        """Settle by the head of a response, or by what becomes of its body."""
        downstream = self._downstream
        status, headers = response.status, response.headers
        whole = status == _SWITCHING_PROTOCOLS or response.content.is_eof()
        if downstream.body_decides(permit, response, status, headers, whole=whole):
            response.content.on_eof(permit.success)
            response.content = _Body(response.content, permit, downstream)  # type: ignore[assignment]


class _Body:
    """A response's content, of which one learns whether it breaks."""

    __aiter__: Any = StreamReader.__aiter__  # by the reading methods below
    iter_any: Any = StreamReader.iter_any
    iter_chunks: Any = StreamReader.iter_chunks
    iter_chunked: Any = StreamReader.iter_chunked

    def __init__(self, content: Any, permit: Permit, downstream: Downstream[Any, Any]) -> None:
        self._content = content
        self._permit = permit
        self._downstream = downstream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    def set_exception(self, error: BaseException, *more: Any) -> None:
        """The response was closed unread: nobody wants the rest."""
        self._permit.success()
        self._content.set_exception(error, *more)

    async def _watch(self, reading: Awaitable[Any]) -> Any:
        try:
            return await reading
        except asyncio.IncompleteReadError:
            raise  # the body has ended, just before what was asked for
        except BaseException as error:
            self._downstream.raised(self._permit, error)
            raise

    async def read(self, n: int = -1) -> bytes:
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


def _timeout_behind(error: BaseException, request: ClientRequest) -> TimeoutError | None:
    """The total time limit, which aiohttp shows its middlewares as a cancellation."""
    if isinstance(error, asyncio.CancelledError) and (timer := getattr(request, "_timer", None)):
        try:
            timer.assert_timeout()
        except TimeoutError as timeout:
            return timeout
    return None


def _origin(request: ClientRequest) -> str:
    url = request.url
    return origin_of(url.scheme, url.host or "", url.port)
