"""Breakers of routes: each belongs to one application of the process."""

from __future__ import annotations

import gc
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, ref

from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi.middleware.framework_signals import layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi.asgi.types import Scope
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

_NAMES_AT_MOST = 5
_DEFAULT_TITLES = ("", "FastAPI")


class _Claim(NamedTuple):
    """The claim of an application to the name of a breaker."""

    owner: ref[Any]
    breaker: ref[CircuitBreaker]


_claims: WeakKeyDictionary[BreakerRegistry, dict[str, _Claim]] = WeakKeyDictionary()


class _User(NamedTuple):
    """A middleware whose rules name a breaker."""

    middleware: ref[object]
    config: BreakerConfig


_users: WeakKeyDictionary[BreakerRegistry, dict[str, _User]] = WeakKeyDictionary()


class Owner:
    """An application, as the owner of the breakers of its routes."""

    def __init__(self, app: Any) -> None:
        innermost = [*layers(app)][-1]
        self._app: Any = getattr(innermost, "router", innermost)
        try:
            ref(self._app)
        except TypeError:  # a class with slots
            self._app = self
        self._has_collected = False

    def breaker_of(
        self,
        route: str,
        registry: BreakerRegistry,
        scope: Scope,
        defaults: BreakerConfig,
        settings: dict[str, Any],
    ) -> CircuitBreaker:
        """Return the breaker of a route, which no other living application uses.

        Its name is the route's. If another application has a route of that name, this one's title
        or a number is added. A breaker that has the name and no application is taken.
        """
        claims = _claims.setdefault(registry, {})
        with registry._lock:
            for name in self._names(route, scope):
                claim = claims.get(name)
                if claim is not None and self._is_of_another(claim, registry):
                    continue
                if claim is not None and claim.owner() is None:
                    registry._release(claim.breaker())
                breaker = registry._lend(name, defaults, settings)
                claims[name] = _Claim(ref(self._app), ref(breaker))
                return breaker
        raise AssertionError("names do not end")

    def _is_of_another(self, claim: _Claim, registry: BreakerRegistry) -> bool:
        """Return True if another living application has a breaker of the name."""
        if claim.owner() in (None, self._app):
            return False
        if not self._has_collected:
            self._has_collected = True
            gc.collect()  # the other application may be garbage that only its own cycles keep
        breaker = claim.breaker()
        listed = breaker is not None and breaker in registry.all_named(breaker.name)
        return listed and claim.owner() is not None

    def _names(self, route: str, scope: Scope) -> Iterator[str]:
        yield route
        title = getattr(scope.get("app"), "title", "")
        if isinstance(title, str) and title not in _DEFAULT_TITLES:
            yield f"{route} ({title})"
        for number in count(2):
            yield f"{route} #{number}"


def shared_names(registry: BreakerRegistry) -> list[str]:
    """Return the first names of breakers that belong to no route."""
    claims = _claims.get(registry, {})
    names = {breaker.name for breaker in registry if breaker.name not in claims}
    return sorted(name for name in names if name is not None)[:_NAMES_AT_MOST]


def refuse_another_config(
    registry: BreakerRegistry, name: str, config: BreakerConfig, middleware: object
) -> None:
    """Refuse a config if another middleware's rules make the breaker with a different one."""
    users = _users.setdefault(registry, {})
    if (user := users.get(name)) is not None and user.config != config:
        if user.middleware() is not None:
            gc.collect()  # it may be garbage that only its own cycles keep
        if user.middleware() is not None:
            raise BreakerConfigError(
                f"config={config!r} has no effect on breaker {name!r}: another BreakerMiddleware "
                f"has it made with config={user.config!r}. Give both the same config, or the "
                "breakers different names."
            )
    users[name] = _User(ref(middleware), config)
