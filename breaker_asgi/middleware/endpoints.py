"""Endpoints of frameworks that keep their routes in ways of their own: asked for each request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.asgi.requests import route_path
from breaker_asgi.middleware.framework_signals import is_a, layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.asgi.types import Scope


class Found(NamedTuple):
    """An endpoint, and the template of the path that leads to it."""

    endpoint: Any
    template: str


NOT_FOUND = Found(None, "")

_Find: TypeAlias = "Callable[[Any, Scope], Found]"


class Finder:
    """Finds the endpoints of an application of Django, Quart or Litestar."""

    def __init__(self, app: Any) -> None:
        ways = ((way, layer) for layer in layers(app) for way in _WAYS if is_a(*way[:2], layer))
        way, self._app = next(ways, (None, app))
        self._knows_how = way is not None
        self._find: _Find = _in_nothing if way is None else way[2]

    def finds(self, scope: Scope) -> bool:
        """Return True if the endpoints of the framework can be found."""
        return self._knows_how or "route_handler" in scope

    def find(self, scope: Scope) -> Found:
        """Return the endpoint that a request will take, as far as it can be told."""
        if (handler := scope.get("route_handler")) is not None:
            return _of_litestar(handler, scope.get("path_template", ""))
        try:
            return self._find(self._app, scope)
        except Exception:  # noqa: BLE001 - a 404, a redirect, or another version of the framework
            return NOT_FOUND


def _in_nothing(_app: Any, _scope: Scope) -> Found:
    return NOT_FOUND


def _in_django(_app: Any, scope: Scope) -> Found:
    match = sys.modules["django.urls"].resolve(route_path(scope))
    return Found(getattr(match.func, "view_class", match.func), f"/{match.route}")


def _in_quart(app: Any, scope: Scope) -> Found:
    host = next((value for name, value in headers_of(scope) if name == b"host"), b"localhost")
    adapter = app.url_map.bind(host.decode("latin-1"), url_scheme=scope.get("scheme", "http"))
    websocket = scope["type"] == "websocket"
    method = "GET" if websocket else scope["method"]
    rule, _ = adapter.match(route_path(scope), method, return_rule=True, websocket=websocket)
    return Found(app.view_functions[rule.endpoint], rule.rule)


def _in_litestar(app: Any, scope: Scope) -> Found:
    path = sys.modules["litestar.utils"].normalize_path(route_path(scope))
    found = app.asgi_router.handle_routing(path=path, method=scope.get("method"))
    return _of_litestar(found[1], found[-1])


def _of_litestar(handler: Any, template: str) -> Found:
    return Found(getattr(handler, "fn", handler), template)


_WAYS: tuple[tuple[str, str, _Find], ...] = (
    ("django.core.handlers.asgi", "ASGIHandler", _in_django),
    ("quart.app", "Quart", _in_quart),
    ("litestar.app", "Litestar", _in_litestar),
)
