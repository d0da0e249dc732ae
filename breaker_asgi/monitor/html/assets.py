"""The files of the page: scripts, style sheets, and the icon."""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from breaker_asgi.asgi.responses import Response
from breaker_asgi.monitor.html.icons import ICONS, icon

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES = {"js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8"}
_FRESH = b"private, no-cache"
_STATIC = files("breaker_asgi.monitor.html") / "static"


def static(name: str, query: Mapping[str, list[str]]) -> Response | None:
    """Return a file of the page, with an ETag to revalidate it; None if there is none."""
    if name == "icon.svg":
        state = query.get("state", ["closed"])[-1]
        body = icon(state if state in ICONS else "closed").encode()
        kind = b"image/svg+xml"
    elif name in _files():
        body, kind = _files()[name], _TYPES[name.rpartition(".")[2]]
    else:
        return None
    tag = hashlib.blake2b(body, digest_size=12).hexdigest().encode()
    return Response(200, kind, body, [(b"etag", b'"%s"' % tag), (b"cache-control", _FRESH)])


@cache
def style_sheets(static: str) -> str:
    """Link all style sheets, the one with the colours and the elements first."""
    sheets = (name for name in _files() if name.endswith(".css") and name != "pages.css")
    names = sorted(sheets, key=_base_first)
    links = (f'<link rel="stylesheet" href="{escape(static)}/{name}">' for name in names)
    return "".join(f"{link}\n" for link in links)


def _base_first(name: str) -> tuple[bool, str]:
    return name != "base.css", name


@cache
def _files() -> dict[str, bytes]:
    return {
        file.name: file.read_bytes()
        for file in _STATIC.iterdir()
        if file.name.rpartition(".")[2] in _TYPES
    }
