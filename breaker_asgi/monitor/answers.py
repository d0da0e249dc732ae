"""Answers in JSON, and the conditions under which one need not be sent again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.asgi.responses import JSON, Response
from breaker_asgi.monitor.listing import etag
from breaker_asgi.monitor.problems import NOT_KEPT

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Scope

_OF_THE_BODY = {b"content-type", b"content-length"}


def base_of(scope: Scope) -> str:
    """Return the path of the monitor for links; it never names another origin."""
    root: str = scope.get("root_path", "").strip("/")
    return f"/{quote(root, errors='replace')}" if root else ""


def json_response(content: dict[str, Any], *, tagged: bool = True) -> Response:
    """Make a JSON response, with an ETag unless the request changed a breaker."""
    more = [(b"etag", etag(content))] if tagged else []
    return Response(200, JSON, json.dumps(content).encode(), [*NOT_KEPT, *more])


def make_304_if_unchanged(response: Response, scope: Scope) -> None:
    """Make it a 304 if the client has this version, by its ETag (RFC 9110, 13.1.2)."""
    current = next((value for name, value in response.headers if name == b"etag"), None)
    values = [value for name, value in headers_of(scope) if name == b"if-none-match"]
    if current is None or not values:
        return
    candidates = {tag.strip().removeprefix(b"W/") for value in values for tag in value.split(b",")}
    if candidates & {current.removeprefix(b"W/"), b"*"}:
        response.status, response.body = 304, b""
        response.headers = [pair for pair in response.headers if pair[0] not in _OF_THE_BODY]
