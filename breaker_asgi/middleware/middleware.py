"""A breaker for every route, and a standard 503 for every rejection."""

from __future__ import annotations

from inspect import isroutine
from typing import TYPE_CHECKING, Any, Literal

from breaker_asgi._core import validation
from breaker_asgi._core.config import BreakerConfig
from breaker_asgi._core.generation import Transition
from breaker_asgi._core.listeners import remember_event_loop
from breaker_asgi._core.logs import log_doubt, log_once
from breaker_asgi._core.state import METRICS_ONLY
from breaker_asgi._core.windows import CountWindow
from breaker_asgi.asgi.lifespan import until_shutdown
from breaker_asgi.asgi.requests import route_path
from breaker_asgi.asgi.versions import check_included_routers
from breaker_asgi.breaker import CircuitBreaker
from breaker_asgi.middleware.endpoints import Finder
from breaker_asgi.middleware.exchange import Exchange
from breaker_asgi.middleware.fallback import RejectionResponse
from breaker_asgi.middleware.framework_signals import listen
from breaker_asgi.middleware.monitor_mount import MonitorMount
from breaker_asgi.middleware.ownership import Owner, refuse_another_config, shared_names
from breaker_asgi.middleware.recent_paths import RecentPaths
from breaker_asgi.middleware.route_guard import RouteGuard
from breaker_asgi.middleware.routing import UNREADABLE, WEBSOCKET, Router
from breaker_asgi.middleware.rules import OWN, Rules, mark_of, marked
from breaker_asgi.middleware.websocket import WebSocketExchange
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
    from breaker_asgi.middleware.fallback import Fallback
    from breaker_asgi.middleware.recent_paths import Place, Routed
    from breaker_asgi.middleware.routing import Choice
    from breaker_asgi.middleware.rules import protected
    from breaker_asgi.monitor.auth import Authorize
    from breaker_asgi.stores.protocol import Store

_NO_MARKS = (
    "BreakerMiddleware can't find the endpoints of this application (%s): if one is marked by "
    '@protected or @unprotected, that has no effect. Write rules={"POST /pay": "payments"} instead'
)

_HIDDEN = (
    "the monitor at %r hides a route of the application at that path. Move the monitor by "
    "BreakerMiddleware(monitor_path=...), or turn it off by monitor_path=None"
)

_ELSEWHERE = (
    "BreakerMiddleware has a registry of its own, and does not show or share the breakers of the "
    "default registry: %s. Leave registry= out and set the default one up by "
    "default_registry.configure(...), or make these by registry= too"
)

ROUTE_CONFIG = BreakerConfig(
    failure_rate=0.5,
    window=CountWindow(50),
    minimum_calls=20,
    timeout_duration=1,
    backoff=1.5,
    max_timeout_duration=5,
    jitter=0.1,
    half_open_calls=3,
)
"""The default settings of a route's breaker.

A rate, not failures in a row: five poisoned requests must not close a healthy route to all clients.
Half of the last fifty requests have to fail, or of twenty after a start or an opening. The open
time is short, as what loses requests is the time after the repair.
"""


