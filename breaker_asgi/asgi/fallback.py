"""What a rejected request gets: the plain 503, or what was given in its stead."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from json import dumps
from typing import TYPE_CHECKING, Any, TypeAlias

from breaker_asgi import checks
from breaker_asgi.asgi.last_good import LastGood
from breaker_asgi.asgi.responses import (
    JSON,
    TEXT,
    UNAVAILABLE,
    Response,
    rejection_headers,
    retry_after,
    send_rejection,
    send_response,
)
from breaker_asgi.events import log_once

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
    from breaker_asgi.errors import CircuitBreakerError

Content: TypeAlias = "ASGIApp | Mapping[str, Any] | str"
Fallback: TypeAlias = (
    "Content | LastGood | Callable[[Any, CircuitBreakerError], Content | Awaitable[Content]]"
)
"""A string (text), a mapping (JSON), an ASGI application (a Starlette response is one), `LastGood`,
or a function, sync or async, that makes one of the first three of the request and the error. The
request is Starlette's where that is installed, and the scope where it is not."""


class Answer:
    """Answers rejected requests. A fallback that fails gives the plain 503, and is logged."""

    def __init__(self, fallback: Fallback | None = None, *, show_name: bool = False) -> None:
        """Raises `BreakerConfigError` for what can't be a fallback."""
        if not (
            fallback is None or isinstance(fallback, str | Mapping | LastGood) or callable(fallback)
        ):
            raise checks.wrong(
                "fallback",
                fallback,
                "a string, a mapping, an ASGI application, LastGood(), or a function of the "
                "request and the error",
                "A response of Starlette is an ASGI application",
            )
        self._fallback = fallback
        self._is_function = callable(fallback) and _takes_two(fallback)
        self._show_name = show_name

    @property
    def last_good(self) -> LastGood | None:
        """What has to see the good responses."""
        return self._fallback if isinstance(self._fallback, LastGood) else None

    def __call__(
        self, error: CircuitBreakerError, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Answer one request that was rejected by `error`."""
        if self._fallback is None:
            return self._reject(error, scope, send)
        return self._fall_back(error, scope, receive, send)

    def _reject(self, error: CircuitBreakerError, scope: Scope, send: Send) -> Awaitable[None]:
        return send_rejection(error, scope, send, error.name if self._show_name else None)

    async def _fall_back(
        self, error: CircuitBreakerError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._send(error, scope, receive, watch)
        except Exception as failure:
            log_once(self._fallback, "fallback", failure)
            if started:
                raise
        if not started:
            await self._reject(error, scope, send)

    async def _send(
        self, error: CircuitBreakerError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        content: Any = self._fallback
        if self._is_function:
            content = content(_request(scope, receive), error)
            if inspect.isawaitable(content):
                content = await content
        if isinstance(content, LastGood):
            await content.answer(scope, send)
        elif isinstance(content, str | Mapping):
            headers = rejection_headers(retry_after(error))
            kind, text = (TEXT, content) if isinstance(content, str) else (JSON, dumps(content))
            response = Response(UNAVAILABLE, kind, text.encode(), headers)
            await send_response(response, scope, send)
        else:
            await content(scope, receive, send)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind("request", "error")
    except (TypeError, ValueError):
        return False
    return True


def _request(scope: Scope, receive: Receive) -> Any:
    if scope["type"] != "http" or find_spec("starlette") is None:
        return scope
    from starlette.requests import Request  # noqa: PLC0415

    return Request(scope, receive)
