"""Transports for httpx2: `httpx2.AsyncClient(transport=AsyncBreakerTransport())`."""

from collections.abc import Awaitable
from typing import Any, TypeVar

from breaker_asgi._core.extras import needs

with needs(__name__, "httpx2"):
    import httpx2
    from httpx2 import Request, Response

from breaker_asgi.clients.bodies import AsyncBody, SentStream, SyncBody
from breaker_asgi.clients.downstream import RejectedError
from breaker_asgi.clients.transport import AsyncGuardedTransport, SyncGuardedTransport
from breaker_asgi.clients.transport import guard as guard_transports

__all__ = ["AsyncBreakerTransport", "BreakerTransport", "RequestRejectedError", "guard"]

AnyClient = TypeVar("AnyClient", bound="httpx2.Client | httpx2.AsyncClient")


class RequestRejectedError(RejectedError, httpx2.TransportError):
    """The rejection of a request by its breaker; `request` was not sent.

    A `CircuitBreakerError`, and an error of httpx2's, so that handlers of those catch it too.
    """


class _AsyncBody(AsyncBody, httpx2.AsyncByteStream):
    pass


class _SyncBody(SyncBody, httpx2.SyncByteStream):
    pass


class _Sent(SentStream, httpx2.AsyncByteStream, httpx2.SyncByteStream):
    pass


_NETWORK = (httpx2.TransportError, OSError)
_OURS = (httpx2.PoolTimeout, httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)


class AsyncBreakerTransport(
    AsyncGuardedTransport[
        httpx2.AsyncBaseTransport, Request, Response, Response | Awaitable[Response]
    ],
    httpx2.AsyncBaseTransport,
):
    """A transport that guards the requests of an `AsyncClient`: a breaker for every origin.

    `transport` sends the admitted requests; the default is an `AsyncHTTPTransport`, whose settings
    (`verify`, `http2`, `limits`, `proxy`, ...) are taken here. The rest is as for all clients:
    docs/clients.md explains what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting; its requests raise `RequestRejectedError`.
    """

    _network = _NETWORK
    _ours = _OURS
    _in_memory = httpx2.ByteStream
    _sent = _Sent
    _rejected = RequestRejectedError
    _transport_type = httpx2.AsyncBaseTransport
    _default_transport = httpx2.AsyncHTTPTransport
    _body = _AsyncBody


class BreakerTransport(
    SyncGuardedTransport[httpx2.BaseTransport, Request, Response, Response], httpx2.BaseTransport
):
    """A transport that guards the requests of a `Client`, as `AsyncBreakerTransport` does."""

    _network = _NETWORK
    _ours = _OURS
    _in_memory = httpx2.ByteStream
    _sent = _Sent
    _rejected = RequestRejectedError
    _transport_type = httpx2.BaseTransport
    _default_transport = httpx2.HTTPTransport
    _body = _SyncBody


def guard(client: AnyClient, **settings: Any) -> AnyClient:
    """Guard a client that exists: its transport, and each of its mounts; return it."""
    is_async = isinstance(client, httpx2.AsyncClient)
    guard_transports(client, AsyncBreakerTransport if is_async else BreakerTransport, settings)
    return client
