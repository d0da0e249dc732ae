"""Endpoints of frameworks with routers of their own, resolved for each request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.asgi.requests import route_path
from breaker_asgi.middleware.framework_signals import is_a, layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.asgi.types import Scope


class EndpointMatch(NamedTuple):
    """An endpoint, and the template of its path."""

    endpoint: Any
    template: str


NOT_FOUND = EndpointMatch(None, "")

_Find: TypeAlias = "Callable[[Any, Scope], EndpointMatch]"


class Finder:
    """Finds the endpoints of an application of Django, Quart or Litestar."""

    def __init__(self, app: Any) -> None:
        ways = ((way, layer) for layer in layers(app) for way in _WAYS if is_a(*way[:2], layer))
        way, self._app = next(ways, (None, app))
        self._is_supported = way is not None
        self._find: _Find = _in_nothing if way is None else way[2]

    def can_find(self, scope: Scope) -> bool:
        """Return True if the endpoints of the framework can be found."""
        return self._is_supported or "route_handler" in scope

    def find(self, scope: Scope) -> EndpointMatch:
        """Return the endpoint of a request, or `NOT_FOUND`."""
        if (handler := scope.get("route_handler")) is not None:
            return _of_litestar(handler, scope.get("path_template", ""))
        try:
            return self._find(self._app, scope)
        except Exception:  # noqa: BLE001 - a 404, a redirect, or another version of the framework
            return NOT_FOUND


def _in_nothing(_app: Any, _scope: Scope) -> EndpointMatch:
    return NOT_FOUND


def _in_django(_app: Any, scope: Scope) -> EndpointMatch:
    match = sys.modules["django.urls"].resolve(route_path(scope))
    return EndpointMatch(getattr(match.func, "view_class", match.func), f"/{match.route}")


def _in_quart(app: Any, scope: Scope) -> EndpointMatch:
    host = next((value for name, value in headers_of(scope) if name == b"host"), b"localhost")
    adapter = app.url_map.bind(host.decode("latin-1"), url_scheme=scope.get("scheme", "http"))
    websocket = scope["type"] == "websocket"
    method = "GET" if websocket else scope["method"]
    rule, _ = adapter.match(route_path(scope), method, return_rule=True, websocket=websocket)
    return EndpointMatch(app.view_functions[rule.endpoint], rule.rule)


def _in_litestar(app: Any, scope: Scope) -> EndpointMatch:
    path = sys.modules["litestar.utils"].normalize_path(route_path(scope))
    match = app.asgi_router.handle_routing(path=path, method=scope.get("method"))
    return _of_litestar(match[1], match[-1])


def _of_litestar(handler: Any, template: str) -> EndpointMatch:
    return EndpointMatch(getattr(handler, "fn", handler), template)


_WAYS: tuple[tuple[str, str, _Find], ...] = (
    ("django.core.handlers.asgi", "ASGIHandler", _in_django),
    ("quart.app", "Quart", _in_quart),
    ("litestar.app", "Litestar", _in_litestar),
)
