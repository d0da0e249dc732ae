"""Transports for httpx: `httpx.AsyncClient(transport=AsyncBreakerTransport())`."""

from collections.abc import Awaitable
from typing import Any, TypeVar

from breaker_asgi._core.extras import needs

with needs(__name__, "httpx"):
    import httpx
    from httpx import Request, Response

from breaker_asgi.clients.bodies import AsyncBody, SentStream, SyncBody
from breaker_asgi.clients.downstream import RejectedError
from breaker_asgi.clients.transport import AsyncGuardedTransport, SyncGuardedTransport
from breaker_asgi.clients.transport import guard as guard_transports

__all__ = ["AsyncBreakerTransport", "BreakerTransport", "RequestRejectedError", "guard"]

AnyClient = TypeVar("AnyClient", bound="httpx.Client | httpx.AsyncClient")


class RequestRejectedError(RejectedError, httpx.TransportError):
    """The rejection of a request by its breaker; `request` was not sent.

    A `CircuitBreakerError`, and an error of httpx's, so that handlers of those catch it too.
    """


class _AsyncBody(AsyncBody, httpx.AsyncByteStream):
    pass


class _SyncBody(SyncBody, httpx.SyncByteStream):
    pass


class _Sent(SentStream, httpx.AsyncByteStream, httpx.SyncByteStream):
    pass


_NETWORK = (httpx.TransportError, OSError)
_OURS = (httpx.PoolTimeout, httpx.LocalProtocolError, httpx.UnsupportedProtocol)


class AsyncBreakerTransport(
    AsyncGuardedTransport[
        httpx.AsyncBaseTransport, Request, Response, Response | Awaitable[Response]
    ],
    httpx.AsyncBaseTransport,
):
    """A transport that guards the requests of an `AsyncClient`: a breaker for every origin.

    `transport` sends the admitted requests; the default is an `AsyncHTTPTransport`, whose settings
    (`verify`, `http2`, `limits`, `proxy`, ...) are taken here. The rest is as for all clients:
    docs/clients.md explains what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting; its requests raise `RequestRejectedError`.
    """

    _network = _NETWORK
    _ours = _OURS
    _in_memory = httpx.ByteStream
    _sent = _Sent
    _rejected = RequestRejectedError
    _transport_type = httpx.AsyncBaseTransport
    _default_transport = httpx.AsyncHTTPTransport
    _body = _AsyncBody


class BreakerTransport(
    SyncGuardedTransport[httpx.BaseTransport, Request, Response, Response], httpx.BaseTransport
):
    """A transport that guards the requests of a `Client`, as `AsyncBreakerTransport` does."""

    _network = _NETWORK
    _ours = _OURS
    _in_memory = httpx.ByteStream
    _sent = _Sent
    _rejected = RequestRejectedError
    _transport_type = httpx.BaseTransport
    _default_transport = httpx.HTTPTransport
    _body = _SyncBody


def guard(client: AnyClient, **settings: Any) -> AnyClient:
    """Guard a client that exists: its transport, and each of its mounts; return it."""
    is_async = isinstance(client, httpx.AsyncClient)
    guard_transports(client, AsyncBreakerTransport if is_async else BreakerTransport, settings)
    return client
