"""Which route a request will take, found before the framework looks.

Reads the routes of Starlette and FastAPI applications. A request that no route takes (404, 405, a
redirect) has no name: a bot's scan must not thin out the failure rate of a route.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Pattern

    from breaker_asgi.asgi.types import Scope


class RouteTable:
    """The routes of one application or mount, in the order in which they are tried."""

    def __init__(self, routes: Iterable[Any], prefix: str = "") -> None:
        self._routes = [_Route(route, prefix) for route in _flat(routes)]

    def name(self, method: str, path: str) -> str | None:
        """The name of the route that takes the request, such as `"GET /orders/{id}"`."""
        for route in self._routes:
            match = route.pattern.match(path) if route.pattern else None
            if match is None:
                continue
            if route.mounted is not None:
                return route.mounted.name(method, "/" + match["path"])
            if route.methods is None or method in route.methods:
                verb = "GET" if method == "HEAD" and "GET" in (route.methods or ()) else method
                return f"{verb} {route.template}"
        return None


class _Route:
    def __init__(self, route: Any, prefix: str) -> None:
        self.pattern: Pattern[str] | None = getattr(route, "path_regex", None)
        self.methods: set[str] | None = getattr(route, "methods", None)
        self.template = prefix + getattr(route, "path", "")
        is_mount = self.pattern is not None and "path" in self.pattern.groupindex
        is_mount = is_mount and getattr(route, "endpoint", None) is None
        routes = getattr(route, "routes", None) if is_mount else None
        self.mounted = RouteTable(routes, self.template) if routes else None
        if is_mount and not routes:
            self.template += "/{path}"


def _flat(routes: Iterable[Any]) -> Iterable[Any]:
    """The routes, those of included routers too: FastAPI alone knows the way through its tree."""
    fastapi = sys.modules.get("fastapi.routing")
    return fastapi.iter_route_contexts(routes) if fastapi else routes


def route_path(scope: Scope) -> str:
    """The request's path below `root_path`, as the routes of the application see it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path
