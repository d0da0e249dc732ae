"""Which route a request will take, found before the framework looks.

Reads the routes of Starlette and FastAPI applications into a trie, so that the answer costs the
same for ten routes and for a thousand. A request that no route takes (404, 405, a redirect) has no
name: a bot's scan must not thin out the failure rate of a route.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Pattern

    from breaker_asgi.asgi.types import Scope

WEBSOCKET = "WEBSOCKET"
"""Stands for the method where there is none."""

_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE QUERY".split())  # noqa: SIM905
_ONE_SEGMENT = "[^/]+"


class Choice(NamedTuple):
    """What the framework is expected to choose."""

    endpoint: Any
    """What it will put into the scope; None if no route fits."""
    name: str
    """Of the route, such as `"GET /orders/{id}"`; empty if no route takes the request."""


NO_ROUTE = Choice(None, "")
UNREADABLE = Choice(None, "*")
"""The choice of an application that has no routes to read."""


class Router:
    """Foresees the choices of an application, and learns from those that it did not foresee."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._tables: dict[int, tuple[Any, RouteTable]] = {}
        self._surprises: set[tuple[int, int]] = set()

    def choose(self, scope: Scope) -> Choice:
        """What the framework will choose."""
        app = scope.get("app") or self._app
        _, table = self._tables.get(id(app)) or self._read(app)
        if not table:
            return UNREADABLE
        host = host_of(scope) if table.has_hosts else ""
        return table.choose(scope.get("method", WEBSOCKET), route_path(scope), host)

    def check(self, choice: Choice, scope: Scope) -> None:
        """Read the routes again if the framework has chosen something else.

        Once for each such surprise, as a framework may know ways that can't be read.
        """
        chosen = scope.get("endpoint")
        if chosen is choice.endpoint or choice is UNREADABLE:
            return
        app = scope.get("app") or self._app
        _, table = self._tables.get(id(app)) or self._read(app)
        surprise = id(chosen), len(table)
        if surprise not in self._surprises:
            self._surprises.add(surprise)
            self._read(app)

    def _read(self, app: Any) -> tuple[Any, RouteTable]:
        inner = app
        while not getattr(inner, "routes", None) and hasattr(inner, "app"):
            inner = inner.app
        read = app, RouteTable(getattr(inner, "routes", None) or ())
        self._tables[id(app)] = read
        return read


class RouteTable:
    """The routes of one application, mount or host."""

    def __init__(self, routes: Iterable[Any], prefix: str = "") -> None:
        self._routes: list[_Route] = []
        self._hosts: list[_Route] = []
        self._root = _Node()
        for route in _flat(routes):
            entry = _Route(len(self._routes), route, prefix)
            if entry.host is not None:
                self._hosts.append(entry)
            elif entry.pattern is not None:
                self._root.add(entry, route)
            else:
                continue
            self._routes.append(entry)
        self.has_hosts: bool = bool(self._hosts) or any(
            route.table is not None and route.table.has_hosts for route in self._routes
        )
        """Whether the choice depends on the host."""

    def __len__(self) -> int:
        return len(self._routes)

    def choose(self, method: str, path: str, host: str = "") -> Choice:
        """What the framework will choose: the first that fits, or the first but for the method."""
        but_for_the_method = NO_ROUTE
        for route in self._fitting(path, host):
            choice = route.choose(method, path, host)
            if choice.name or route.table is not None:
                return choice
            if but_for_the_method is NO_ROUTE:
                but_for_the_method = choice
        return but_for_the_method

    def _fitting(self, path: str, host: str) -> list[_Route]:
        """The routes that fit, but for the method, in their order."""
        if path[-1:] == "\n":  # which `$` overlooks, and the trie does not
            return [route for route in self._routes if route.fits(path, host)]
        fitting = self._root.find(path)
        if self._hosts:
            fitting += [route for route in self._hosts if route.fits(path, host)]
        if len(fitting) > 1:
            fitting.sort(key=_order)
        return fitting