class BreakerMiddleware:
    """Guards each route of an ASGI application by a breaker of its own.

        app.add_middleware(BreakerMiddleware)

    A response of 500 or above and an exception are failures. While a route's breaker is open, its
    requests get a 503 with `Retry-After` and a problem document (RFC 9457), and so does a request
    whose handler lets a `CircuitBreakerError` out.

    `rules` name the breakers of routes, by patterns such as `"POST /payments/*"`: a name, a
    `protected(...)`, or None for no breaker. `name` is a function of a route's name and the scope
    that gives the breaker's name, or None. `fallback` answers rejected requests. `is_failure`
    judges a response by its status and the scope. `settle` decides whether a response is a success
    when its body begins (`"start"`) or ends (`"end"`). `websockets=True` guards websockets too.
    `show_names` puts the breaker's name into the problem document. `CircuitBreakerMonitor` is at
    `monitor_path`, with `authorize` and `authorize_control`; None turns it off. `store` and
    `quorum` are those of `BreakerRegistry.share`.

    Raises `BreakerConfigError` for a wrong setting.
    """

    @validation.own_settings("BreakerMiddleware")
    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: BreakerRegistry = default_registry,
        config: BreakerConfig = ROUTE_CONFIG,
        rules: Mapping[str, str | protected | None] | None = None,
        name: Callable[[str, Scope], str | None] | None = None,
        fallback: Fallback | None = None,
        is_failure: Callable[[int, Scope], object] | None = None,
        settle: Literal["start", "end"] = "start",
        websockets: bool = False,
        show_names: bool = False,
        monitor_path: str | None = "/breakers",
        authorize: Authorize | None = None,
        authorize_control: Authorize | None = None,
        store: Store | str | None = None,
        quorum: float = 1,
    ) -> None:
        check_included_routers()
        validation.instance(
            "registry", registry, BreakerRegistry, "Leave it out for the default one"
        )
        validation.instance(
            "config", config, BreakerConfig, "Write BreakerConfig(failure_rate=0.3)"
        )
        for setting, function in (("name", name), ("is_failure", is_failure)):
            if function is not None:
                validation.function(setting, function)
        if settle not in {"start", "end"}:
            raise validation.not_allowed(
                "settle", settle, "'start' or 'end'", "Leave it out for 'start'"
            )
        for setting, value in (("websockets", websockets), ("show_names", show_names)):
            validation.boolean(setting, value)
        self.app = app
        self.registry = registry
        self.config = config
        self._rules = Rules({} if rules is None else rules, config)
        self._name = name
        self._is_failure = is_failure
        self._at_end = settle == "end"
        self._websockets = websockets
        self._show_names = show_names
        self._unguarded = RouteGuard(
            _metrics_only_breaker(), RejectionResponse(fallback, show_name=show_names)
        )
        self._guards = {"": self._unguarded}
        self._recent = RecentPaths()
        self._monitor = MonitorMount(monitor_path, registry, authorize, authorize_control)
        self._monitor_path = self._monitor.path
        self._router = Router(app)
        self._finder = Finder(app)
        self._owner = Owner(app)
        self._is_new = True
        if store is not None:
            registry.share(store, quorum=quorum)
        for rule_name in self._rules.names:
            refuse_another_config(registry, rule_name, config, self)
        listen(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = scope.get("method"), scope.get("path"), scope.get("root_path")
        routed = self._recent.get(place)
        if routed is None:
            if (unguarded := self._unguarded_of(scope, send)) is not None:
                app, scope, send = unguarded
                await app(scope, receive, send)
                return
            routed = self._route(scope, place)
        guard, endpoint = routed
        if guard.breaker._fast_reject is not None and (messages := guard.reject_fast(scope)):
            for message in messages:
                await send(message)
            return
        exchange = Exchange() if scope["type"] == "http" else WebSocketExchange()
        judged = exchange.begin(guard, scope, receive, send)
        try:
            if exchange.record is not None:
                await self.app(scope, receive, judged)
            else:
                await exchange.run(self.app, judged)
        except BaseException as error:
            if not await exchange.end_by(error):
                raise
        finally:
            exchange.end()
            if scope.get("endpoint") is not endpoint and self._router.check(endpoint, scope):
                self._recent.clear()

    def _unguarded_of(self, scope: Scope, send: Send) -> tuple[ASGIApp, Scope, Send] | None:
        """Return the application of a request without a guard, with its scope and `send`."""
        kind = scope["type"]
        if kind == "http":
            if self._monitor_path in scope["path"] and (inner := self._monitor.scope(scope)):
                self._warn_once(scope)
                return self._monitor.app, inner, send
        elif kind == "lifespan":
            return self.app, scope, self._start(send)
        elif kind != "websocket" or not self._websockets:
            return self.app, scope, send
        return None

    def _route(self, scope: Scope, place: Place) -> Routed:
        """Return the guard of a request, and remember the one of a path that has a route."""
        choice = self._router.choose(scope)
        guard = self._guards.get(choice.name)
        if guard is None:
            return self._guard(choice, scope), choice.endpoint
        routed = guard, choice.endpoint
        if choice.name and scope["type"] == "http" and self._router.is_by_path:
            self._recent.remember(place, routed)
        return routed

    def _start(self, send: Send) -> Send:
        """Start the monitor with the application, and wrap `send` for its shutdown."""
        remember_event_loop()
        self._monitor.start()
        return until_shutdown(send)

    def _guard(self, choice: Choice, scope: Scope) -> RouteGuard:
        """Return the guard of a request, and keep it if it is the same for all of its route."""
        self._monitor.start()
        self._warn_once(scope)
        route, same_for_all = choice.name, self._name is None
        rule = self._rules.of(choice.endpoint, route)
        if choice is UNREADABLE:
            finds_marks = self._finds_marks(scope)
            same_for_all = same_for_all and not self._rules.any and not finds_marks
            rule, route = self._rule_of_unreadable(scope, finds_marks=finds_marks)
        guard = self._unguarded if rule is None else self._guard_by(rule, route, choice, scope)
        if same_for_all:
            self._guards[choice.name] = guard
        return guard

    def _warn_once(self, scope: Scope) -> None:
        """Warn once of a route that the monitor hides, and of breakers that it does not list."""
        if not self._is_new:
            return
        self._is_new = False
        root, path = scope.get("root_path", ""), self._monitor_path
        for below in (path, f"{path}/"):
            request = {**scope, "method": "GET", "path": root + below}
            if f"{self._router.choose(request).name}/".startswith(f"GET {path}/"):
                log_doubt(self, _HIDDEN, path)
                break
        if self.registry is not default_registry and (names := shared_names(default_registry)):
            log_doubt(self.registry, _ELSEWHERE, ", ".join(map(repr, names)))

    def _finds_marks(self, scope: Scope) -> bool:
        """Return True if some endpoint is marked, and the one of a request can be found."""
        if not marked:
            return False
        can_find = self._finder.can_find(scope)
        if not can_find and not isroutine(self.app):
            log_doubt(self, _NO_MARKS, type(self.app).__qualname__)
        return can_find

    def _rule_of_unreadable(
        self, scope: Scope, *, finds_marks: bool
    ) -> tuple[protected | None, str]:
        """Return the rule of a request whose route can't be read, and its breaker's name."""
        method = scope.get("method", WEBSOCKET)
        verb = "GET" if method == "HEAD" else method
        if finds_marks:
            endpoint, template = self._finder.find(scope)
            if (mark := mark_of(endpoint)) is not OWN:
                return mark, f"{verb} {template}"
        return self._rules.of_path(f"{verb} {route_path(scope)}")

    def _guard_by(self, rule: protected, route: str, choice: Choice, scope: Scope) -> RouteGuard:
        name = rule.name or self._name_of(route, scope)
        if name is None:
            return self._unguarded
        if name == route and rule.name is None:
            breaker = self._breaker_of(route, rule.settings, choice, scope)
        else:
            breaker = self._shared_breaker(name, rule.settings)
        response = self._unguarded.rejection_response
        if rule.fallback is not None:
            response = RejectionResponse(rule.fallback, show_name=self._show_names)
        return RouteGuard(breaker, response, self._is_failure, at_end=self._at_end)

    def _shared_breaker(self, name: str, settings: dict[str, Any]) -> CircuitBreaker:
        """Return the breaker of a name that was set on purpose: all users of the name share it."""
        with validation.without_warnings():
            return self.registry.get(name, defaults=self.config, **settings)

    def _breaker_of(
        self, route: str, settings: dict[str, Any], choice: Choice, scope: Scope
    ) -> CircuitBreaker:
        """Return the breaker of a route, which other applications do not use."""
        kept = choice is UNREADABLE  # by the registry: the route keeps no guard
        if not kept:
            route = self._router.whole_name(choice, scope)
        with validation.without_warnings():
            breaker = self._owner.breaker_of(route, self.registry, scope, self.config, settings)
        return self.registry.get(breaker.name) if kept else breaker

    def _name_of(self, route: str, scope: Scope) -> str | None:
        if self._name is None:
            return route
        try:
            name = self._name(route, scope)
            return None if name is None else validation.text("the name that `name` gives", name)
        except Exception as error:  # noqa: BLE001
            log_once(self._name, "name", error)
            return route


def _metrics_only_breaker() -> CircuitBreaker:
    """Return the breaker of requests without a route: unregistered, and it never trips."""
    breaker = CircuitBreaker()
    breaker._enter(Transition(METRICS_ONLY, "no route of its own"), breaker.config.clock())
    return breaker
