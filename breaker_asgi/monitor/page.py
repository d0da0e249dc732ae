"""The page."""

from __future__ import annotations

from html import escape
from typing import Any

from breaker_asgi.asgi.responses import Headers, Response

PAGE_HEADERS: Headers = [(b"content-security-policy", b"default-src 'none'")]


def page(
    listing: dict[str, Any],
    events: list[dict[str, Any]],  # noqa: ARG001
    base: str,  # noqa: ARG001
    name: str | None,  # noqa: ARG001
) -> bytes:
    """The whole HTML document."""
    rows = "".join(
        f"<tr><td>{escape(each['name'])}</td><td>{each['state']}</td></tr>"
        for each in listing["breakers"]
    )
    return f"<!doctype html><title>Breakers</title><table>{rows}</table>".encode(errors="replace")


def static(name: str, query: dict[str, list[str]]) -> Response | None:  # noqa: ARG001
    """A file of the page."""
    return Response(200, b"text/css", b"", []) if name == "page.css" else None
