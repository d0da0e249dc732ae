"""A breaker for every route, and a standard 503 for every rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi.asgi.exchange import Exchange
from breaker_asgi.asgi.responses import send_rejection
from breaker_asgi.asgi.routes import RouteTable, route_path
from breaker_asgi.config import BreakerConfig
from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.monitor import CircuitBreakerMonitor
from breaker_asgi.registry import BreakerRegistry, default_registry
from breaker_asgi.window import TimeWindow

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
    from breaker_asgi.breaker import CircuitBreaker

ROUTE_CONFIG = BreakerConfig(
    failure_rate=0.5,
    window=TimeWindow(30),
    minimum_calls=20,
    timeout_duration=5,
    backoff=2,
    max_timeout_duration=60,
    jitter=0.1,
    half_open_calls=3,
)
"""The settings of a route's breaker, unless others are given.

A rate, not failures in a row: five poisoned requests must not close a healthy route to everybody.
Half of at least twenty requests in thirty seconds have to fail. A short open time, as the caller of
a route is a person or a client with a timeout; it doubles while the route stays sick.
"""


class BreakerMiddleware:
    """Guards each route of an ASGI application by a breaker of its own.

        app.add_middleware(BreakerMiddleware)

    A response of 500 or above and an exception are failures. While a route's breaker is open, its
    requests get a 503 with `Retry-After` and a problem document (RFC 9457), and so does a request
    whose handler lets a `CircuitBreakerError` out. `GET monitor_path` lists all breakers of the
    registry; `None` turns that off.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: BreakerRegistry = default_registry,
        config: BreakerConfig = ROUTE_CONFIG,
        monitor_path: str | None = "/breakers",
    ) -> None:
        self.app = app
        self.registry = registry
        self.config = config
        self._monitor_path = None if monitor_path is None else monitor_path.rstrip("/")
        self._monitor = CircuitBreakerMonitor(registry=registry)
        self._tables: dict[int, tuple[int, RouteTable]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = route_path(scope)
        if self._monitor_path is not None and path.rstrip("/") == self._monitor_path:
            await self._monitor(scope, receive, send)
            return
        breaker = self._breaker(scope, path)
        try:
            permit = None if breaker is None else breaker.acquire()
        except CircuitBreakerError as error:
            exchange = Exchange.of(scope)
            if exchange is not None:
                exchange.rejected = True
            await send_rejection(error, scope, send)
            return
        await Exchange(permit).run(self.app, scope, receive, send)

    def _breaker(self, scope: Scope, path: str) -> CircuitBreaker | None:
        """The breaker of the route that will take the request."""
        application: Any = scope.get("app", self.app)
        routes = getattr(application, "routes", None)
        if routes is None:
            return self.registry.get("app", defaults=self.config)
        count, table = self._tables.get(id(application), (-1, None))
        if table is None or count != len(routes):
            table = RouteTable(routes)
            self._tables[id(application)] = len(routes), table
        name = table.name(scope["method"], path)
        return None if name is None else self.registry.get(name, defaults=self.config)
