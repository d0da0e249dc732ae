"""An adapter for requests: `session.mount("https://", BreakerAdapter())`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "requests"):
    import requests
    from requests.adapters import BaseAdapter, HTTPAdapter
    from urllib3 import exceptions as urllib3
    from urllib3.util import parse_url

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
    from collections.abc import Callable, Iterator

    from requests import PreparedRequest, Response

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.stream_reading import Reading

__all__ = ["BreakerAdapter", "RequestRejectedError", "guard"]

_NETWORK = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.RetryError,
    urllib3.HTTPError,
)
_OURS = (
    urllib3.ClosedPoolError,
    urllib3.EmptyPoolError,
    urllib3.LocationValueError,
    urllib3.InvalidHeader,
)
_ERROR = 400
_IN_MEMORY = (type(None), str, bytes, bytearray, memoryview)


class RequestRejectedError(RejectedError, requests.exceptions.ConnectionError):
    """The rejection of a request by its breaker; `request` was not sent.

    A `CircuitBreakerError`, and an error of requests', so that handlers of those catch it too.
    """

    def __init__(self, *args: Any, request: PreparedRequest | None = None) -> None:
        super().__init__(*args)
        self.request = request
        self.response = None


class BreakerAdapter(HTTPAdapter):
    """An adapter that guards the requests of a `Session`: a breaker for every origin.

    Other arguments are those of requests' own `HTTPAdapter`. docs/clients.md explains the settings,
    and what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting; its requests raise `RequestRejectedError`.
    """

    __attrs__: list[str] = [*HTTPAdapter.__attrs__, "_downstream"]  # noqa: RUF012

    def __init__(
        self,
        *,
        registry: BreakerRegistry = default_registry,
        name: Callable[[PreparedRequest], str | None] | str | None = None,
        config: BreakerConfig = ORIGIN_CONFIG,
        is_failure: Callable[[Response], object] | None = None,
        fallback: Callable[[PreparedRequest, RequestRejectedError], Response] | None = None,
        honour_retry_after: bool = False,
        **adapter: Any,
    ) -> None:
        self._downstream: Downstream[PreparedRequest, Response] = Downstream(
            origin=_origin,
            network=_NETWORK,
            ours=_OURS,
            rejected=RequestRejectedError,
            registry=registry,
            name=name,
            config=config,
            is_failure=is_failure,
            fallback=fallback,
            honour_retry_after=honour_retry_after,
        )
        super().__init__(**adapter)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request, if its breaker admits it."""
        return _send(self._downstream, super().send, request, args, kwargs)


class _GuardedAdapter(BaseAdapter):
    """An adapter around another one, which sends the admitted requests."""

    def __init__(
        self, adapter: BaseAdapter, downstream: Downstream[PreparedRequest, Response]
    ) -> None:
        super().__init__()
        self._adapter = adapter
        self._downstream = downstream

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        return _send(self._downstream, self._adapter.send, request, args, kwargs)

    def close(self) -> None:
        self._adapter.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not set yet, as while it is unpickled
            raise AttributeError(name)
        return getattr(self._adapter, name)


def guard(session: requests.Session, **settings: Any) -> requests.Session:
    """Guard a session that exists, by each adapter that is mounted; return it.

    `rejected`, among the settings, is the class of a rejection for an SDK that owns the session.
    """
    rejected = settings.pop("rejected", RequestRejectedError)
    downstream = BreakerAdapter(**settings)._downstream
    downstream._rejected = rejected
    if all(isinstance(adapter, _GUARDS) for adapter in session.adapters.values()):
        raise guarded_already(session)
    for prefix, adapter in session.adapters.items():
        if not isinstance(adapter, _GUARDS):
            session.adapters[prefix] = _GuardedAdapter(adapter, downstream)
    return session


_GUARDS = (BreakerAdapter, _GuardedAdapter)


def _send(
    downstream: Downstream[PreparedRequest, Response],
    send: Callable[..., Response],
    request: PreparedRequest,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Response:
    try:
        permit = downstream.admit(request)
    except CircuitBreakerError as error:
        answer: Response = downstream.reject(error, request)
        return answer
    if permit is None:
        return send(request, *args, **kwargs)
    sent = _watch_sending(request)
    try:
        response = send(request, *args, **kwargs)
    except BaseException as error:
        downstream.raised(permit, error, sent)
        raise
    finally:
        if sent is not None:
            request.body = sent.body
    status, headers, raw = response.status_code, response.headers, response.raw
    # A hook that raises for the status leaves the rest unread, and nothing closes it.
    whole = status >= _ERROR
    reading = downstream.reading(permit, response, status, headers, sent, whole=whole)
    if reading is not None:
        _watch_reading(raw, reading)
    return response


class _Sent(Sent):
    """The body of a request, in pieces."""

    def __init__(self, body: Any) -> None:
        self.body = body

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.body
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.body, name)


class _SentFile(_Sent):
    """The body of a request, from a file."""

    def read(self, *args: Any) -> bytes:
        try:
            data: bytes = self.body.read(*args)
        except BaseException as error:
            self.error = error
            raise
        return data


def _watch_sending(request: PreparedRequest) -> _Sent | None:
    """Watch over the body of a request, unless it can't break."""
    body: Any = request.body
    if isinstance(body, _IN_MEMORY):
        return None
    sent = _SentFile(body) if hasattr(body, "read") else _Sent(body)
    request.body = sent  # type: ignore[assignment]
    return sent


class _Watched:
    """A response of urllib3's whose reading settles the permit.

    All other ways of reading call these methods.
    """

    _reading: Reading
    _is_read = False
    """True while urllib3 reads: it closes the response then because the body is broken."""

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        data: bytes = self._watch(super().read, *args, **kwargs)  # type: ignore[misc]
        return data

    def read1(self, *args: Any, **kwargs: Any) -> bytes:
        data: bytes = self._watch(super().read1, *args, **kwargs)  # type: ignore[misc]
        return data

    def read_chunked(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        chunks = super().read_chunked(*args, **kwargs)  # type: ignore[misc]
        while (chunk := self._watch(next, chunks, None)) is not None:
            yield chunk
        self._reading.ended()

    def drain_conn(self) -> None:
        super().drain_conn()  # type: ignore[misc]
        self._reading.left()

    def close(self) -> None:
        if not self._is_read:
            self._reading.left()
        super().close()  # type: ignore[misc]

    def _watch(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        outer, self._is_read = self._is_read, True
        if not outer:
            self._reading.waits()
        try:
            data = read(*args, **kwargs)
        except BaseException as error:
            self._reading.broke(error)
            raise
        finally:
            self._is_read = outer
        if not outer and data:
            self._reading.received(data)
        if self.closed:  # type: ignore[attr-defined]
            self._reading.ended()
        return data


@functools.cache
def _watched_class(kind: type) -> type:
    return type(kind.__name__, (_Watched, kind), {"__module__": kind.__module__})


def _watch_reading(raw: Any, reading: Reading) -> None:
    """Watch over the reading of a response's body, unless it is in memory."""
    try:
        raw.__class__ = _watched_class(type(raw))  # type: ignore[arg-type]
    except TypeError:  # not a response of urllib3's, but a `BytesIO`, or none
        reading.ended()
        return
    raw._reading = reading


def _origin(request: PreparedRequest) -> str:
    url = parse_url(request.url or "")
    host = (url.host or "").strip("[]")
    return origin_of(url.scheme or "http", host, url.port)
