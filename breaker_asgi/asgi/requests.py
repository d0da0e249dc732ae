"""Requests: the object for users' functions, and the path below the root path."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from breaker_asgi.asgi.versions import cuts_within_segments

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Receive, Scope


def request_of(scope: Scope, receive: Receive) -> Any:
    """Return Starlette's request for a user's function, or the scope without Starlette."""
    if scope["type"] != "http" or find_spec("starlette") is None:
        return scope
    from starlette.requests import Request  # noqa: PLC0415

    return Request(scope, receive)


def route_path(scope: Scope) -> str:
    """Return the request's path below `root_path`, which the routes of the application match."""
    return path_below(scope.get("root_path", ""), scope["path"])


def path_below(root: str, path: str) -> str:
    if root and path.startswith(root):
        below = path[len(root) :]
        if below[:1] in ("", "/") or cuts_within_segments():
            return below
    return path
