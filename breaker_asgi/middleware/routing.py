"""The route of a request, predicted before the framework resolves it.

Reads the routes of Starlette and FastAPI applications into a trie, so that a prediction costs the
same for ten routes and for a thousand. A request that no route takes (404, 405, a redirect) has no
name: a bot's scan must not dilute the failure rate of a route.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.asgi.requests import path_below
from breaker_asgi.asgi.versions import with_included

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from breaker_asgi.asgi.types import Scope

WEBSOCKET = "WEBSOCKET"
"""Stands for the method in the name of a websocket route."""

_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE QUERY".split())  # noqa: SIM905
_ANY_SEGMENT = "[^/]+"
_WITHIN_A_SEGMENT = {"StringConvertor", "IntegerConvertor", "FloatConvertor", "UUIDConvertor"}
_PARAMETER = re.compile("{([a-zA-Z_][a-zA-Z0-9_]*)(?::[a-zA-Z_][a-zA-Z0-9_]*)?}")
_HOST = re.compile(r"([\w.~%!$&'()*+,;=-]+|\[[^\[\]]+\])(?::[0-9]+)?", re.ASCII)
_LAYERS = _SURPRISES = 100
_Lists: TypeAlias = tuple[Any, ...]


class Choice(NamedTuple):
    """The predicted choice of the framework."""

    endpoint: Any
    """The endpoint in the scope after routing; None if no route fits."""
    name: str
    """The route's name, such as `"GET /orders/{id}"`; empty if no route takes the request."""


NO_ROUTE = Choice(None, "")
UNREADABLE = Choice(None, "*")
"""The choice of an application that has no routes to read."""


class Router:
    """Predicts the choices of an application, and learns from wrong predictions."""

    def __init__(self, app: Any) -> None:
        self._apps = [app]
        self._table: RouteTable | None = None
        self._surprises: set[int] = set()
        self._is_of_a_route = False

    def choose(self, scope: Scope) -> Choice:
        table = self._table
        if table is None:
            if "app" in scope and "router" not in scope:  # its middleware may contain ours
                self._apps.append(scope["app"])
            table = self._read()
            if not table.size and _is_in_a_route(scope):  # or the middleware of one route
                self._apps.append(scope["router"])
                self._is_of_a_route = True
                table = self._read()
        if not table.size:
            return UNREADABLE
        if self._is_of_a_route:
            return _choice_from_outside(table, scope)
        host = _host_of(scope) if table.has_hosts else ""
        method, root = scope.get("method", ""), scope.get("root_path", "")
        return table.choose(method, scope["path"], root, host)

    def whole_name(self, choice: Choice, scope: Scope) -> str:
        """Return the name of a route with the prefixes of all mounts around the application."""
        table = None if self._is_of_a_route else _table_of(scope.get("router"))
        whole = "" if table is None else _choice_from_outside(table, scope).name
        return whole or choice.name

    @property
    def is_by_path(self) -> bool:
        """True if method, path and root path alone decide the choice."""
        return self._table is not None and not (self._is_of_a_route or self._table.has_hosts)

    def check(self, endpoint: object, scope: Scope) -> bool:
        """Read the routes again if `endpoint` was a wrong prediction, once for each endpoint.

        Return True if they were read.
        """
        chosen, surprises, table = scope.get("endpoint"), self._surprises, self._table
        if chosen is endpoint or id(chosen) in surprises or len(surprises) >= _SURPRISES:
            return False
        surprises.add(id(chosen))
        if table is None or self._read().size != table.size:
            surprises.clear()
        return True

    def _read(self) -> RouteTable:
        self._table = next(filter(None, map(_table_of, self._apps)), RouteTable(()))
        return self._table


def _is_in_a_route(scope: Scope) -> bool:
    """Return True if a route with an endpoint, not a mount, was chosen already."""
    return "router" in scope and getattr(scope.get("route"), "endpoint", None) is not None


