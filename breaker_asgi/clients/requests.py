"""An adapter for requests: `session.mount("https://", BreakerAdapter())`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

from breaker_asgi.clients.downstream import (
    ORIGIN_CONFIG,
    Downstream,
    RejectedError,
    origin_of,
)
from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from requests import PreparedRequest, Response

    from breaker_asgi.config import BreakerConfig
    from breaker_asgi.permit import Permit

__all__ = ["BreakerAdapter", "RequestRejectedError"]

_OURS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
)


class RequestRejectedError(RejectedError, requests.exceptions.ConnectionError):
    """A breaker rejected the request; `request` is what was not sent.

    A `CircuitBreakerError`, and an error of requests', so that handlers of those catch it too.
    """

    def __init__(self, *said: Any, request: PreparedRequest | None = None) -> None:
        super().__init__(*said)
        self.request = request
        self.response = None


class BreakerAdapter(HTTPAdapter):
    """Guards the requests of a `Session`: a breaker for every origin.

    What it takes beside the settings is for requests' own `HTTPAdapter`. docs/clients.md tells what
    the settings mean, and what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting; its requests raise `RequestRejectedError`.
    """

    def __init__(
        self,
        *,
        registry: BreakerRegistry = default_registry,
        name: Callable[[PreparedRequest], str | None] | None = None,
        config: BreakerConfig = ORIGIN_CONFIG,
        is_failure: Callable[[Response], object] | None = None,
        fallback: Callable[[PreparedRequest, RequestRejectedError], Response] | None = None,
        honour_retry_after: bool = False,
        **adapter: Any,
    ) -> None:
        self._downstream: Downstream[PreparedRequest, Response] = Downstream(
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
        super().__init__(**adapter)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request, if its breaker admits it."""
        downstream = self._downstream
        try:
            permit = downstream.admit(request)
        except CircuitBreakerError as error:
            answer: Response = downstream.reject(error, request)
            return answer
        if permit is None:
            return super().send(request, *args, **kwargs)
        try:
            response = super().send(request, *args, **kwargs)
        except BaseException as error:
            downstream.raised(permit, error)
            raise
        if downstream.body_decides(permit, response, response.status_code, response.headers):
            _Body(response.raw, permit, downstream)
        return response


class _Body:
    """Watches over the reading of a response's body."""

    _reading = False
    """Whether urllib3 reads: what it closes then, it closes because the body is broken."""

    def __init__(self, raw: Any, permit: Permit, downstream: Downstream[Any, Any]) -> None:
        self._permit = permit
        self._downstream = downstream
        self._stream, self._read, self._close = raw.stream, raw.read, raw.close
        raw.stream, raw.read, raw.close = self.stream, self.read, self.close

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        chunks = self._stream(*args, **kwargs)
        while (chunk := self._watch(next, chunks, None)) is not None:
            yield chunk
        self._permit.success()

    def read(self, amt: int | None = None, *args: Any, **kwargs: Any) -> bytes:
        data: bytes = self._watch(self._read, amt, *args, **kwargs)
        if not data and amt != 0:
            self._permit.success()
        return data

    def close(self) -> None:
        if not self._reading:
            self._permit.success()  # nobody wants the rest
        self._close()

    def _watch(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._reading = True
        try:
            return read(*args, **kwargs)
        except BaseException as error:
            self._downstream.raised(self._permit, error)
            raise
        finally:
            self._reading = False


def _origin(request: PreparedRequest) -> str:
    url = parse_url(request.url or "")
    host = (url.host or "").strip("[]")
    return origin_of(url.scheme or "http", host, url.port)