class _Route:
    """One entry of a table."""

    __slots__ = ("endpoint", "host", "methods", "names", "order", "pattern", "table", "template")

    def __init__(self, order: int, route: Any, prefix: str) -> None:
        self.order = order
        self.pattern: Pattern[str] | None = getattr(route, "path_regex", None)
        self.host: Pattern[str] | None = getattr(route, "host_regex", None)
        self.methods: set[str] | None = getattr(route, "methods", None)
        if _is_websocket_route(route):
            self.methods = {WEBSOCKET}
        self.template = prefix + (
            getattr(route, "host", None) or getattr(route, "path", None) or ""
        )
        self.names: dict[str, str] = {}
        self.endpoint = getattr(route, "endpoint", None)
        self.table: RouteTable | None = None
        if self.endpoint is None:  # a mount, or a host
            self.endpoint = getattr(route, "app", None)
            table = RouteTable(getattr(route, "routes", None) or (), self.template)
            self.table = table if len(table) else None
            self.template += "/{path}"

    def fits(self, path: str, host: str) -> bool:
        """Whether the route takes the request, but for the method."""
        if self.host is not None:
            return self.host.match(host) is not None
        return self.pattern is not None and self.pattern.match(path) is not None

    def choose(self, method: str, path: str, host: str) -> Choice:
        if self.table is not None:
            match = self.pattern.match(path) if self.pattern else None
            return self.table.choose(method, f"/{match['path']}" if match else path, host)
        if self.methods is not None and method not in self.methods:
            return Choice(self.endpoint, "")
        name = self.names.get(method)
        if name is None and (method in _METHODS or method == WEBSOCKET):
            verb = "GET" if method == "HEAD" and "GET" in (self.methods or ()) else method
            name = self.names[method] = f"{verb} {self.template}"
        return Choice(self.endpoint, name or "")


def _order(route: _Route) -> int:
    return route.order


class _Node:
    """A place in the trie: what may follow one segment of a path."""

    __slots__ = ("any", "ends", "fixed", "open")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.any: _Node | None = None
        """What follows a parameter."""
        self.ends: list[_Route] = []
        """Routes whose template ends here."""
        self.open: list[_Route] = []
        """Routes whose template goes on as only their pattern knows."""

    def add(self, entry: _Route, route: Any) -> None:
        """Put a route into its place below this node, the root."""
        convertors = getattr(route, "param_convertors", {})
        node = self
        for segment in route.path.split("/")[1:]:
            if "{" not in segment:
                node = node.fixed.setdefault(segment, _Node())
                continue
            name = segment[1:-1].partition(":")[0]
            convertor = convertors.get(name) if segment == "{" + segment[1:-1] + "}" else None
            if getattr(convertor, "regex", None) != _ONE_SEGMENT:
                node.open.append(entry)
                return
            node.any = node.any or _Node()
            node = node.any
        (node.ends if getattr(route, "endpoint", None) else node.open).append(entry)

    def find(self, path: str) -> list[_Route]:
        """The routes that fit `path`, in no order."""
        found: list[_Route] = []
        nodes = [self]
        for segment in path.split("/")[1:]:
            below: list[_Node] = []
            for node in nodes:
                if node.open:
                    found += [route for route in node.open if route.fits(path, "")]
                if (child := node.fixed.get(segment)) is not None:
                    below.append(child)
                if node.any is not None and segment:
                    below.append(node.any)
            nodes = below
        for node in nodes:
            found += node.ends
        return found


def _flat(routes: Iterable[Any]) -> Iterable[Any]:
    """The routes, those of included routers too: FastAPI alone knows the way through its tree."""
    fastapi = sys.modules.get("fastapi.routing")
    return fastapi.iter_route_contexts(list(routes)) if fastapi else routes


def _is_websocket_route(route: Any) -> bool:
    original = getattr(route, "original_route", route)
    return any(each.__name__ == "WebSocketRoute" for each in type(original).__mro__)


def route_path(scope: Scope) -> str:
    """The request's path below `root_path`, as the routes of the application see it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def host_of(scope: Scope) -> str:
    """The host that the request asks for, without its port."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    name = host.decode("latin-1").lower()
    return name[: name.find("]") + 1] if name.startswith("[") else name.partition(":")[0]
