"""Responses, without a framework."""

from __future__ import annotations

import json
import math
import random
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from breaker_asgi.asgi.headers import headers_of

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
"""What stands for it where a server closes by codes for private use alone, as Daphne does."""

_JITTER = 5
"""`Retry-After` adds up to a fifth of the wait, so that clients do not come back in one wave."""

_QUALITY = re.compile(rb"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_KINDS = {b"text/html", JSON, PROBLEM_JSON, b"application/*", b"*/*"}
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
    """When to come back: whole seconds, rounded up, at least one, and up to a fifth on top."""
    seconds = math.ceil(wait) or 1
    return seconds + int(random.random() * ((seconds // _JITTER or 1) + 1))  # noqa: S311


def rejection_headers(seconds: int) -> Headers:
    """What every 503 of a breaker says: when to come back, and that it must not be kept."""
    return [(b"retry-after", b"%d" % seconds), (b"cache-control", b"no-store")]


def rejection(wait: float, scope: Scope, name: str | None = None) -> Response:
    """The 503 that says to wait for so many seconds, and no internals: RFC 9457, or HTML.

    With `name` the problem document tells the breaker's.
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
    """Whether the `Accept` header asks for HTML before JSON, as browsers do and programs do not."""
    for name, value in headers_of(scope):
        if name == b"accept" and b"html" in value.lower():
            every = [value for name, value in headers_of(scope) if name == b"accept"]
            return _prefers_html(b",".join(every).lower())
    return False


def _prefers_html(accept: bytes) -> bool:
    """By the qualities of RFC 9110, 12.5.1; what has a malformed one counts as not acceptable."""
    qualities: dict[bytes, float] = {}
    for media_range in accept.split(b","):
        kind, *parameters = map(bytes.strip, media_range.split(b";"))
        if kind in _KINDS:
            quality = next((each[2:] for each in parameters if each.startswith(b"q=")), b"1")
            qualities[kind] = float(quality) if _QUALITY.fullmatch(quality) else 0.0
    html, rest = qualities.get(b"text/html", 0.0), qualities.get(b"*/*", 0.0)
    rest = qualities.get(b"application/*", rest)
    return 0 < html >= max(qualities.get(kind, rest) for kind in (JSON, PROBLEM_JSON))


def can_answer_handshakes(scope: Scope) -> bool:
    """Whether the server can give a websocket's handshake a response."""
    return "websocket.http.response" in (scope.get("extensions") or ())


class Response:
    """A whole response, as an ASGI application: its headers alone where only those were asked for.

    A websocket's handshake gets it too, if the server can; otherwise the socket is closed.
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
        """What is sent: new for each request, as a middleware further out may change it."""
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
    """Accept a websocket, or its client would not see the code by which it is closed."""
    await send({"type": "websocket.accept"})
    close = {"type": "websocket.close", "reason": "Try again later"}
    try:
        await send({**close, "code": _TRY_AGAIN_LATER})
    except OSError:  # the client has left
        raise
    except Exception:  # noqa: BLE001 - servers have one of their own for a code that they refuse
        await send({**close, "code": _TRY_AGAIN_LATER_IN_PRIVATE})
