"""Responses, without a framework."""

from __future__ import annotations

import json
import math
import random
from functools import lru_cache
from typing import TYPE_CHECKING

from breaker_asgi.asgi.headers import headers_of, qualities

if TYPE_CHECKING:
    from breaker_asgi.asgi.headers import Headers
    from breaker_asgi.asgi.types import Message, Receive, Scope, Send

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"
PROBLEM_JSON = b"application/problem+json"

UNAVAILABLE = 503
_TRY_AGAIN_LATER = 1013
"""The close code that IANA has registered for it (RFC 6455)."""
_TRY_AGAIN_LATER_IN_PRIVATE = 4503
"""Its substitute for servers that accept codes for private use only, as Daphne does."""

_JITTER = 5
"""`Retry-After` adds up to a fifth of the wait, so that clients do not come back in one wave."""

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


def retry_after(wait: float) -> int:
    """Return the value of `Retry-After`: seconds, rounded up, at least 1, plus up to a fifth."""
    seconds = math.ceil(wait) or 1
    return seconds + int(random.random() * ((seconds // _JITTER or 1) + 1))  # noqa: S311


def rejection_headers(seconds: int) -> Headers:
    """Return the headers of every 503 of a breaker: `Retry-After`, and `no-store`."""
    return [(b"retry-after", b"%d" % seconds), (b"cache-control", b"no-store")]


def rejection(wait: float, scope: Scope, name: str | None = None) -> Response:
    """Return the 503 for a wait of `wait` seconds, as a problem document (RFC 9457) or HTML.

    `name` is the breaker's name in the problem document. It contains no other internals.
    """
    return _rejection(retry_after(wait), name, wants_html(scope))


@lru_cache(maxsize=1_000)
def _rejection(seconds: int, name: str | None, html: bool) -> Response:  # noqa: FBT001
    kind, text = HTML, _PAGE % seconds
    if not html:
        member = "" if name is None else f', "breaker": {json.dumps(name)}'
        kind, text = PROBLEM_JSON, _PROBLEM % (seconds, seconds, member)
    headers = [*rejection_headers(seconds), (b"vary", b"accept")]
    return Response(UNAVAILABLE, kind, text.encode(), headers)


def wants_html(scope: Scope) -> bool:
    """Return True if the `Accept` header prefers HTML to JSON, as browsers do."""
    for name, value in headers_of(scope):
        if name == b"accept" and b"html" in value.lower():
            every = [value for name, value in headers_of(scope) if name == b"accept"]
            return _prefers_html(b",".join(every))
    return False


def _prefers_html(accept: bytes) -> bool:
    """Compare qualities by RFC 9110, 12.5.1. A malformed quality counts as not acceptable."""
    accepted = qualities(accept)
    html, rest = accepted.get(b"text/html", 0.0), accepted.get(b"*/*", 0.0)
    rest = accepted.get(b"application/*", rest)
    return 0 < html >= max(accepted.get(kind, rest) for kind in (JSON, PROBLEM_JSON))


def can_answer_handshakes(scope: Scope) -> bool:
    """Return True if the server can answer a websocket's handshake by a response."""
    return "websocket.http.response" in (scope.get("extensions") or ())


class Response:
    """A complete response, as an ASGI application. A HEAD request gets the headers alone.

    A websocket's handshake gets it too, if the server can send it; else the socket is closed.
    """

    def __init__(self, status: int, content_type: bytes, body: bytes, headers: Headers) -> None:
        self.status = status
        self.body = body
        length = b"%d" % len(body)
        self.headers = [(b"content-type", content_type), (b"content-length", length), *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        if scope["type"] == "websocket" and not can_answer_handshakes(scope):
            await _close(send)
            return
        for message in self.messages(scope):
            await send(message)

    def messages(self, scope: Scope) -> tuple[Message, Message]:
        """Return new messages for each request, as an outer middleware may change them."""
        start, end = "http.response.start", "http.response.body"
        if scope["type"] == "websocket":
            start, end = "websocket.http.response.start", "websocket.http.response.body"
        body = b"" if scope.get("method") == "HEAD" else self.body
        headers = self.headers.copy()
        return (
            {"type": start, "status": self.status, "headers": headers},
            {"type": end, "body": body},
        )


async def _close(send: Send) -> None:
    """Accept a websocket and close it: without the handshake its client gets no close code."""
    await send({"type": "websocket.accept"})
    close = {"type": "websocket.close", "reason": "Try again later"}
    try:
        await send({**close, "code": _TRY_AGAIN_LATER})
    except OSError:  # the client has left
        raise
    except Exception:  # noqa: BLE001 - each server raises its own for a refused code
        await send({**close, "code": _TRY_AGAIN_LATER_IN_PRIVATE})