def _choice_from_outside(table: RouteTable, scope: Scope) -> Choice:
    """Return the choice of the outermost application, as computed inside of it."""
    root = scope.get("app_root_path", scope.get("root_path", ""))
    return table.choose(scope.get("method", ""), scope["path"], root, _host_of(scope))


class RouteTable:
    """The routes of one application, mount or host."""

    def __init__(self, routes: Any, prefix: str = "", root: str = "", outer: _Lists = ()) -> None:
        entries = [_Route(*numbered, prefix, outer) for numbered in enumerate(_readable(routes))]
        tables = [entry.table for entry in entries if entry.table]
        room = iter(range(sum(8 + 8 * len(entry.steps) for entry in entries)))
        self._http = _State([e for e in entries if e.is_websocket is not True], 0, room)
        self._websocket = _State([e for e in entries if e.is_websocket is not False], 0, room)
        self._root = root
        self.has_hosts: bool = any([e.host for e in entries] + [t.has_hosts for t in tables])
        self.size: int = len(entries) + sum(table.size for table in tables)

    def choose(self, method: str, path: str, root: str = "", host: str = "") -> Choice:
        """Predict the choice of the framework. The method of a websocket is empty."""
        root = self._root or root
        below = path_below(root, path) if root else path
        start = self._http if method else self._websocket
        state = start.after(below)
        routes = state.routes
        if below[-1:] == "\n":  # `$` matches before it too
            routes = sorted(routes + start.after(below[:-1]).routes, key=lambda route: route.order)
        elif state.choices is not None:
            return state.choices[method]
        route = _first([route for route in routes if route.match(below, host)], method)
        if route is None or route.table is None:
            return route.choices[method] if route else NO_ROUTE
        if not route.host and (match := route.match(below, host)):
            root += below[: -len(match["path"]) - 1]
        choice = route.table.choose(method, path, root, host)
        return Choice(route.endpoint, "") if choice is NO_ROUTE else choice


class _Route:
    """One entry of a table."""

    def __init__(self, order: int, route: Any, prefix: str, outer: _Lists) -> None:
        self.order = order
        self.host: re.Pattern[str] | None = getattr(route, "host_regex", None)
        self.methods: set[str] = getattr(route, "methods", None) or set()
        self.endpoint = getattr(route, "endpoint", None)
        kinds = {kind.__name__ for kind in type(getattr(route, "original_route", route)).__mro__}
        self.is_websocket = None if self.endpoint is None else "WebSocketRoute" in kinds
        own: str = route.host if self.host else route.path
        self.template = own + prefix if self.host else prefix + own
        self.table: RouteTable | None = None
        if self.endpoint is None:  # a mount, or a host
            self.endpoint = getattr(route, "app", None)
            self.table = _table_of(self.endpoint, self.template, outer)
            self.template += "/{path}"
            own += "/{path:path}"
        self._pattern: re.Pattern[str] = self.host or route.path_regex
        self.goes_on, self.is_certain = True, False
        """True if more segments may follow the steps; True if any path with the steps fits."""
        self.steps: list[str] = []
        self._find_steps(own, getattr(route, "param_convertors", {}))
        self.choices = _Choices([self])

    def _find_steps(self, template: str, convertors: dict[str, Any]) -> None:
        parts = _PARAMETER.split(template)
        regexes = [getattr(convertors.get(name), "regex", "") for name in parts[1::2]]
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = map("(?P<{}>{})".format, parts[1::2], regexes)
        if f"^{''.join(parts)}$" != self._pattern.pattern or self._pattern.flags != re.UNICODE:
            return  # a host, or a route with a pattern of its own
        for segment in template.split("/"):
            within = _PARAMETER.findall(segment)
            if any(type(convertors[name]).__name__ not in _WITHIN_A_SEGMENT for name in within):
                return
            self.steps.append(_ANY_SEGMENT if within else segment)
        self.goes_on = False
        whole_segments = "/".join(self.steps) == _PARAMETER.sub(_ANY_SEGMENT, template)
        self.is_certain = whole_segments and {*regexes} <= {_ANY_SEGMENT}

    def match(self, path: str, host: str) -> re.Match[str] | None:
        if self.host:
            return self.host.match(host) if host else None
        return self._pattern.match(path)


