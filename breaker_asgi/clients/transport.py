"""The transports of httpx and httpx2: one code for both, as their classes do not mix."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypedDict, TypeVar, Unpack

from breaker_asgi._core import validation
from breaker_asgi._core.errors import BreakerConfigError, CircuitBreakerError
from breaker_asgi.clients.downstream import (
    ORIGIN_CONFIG,
    Downstream,
    RejectedError,
    guarded_already,
    origin_of,
)
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.permit import Permit
    from breaker_asgi._core.stream_reading import Reading
    from breaker_asgi.clients.bodies import AsyncBody, SentStream, SyncBody

Transport = TypeVar("Transport")
Request = TypeVar("Request")
Response = TypeVar("Response")
FallbackResult = TypeVar("FallbackResult")
"""The result of a fallback: a response, or for an async client an awaitable of one."""


class HTTPSettings(TypedDict, total=False):
    """The settings of the library's own HTTP transport, whose documentation explains them."""

    verify: Any
    cert: Any
    http1: bool
    http2: bool
    limits: Any
    trust_env: bool
    proxy: Any
    uds: str | None
    local_address: str | None
    retries: int
    socket_options: Any


class GuardedTransport(Generic[Transport, Request, Response, FallbackResult]):
    """The base of the sync and the async transport."""

    _network: ClassVar[tuple[type[BaseException], ...]]
    _ours: ClassVar[tuple[type[BaseException], ...]]
    _rejected: ClassVar[type[RejectedError]]
    _transport_type: ClassVar[type]
    _default_transport: ClassVar[type]
    _in_memory: ClassVar[type]
    """The class of request bodies that can't break."""
    _sent: ClassVar[type[SentStream]]

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        registry: BreakerRegistry = default_registry,
        name: Callable[[Request], str | None] | str | None = None,
        config: BreakerConfig = ORIGIN_CONFIG,
        is_failure: Callable[[Response], object] | None = None,
        fallback: Callable[[Request, RejectedError], FallbackResult] | None = None,
        honour_retry_after: bool = False,
        **http: Unpack[HTTPSettings],
    ) -> None:
        kind = self._transport_type
        if not isinstance(transport, kind | None):
            library = self._default_transport.__module__.partition(".")[0]
            allowed = f"an object of class {kind.__name__}, of {library}"
            raise validation.not_allowed("transport", transport, allowed, "Leave it out for HTTP")
        if transport is not None and http:
            setting, value = next(iter(http.items()))
            remedy = f"Write {type(transport).__name__}({setting}=...)"
            raise validation.has_no_effect(setting, value, "transport= does the work", remedy)
        self._downstream: Downstream[Any, Any] = Downstream(
            origin=origin,
            network=self._network,
            ours=self._ours,
            rejected=self._rejected,
            registry=registry,
            name=name,
            config=config,
            is_failure=is_failure,
            fallback=fallback,
            honour_retry_after=honour_retry_after,
        )
        self._transport: Any = self._default_transport(**http) if transport is None else transport

    def _watch_sending(self, request: Any) -> SentStream | None:
        """Watch over the body of a request, unless it can't break."""
        stream = request.stream
        if isinstance(stream, self._in_memory):
            return None
        request.stream = sent = self._sent(stream)
        return sent

    def _reading(self, permit: Permit, response: Any, sent: SentStream | None) -> Reading | None:
        """Return the reading of a response's body, unless its head has settled `permit`."""
        status, headers, whole = response.status_code, response.headers, response.is_closed
        reading = self._downstream.reading(permit, response, status, headers, sent, whole=whole)
        if reading is not None and whole:  # from a transport that caches, or is in memory
            reading.received(response.content)
            reading.ended()
            return None
        return reading


