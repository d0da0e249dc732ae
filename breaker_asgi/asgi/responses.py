"""Responses, without a framework."""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Scope, Send
    from breaker_asgi.errors import CircuitBreakerError

Headers: TypeAlias = list[tuple[bytes, bytes]]

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"
PROBLEM_JSON = b"application/problem+json"

UNAVAILABLE = 503
TRY_AGAIN_LATER = 1013
"""The close code of a websocket (RFC 6455, registered with IANA)."""

JITTER = 0.2
"""Share of the wait that `Retry-After` may add, so that clients do not come back in one wave."""

_DETAIL = "Temporarily unavailable. Try again in %d s."
_PROBLEM = (
    '{"type": "about:blank", "title": "Service Unavailable", "status": 503, '
    f'"detail": "{_DETAIL}", "retry_after": %d%s}}'
)
_PAGE = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Service unavailable</title>
<h1>Service unavailable</h1>
<p>{_DETAIL}</p>
</html>
"""


def retry_after(error: CircuitBreakerError) -> int:
    """When to come back: whole seconds, rounded up, at least one, and some of `JITTER` on top."""
    seconds = max(1, math.ceil(error.retry_after))
    return seconds + int(random.random() * (max(1, round(seconds * JITTER)) + 1))  # noqa: S311


def rejection_headers(seconds: int) -> Headers:
    """What every 503 of a breaker says: when to come back, and that it must not be kept."""
    return [(b"retry-after", b"%d" % seconds), (b"cache-control", b"no-store")]


async def send_rejection(
    error: CircuitBreakerError, scope: Scope, send: Send, name: str | None = None
) -> None:
    """Answer a rejected request by a 503 without internals: RFC 9457, or HTML for a browser.

    With `name` the problem document tells the breaker's.
    """
    seconds = retry_after(error)
    kind, text = HTML, _PAGE % seconds
    if not wants_html(scope):
        member = "" if name is None else f', "breaker": {json.dumps(name)}'
        kind, text = PROBLEM_JSON, _PROBLEM % (seconds, seconds, member)
    headers = [*rejection_headers(seconds), (b"vary", b"accept")]
    await send_response(Response(UNAVAILABLE, kind, text.encode(), headers), scope, send)


def wants_html(scope: Scope) -> bool:
    """Whether the `Accept` header names HTML, as browsers do and programs do not."""
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


class Response(NamedTuple):
    """A whole response."""

    status: int
    content_type: bytes
    body: bytes
    headers: Headers


async def send_response(response: Response, scope: Scope, send: Send) -> None:
    """Send a response; its headers alone where only those were asked for.

    A websocket's handshake gets it too, if the server can; otherwise the socket is closed.
    """
    status, content_type, body, headers = response
    length = (b"content-length", b"%d" % len(body))
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
        if kind not in (scope.get("extensions") or ()):
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": "Try later"})
            return
    if scope.get("method") == "HEAD":
        body = b""
    fields = [(b"content-type", content_type), length, *headers]
    await send({"type": f"{kind}.start", "status": status, "headers": fields})
    await send({"type": f"{kind}.body", "body": body})