def _first(routes: list[_Route], method: str) -> _Route | None:
    """Return the first of the routes that takes the method, or else the first."""
    takers = (route for route in routes if not route.methods or method in route.methods)
    return next(takers, routes[0] if routes else None)


class _Choices(dict[str, Choice]):
    """The choices by method, among routes that fit and have no routes of their own."""

    def __init__(self, routes: list[_Route]) -> None:
        self._routes = routes

    def __missing__(self, method: str) -> Choice:
        route = _first(self._routes, method)
        if route is None:
            return NO_ROUTE
        methods = route.methods or _METHODS
        if method and method not in methods:  # a 405, or a method made up by a client
            return Choice(route.endpoint, "")
        verb = "GET" if method == "HEAD" and "GET" in methods else method or WEBSOCKET
        return self.setdefault(method, Choice(route.endpoint, f"{verb} {route.template}"))


class _State:
    """The routes that fit a path or may fit, and the visited states that follow, by segment."""

    def __init__(self, routes: list[_Route], depth: int, room: Iterator[int]) -> None:
        self._depth, self._room = depth, room
        self._open = [route for route in routes if route.goes_on and len(route.steps) <= depth]
        self._below: dict[str, list[_Route]] = {"": [], _ANY_SEGMENT: []}
        for route in routes:
            if len(route.steps) > depth:
                self._below.setdefault(route.steps[depth], []).append(route)
        self.routes = [e for e in routes if e in self._open or len(e.steps) == depth]
        self.choices = _Choices(self.routes) if all(e.is_certain for e in self.routes) else None
        self.visited: dict[str, _State | None] = dict.fromkeys(self._below)
        self._any_other: _State | None = None

    def after(self, path: str) -> _State:
        state = self
        for segment in path.split("/"):
            state = state.visited.get(segment, state._any_other) or state._visit(segment)
        return state

    def _visit(self, segment: str) -> _State:
        if segment not in self._below:
            segment = _ANY_SEGMENT
        ways = {segment, _ANY_SEGMENT} if segment else {segment}
        routes = self._open + [route for way in ways for route in self._below[way]]
        state = self
        if routes != self.routes or any(self._below.values()):  # more than the open routes
            routes.sort(key=lambda route: route.order)
            state = _State(routes, self._depth + 1, self._room)
            if next(self._room, None) is None:  # overlapping templates have very many states
                return state
        self.visited[segment] = state
        if segment == _ANY_SEGMENT:
            self._any_other = state
        return state


def _table_of(app: Any, prefix: str = "", outer: _Lists = ()) -> RouteTable | None:
    """Return the routes of an application, or of the first below its middleware with some."""
    for _ in range(_LAYERS):
        routes = getattr(app, "routes", None)
        if isinstance(routes, list | tuple) and not any(routes is others for others in outer):
            table = RouteTable(routes, prefix, getattr(app, "root_path", ""), (*outer, routes))
            if table.size:
                return table
        app = getattr(app, "app", None)
    return None


def _readable(routes: Iterable[Any]) -> Iterator[Any]:
    """Yield the routes that have a pattern, those of included routers too."""
    for route in with_included(routes):
        if isinstance(getattr(route, "path_regex", getattr(route, "host_regex", 0)), re.Pattern):
            yield route


def _host_of(scope: Scope) -> str:
    host = next((value for name, value in headers_of(scope) if name == b"host"), b"")
    match = _HOST.fullmatch(host.decode("latin-1").lower())
    return match[1] if match else ""
