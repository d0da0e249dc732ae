"""Responses to rejected requests: the plain 503, or a fallback."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from json import dumps
from typing import TYPE_CHECKING, Any, TypeAlias

from breaker_asgi._core import validation
from breaker_asgi._core.logs import log_once
from breaker_asgi._core.signatures import signature_of
from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.asgi.requests import request_of
from breaker_asgi.asgi.responses import (
    JSON,
    TEXT,
    UNAVAILABLE,
    Response,
    can_answer_handshakes,
    rejection,
    rejection_headers,
    retry_after,
)
from breaker_asgi.middleware.last_good import LastGood

if TYPE_CHECKING:
    from breaker_asgi._core.errors import CircuitBreakerError
    from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send

Content: TypeAlias = "ASGIApp | Mapping[str, Any] | str"
_Ready: TypeAlias = "Content | LastGood | type[dict[str, Any] | str]"
Fallback: TypeAlias = "_Ready | Callable[[Any, CircuitBreakerError], Content | Awaitable[Content]]"
"""A string (text), a mapping (JSON), an ASGI application (a Starlette response is one), `LastGood`,
or a function, sync or async, that makes one of the first three from the request and the error. The
request is Starlette's where that is installed, and the scope where it is not. The types `dict` and
`str` stand for an empty one."""

_ALLOWED = (
    "a string, a mapping for JSON, an ASGI application, LastGood(), or a function of the request "
    "and the error"
)
_ERROR = 400
_OF_A_FUNCTION, _OF_AN_APPLICATION = 2, 3
"""Numbers of their arguments."""


class RejectionResponse:
    """The response to rejected requests. If a fallback fails, it is logged and the 503 is sent."""

    def __init__(self, fallback: Fallback | None = None, *, show_name: bool = False) -> None:
        """Raises `BreakerConfigError` for a wrong fallback."""
        fallback = {} if fallback is dict else "" if fallback is str else fallback
        self._fallback = fallback
        self._is_function = callable(fallback) and _takes(fallback, _OF_A_FUNCTION)
        if not (fallback is None or self._is_function or _is_content(fallback)):
            remedy = "A response of Starlette is an ASGI application"
            raise validation.not_allowed("fallback", fallback, _ALLOWED, remedy)
        self._show_name = show_name
        self.is_plain = fallback is None

    @property
    def last_good(self) -> LastGood | None:
        """The fallback, if it keeps good responses."""
        return self._fallback if isinstance(self._fallback, LastGood) else None

    def __call__(
        self, error: CircuitBreakerError, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Respond to one request that was rejected by `error`."""
        if self.is_plain:
            return self._plain(error, scope)(scope, receive, send)
        return self._fall_back(error, scope, receive, send)

    def _plain(self, error: CircuitBreakerError, scope: Scope) -> Response:
        return self.plain(error.name, error.retry_after, scope)

    def plain(self, name: str, wait: float, scope: Scope) -> Response:
        """Return the 503 to a request that the breaker called `name` has rejected."""
        return rejection(wait, scope, name if self._show_name else None)

    async def _fall_back(
        self, error: CircuitBreakerError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            kind = message["type"]
            if not kind.startswith("websocket.http.") or can_answer_handshakes(scope):
                started = True
                is_start = kind.endswith("http.response.start")
                await send(_with_retry_after(message, error) if is_start else message)

        try:
            content = await self._content(error, scope, receive)
            await content(scope, receive, watch)
        except Exception as failure:
            log_once(self._fallback, "fallback", failure, error)
            if started:
                raise
        if not started:
            await self._plain(error, scope)(scope, receive, send)

    async def _content(self, error: CircuitBreakerError, scope: Scope, receive: Receive) -> ASGIApp:
        content: Any = self._fallback
        if self._is_function:
            content = content(request_of(scope, receive), error)
            if inspect.isawaitable(content):
                content = await content
        if isinstance(content, str | Mapping):
            headers = rejection_headers(retry_after(error.retry_after))
            content = Response(UNAVAILABLE, *_content_of(content), headers)
        app: ASGIApp = content
        return app


def _is_content(fallback: object) -> bool:
    if not isinstance(fallback, str | Mapping):
        return callable(fallback) and _takes(fallback, _OF_AN_APPLICATION)
    try:
        _content_of(fallback)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _content_of(body: str | Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the content type of a string or a mapping, and its text."""
    if isinstance(body, str):
        return TEXT, body.encode()
    return JSON, dumps(dict(body), allow_nan=False).encode()


def _with_retry_after(start: Message, error: CircuitBreakerError) -> Message:
    """Return the start of a response, with `Retry-After` if it is an error without one."""
    headers = headers_of(start)
    if start["status"] < _ERROR or any(name.lower() == b"retry-after" for name, _ in headers):
        return start
    field = (b"retry-after", b"%d" % retry_after(error.retry_after))
    return {**start, "headers": [*headers, field]}


def _takes(function: Callable[..., Any], arguments: int) -> bool:
    if isinstance(function, type) and function.__module__ == "builtins":
        return False
    try:
        signature = signature_of(function)
    except (TypeError, ValueError):  # it has no signature
        return arguments == _OF_AN_APPLICATION
    try:
        signature.bind(*range(arguments))
    except TypeError:
        return False
    return True