class AsyncGuardedTransport(GuardedTransport[Transport, Request, Response, FallbackResult]):
    """The async transport. Its sync methods refuse a client of the other kind."""

    _body: ClassVar[type[AsyncBody]]

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request, if its breaker admits it."""
        try:
            permit = await self._downstream.admit_async(request)
        except CircuitBreakerError as error:
            answer = self._downstream.reject(error, request)
            return await answer if inspect.isawaitable(answer) else answer
        if permit is None:
            return await self._transport.handle_async_request(request)
        sent = self._watch_sending(request)
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            self._downstream.raised(permit, error, sent)
            raise
        finally:
            if sent is not None and request.stream is sent:
                request.stream = sent.stream
        if (reading := self._reading(permit, response, sent)) is not None:
            response.stream = self._body(response.stream, reading)
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exception: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exception, traceback)

    def handle_request(self, request: Any) -> NoReturn:  # noqa: ARG002
        raise _other_kind(self, "a Client needs BreakerTransport")

    def __enter__(self) -> NoReturn:
        raise _other_kind(self, "a Client needs BreakerTransport")

    def __exit__(self, *_: object) -> None:
        """Do nothing: it was not entered."""

    def close(self) -> None:
        """Do nothing: no request was sent."""


class SyncGuardedTransport(GuardedTransport[Transport, Request, Response, FallbackResult]):
    """The sync transport. Its async methods refuse a client of the other kind."""

    _body: ClassVar[type[SyncBody]]

    def handle_request(self, request: Any) -> Any:
        """Send a request, if its breaker admits it."""
        try:
            permit = self._downstream.admit(request)
        except CircuitBreakerError as error:
            return self._downstream.reject(error, request)
        if permit is None:
            return self._transport.handle_request(request)
        sent = self._watch_sending(request)
        try:
            response = self._transport.handle_request(request)
        except BaseException as error:
            self._downstream.raised(permit, error, sent)
            raise
        finally:
            if sent is not None and request.stream is sent:
                request.stream = sent.stream
        if (reading := self._reading(permit, response, sent)) is not None:
            response.stream = self._body(response.stream, reading)
        return response

    def close(self) -> None:
        """Close the inner transport."""
        self._transport.close()

    def __enter__(self) -> Self:
        self._transport.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exception: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._transport.__exit__(exc_type, exception, traceback)

    async def handle_async_request(self, request: Any) -> NoReturn:  # noqa: ARG002
        raise _other_kind(self, "an AsyncClient needs AsyncBreakerTransport")

    async def __aenter__(self) -> NoReturn:
        raise _other_kind(self, "an AsyncClient needs AsyncBreakerTransport")

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: it was not entered."""

    async def aclose(self) -> None:
        """Do nothing: no request was sent."""


def _other_kind(transport: object, why: str) -> BreakerConfigError:
    name = type(transport).__name__
    fitting = why.rpartition(" ")[2]
    return BreakerConfigError(
        f"transport={name}() is not allowed here: {why}. Write transport={fitting}(...)."
    )


def guard(
    client: Any, transport: type[GuardedTransport[Any, Any, Any, Any]], settings: Any
) -> None:
    """Put a breaker transport around the transport of a client, and around each of its mounts.

    `rejected`, among the settings, is the class of a rejection for an SDK that owns the client.
    Raises `BreakerConfigError` if each of them has one already.
    """
    if rejected := settings.pop("rejected", None):
        transport = type(transport.__name__, (transport,), {"_rejected": rejected})
    mounts = {pattern: mount for pattern, mount in client._mounts.items() if mount is not None}
    if all(isinstance(inner, GuardedTransport) for inner in (client._transport, *mounts.values())):
        raise guarded_already(client)
    outer = {
        id(inner): inner if isinstance(inner, GuardedTransport) else transport(inner, **settings)
        for inner in (client._transport, *mounts.values())
    }
    client._transport = outer[id(client._transport)]
    client._mounts.update({pattern: outer[id(mount)] for pattern, mount in mounts.items()})


def origin(request: Any) -> str:
    """Return the name of the breaker: scheme, host and port, the latter always given."""
    url = request.url
    return origin_of(url.scheme, url.host, url.port)
