"""Transports for httpx: `httpx.AsyncClient(transport=AsyncBreakerTransport())`."""

from collections.abc import Awaitable

import httpx
from httpx import Request, Response

from breaker_asgi.clients.downstream import RejectedError
from breaker_asgi.clients.transport import (
    AsyncBody,
    AsyncGuarded,
    SyncBody,
    SyncGuarded,
)

__all__ = ["AsyncBreakerTransport", "BreakerTransport", "RequestRejectedError"]


class RequestRejectedError(RejectedError, httpx.TransportError):
    """A breaker rejected the request; `request` is what was not sent.

    A `CircuitBreakerError`, and an error of httpx's, so that handlers of those catch it too.
    """


class _AsyncBody(AsyncBody, httpx.AsyncByteStream):
    pass


class _SyncBody(SyncBody, httpx.SyncByteStream):
    pass


_OURS = (httpx.PoolTimeout, httpx.LocalProtocolError, httpx.UnsupportedProtocol)


class AsyncBreakerTransport(
    AsyncGuarded[httpx.AsyncBaseTransport, Request, Response, Response | Awaitable[Response]],
    httpx.AsyncBaseTransport,
):
    """Guards the requests of an `AsyncClient`: a breaker for every origin.

    `transport` sends what is admitted; an `AsyncHTTPTransport` unless another one is given. The
    rest is as for all clients: docs/clients.md tells what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting; its requests raise `RequestRejectedError`.
    """

    _ours = _OURS
    _rejected = RequestRejectedError
    _transport_type = httpx.AsyncBaseTransport
    _default_transport = httpx.AsyncHTTPTransport
    _body = _AsyncBody


class BreakerTransport(
    SyncGuarded[httpx.BaseTransport, Request, Response, Response], httpx.BaseTransport
):
    """Guards the requests of a `Client`, as `AsyncBreakerTransport` does of an `AsyncClient`."""

    _ours = _OURS
    _rejected = RequestRejectedError
    _transport_type = httpx.BaseTransport
    _default_transport = httpx.HTTPTransport
    _body = _SyncBody
