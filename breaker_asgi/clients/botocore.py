"""The clients of boto3 and aiobotocore, by the events of botocore: `guard(boto3.client("s3"))`."""

from __future__ import annotations

import importlib
import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from breaker_asgi._core.extras import needs

with needs(__name__, "botocore"):
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,  # noqa: A004
        HTTPClientError,
        IncompleteReadError,
        InvalidProxiesConfigError,
        ResponseStreamingError,
    )

from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from breaker_asgi._core.profiles.services import THROTTLED
from breaker_asgi.clients.downstream import (
    Downstream,
    RejectedError,
    guarded_already,
    origin_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from breaker_asgi._core.permit import Permit

__all__ = ["RequestRejectedError", "guard"]

_ERROR = 300
_THROTTLED = 503
"""Stands for the status of a throttled request, which may be 400."""
_NETWORK = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError, OSError)
_OURS = (InvalidProxiesConfigError,)


class RequestRejectedError(RejectedError, BotoCoreError):
    """The rejection of a request by its breaker; `request` was not sent.

    A `CircuitBreakerError`, and an error of botocore's that none of its retry modes repeats.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args

    @property
    def request(self) -> Any:
        """The request that was not sent, an `AWSPreparedRequest`."""
        return self._request


class _Attempt:
    """The attempt that an operation has under way, with its permit."""

    permit: Permit | None = None


_attempt: ContextVar[_Attempt | None] = ContextVar("breaker_asgi.botocore", default=None)


class _Guard:
    """Hooks that admit each attempt of an operation, and settle it by its response."""

    def __init__(self, downstream: Downstream[Any, Mapping[str, Any]]) -> None:
        self._downstream = downstream

    def before_send(self, request: Any, **_: Any) -> Any:
        """Return the response that replaces a rejected request, or None to send it."""
        return self._sent(request, self._downstream.admit)

    async def before_send_async(self, request: Any, **_: Any) -> Any:
        """Return the same as `before_send`, waiting for a probe that a store lends."""
        try:
            permit = await self._downstream.admit_async(request)
        except CircuitBreakerError as error:
            answer = self._downstream.reject(error, request)
            return await answer if inspect.isawaitable(answer) else answer
        return self._sent(request, lambda _: permit)

    def _sent(self, request: Any, admit: Callable[[Any], Permit | None]) -> Any:
        try:
            permit = admit(request)
        except CircuitBreakerError as error:
            return self._downstream.reject(error, request)
        attempt = _attempt.get()
        if attempt is not None:
            attempt.permit = permit
        elif permit is not None:
            permit.ignore()
        return None

    def response_received(
        self,
        response_dict: Mapping[str, Any] | None,
        parsed_response: Mapping[str, Any] | None,
        exception: Exception | None,
        **_: Any,
    ) -> None:
        attempt = _attempt.get()
        permit = None if attempt is None else attempt.permit
        if attempt is None or permit is None:
            return
        attempt.permit = None
        if exception is not None:
            self._downstream.raised(permit, exception)
        elif response_dict is not None and parsed_response is not None:
            self._judge(permit, response_dict["status_code"], response_dict, parsed_response)

    def _judge(
        self,
        permit: Permit,
        status: int,
        response: Mapping[str, Any],
        parsed: Mapping[str, Any],
    ) -> None:
        """Settle by a response; one that is an error is judged as the error that it becomes."""
        downstream, outcome = self._downstream, SUCCESS
        error: Exception | None = None
        if status >= _ERROR:
            error = ClientError(dict(parsed), response["context"]["operation_name"])
            throttled = parsed.get("Error", {}).get("Code") in THROTTLED
            vars(error)["status_code"] = _THROTTLED if throttled else status
            outcome = permit.breaker.outcome_of(error)
        if outcome is not IGNORED:
            failed = downstream.is_failure(parsed, usual=outcome is FAILURE)
            outcome = FAILURE if failed else SUCCESS
        downstream.wait(permit, status, response["headers"], failed=outcome is FAILURE)
        permit._settle(outcome, error)

    def around(self, make_request: Callable[..., Any]) -> Callable[..., Any]:
        """Return an endpoint's `make_request`, after which no permit is left unsettled."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            with self._attempting():
                return make_request(*args, **kwargs)

        return guarded

    def around_async(self, make_request: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same as `around`, for aiobotocore."""

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            with self._attempting():
                return await make_request(*args, **kwargs)

        return guarded

    @contextmanager
    def _attempting(self) -> Iterator[None]:
        """Settle a permit that the block leaves unsettled.

        No event reports that an attempt was cancelled, or that the body of its response broke.
        """
        attempt = _Attempt()
        token = _attempt.set(attempt)
        try:
            yield
        except BaseException as error:
            if attempt.permit is not None:
                self._downstream.raised(attempt.permit, error)
            raise
        finally:
            _attempt.reset(token)


def guard(client: Any, **settings: Any) -> Any:
    """Guard a client that exists, or that of a resource; return it."""
    target = getattr(client.meta, "client", client)
    endpoint, events = target._endpoint, target.meta.events
    is_async = inspect.iscoroutinefunction(endpoint._send_request)
    network: tuple[type[BaseException], ...] = _NETWORK
    if is_async:
        network = (*network, importlib.import_module("aiohttp").ClientError)
    guarding = _Guard(
        Downstream(
            origin=_origin,
            network=network,
            ours=_OURS,
            rejected=RequestRejectedError,
            **settings,
        )
    )
    if "make_request" in vars(endpoint):
        raise guarded_already(client)
    around = guarding.around_async if is_async else guarding.around
    endpoint.make_request = around(endpoint.make_request)
    ask = guarding.before_send_async if is_async else guarding.before_send
    events.register_first("before-send", ask)  # before the wait of the adaptive mode
    events.register_first("response-received", guarding.response_received)
    return client


def _origin(request: Any) -> str:
    url = urlsplit(request.url)
    return origin_of(url.scheme, url.hostname or "", url.port)
