"""Names to breakers."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet, WeakValueDictionary

from breaker_asgi import checks
from breaker_asgi.breaker import CircuitBreaker
from breaker_asgi.config import BreakerConfig
from breaker_asgi.errors import BreakerConfigError
from breaker_asgi.forks import at_fork
from breaker_asgi.health import RegistryHealth, take_health
from breaker_asgi.log import say
from breaker_asgi.state import CLOSED, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from breaker_asgi.stores.fleet import Fleet
    from breaker_asgi.stores.protocol import Store

DEFAULT_LIMIT = 10_000

_registries: WeakSet[BreakerRegistry] = WeakSet()
_DROPPED_AT_ONCE = 0.1
_DROPPABLE = (CLOSED, HALF_OPEN, OPEN)


class BreakerRegistry:
    """Breakers by name: the same name gives the same breaker, made when it is first asked for.

        registry = BreakerRegistry(
            BreakerConfig(timeout_duration=10),
            settings={"payments": {"fail_max": 3}, "http:*": {"failure_rate": 0.5}},
        )
        payments = registry.get("payments")

    `config` holds for every breaker; `settings` add to it by name, or by a pattern with `*`, `?`
    and `[...]`: a name itself comes before the patterns, and of those the first that fits.
    `listeners` hear of every breaker.

    At most `limit` breakers are kept, so that made-up names can't fill the memory: when there are
    more, those least used are dropped, closed ones first, and never one that was set by hand
    (forced open, disabled, metrics-only). A dropped breaker that somebody else still holds stays
    known, and is the one that comes back when its name is asked for.
    """

    _fleet_of: ClassVar[Callable[[Any, float], Fleet]]
    """Makes a fleet of a store, or of its URL."""

    def __init__(
        self,
        config: BreakerConfig | None = None,
        *,
        settings: Mapping[str, Mapping[str, Any] | BreakerConfig] | None = None,
        listeners: Iterable[object] = (),
        limit: int = DEFAULT_LIMIT,
        store: Store | str | None = None,
        quorum: float = 1,
    ) -> None:
        self.config = config or BreakerConfig()
        self.limit = checks.whole("limit", limit, "Leave it out for 10,000")
        self._settings = {
            pattern: dict(each.given() if isinstance(each, BreakerConfig) else each)
            for pattern, each in (settings or {}).items()
        }
        for each in self._settings.values():
            self.config.replace(**each)
        self._listeners = tuple(listeners)
        self._lock = RLock()
        self._breakers: dict[str, CircuitBreaker] = {}
        self._known: WeakValueDictionary[str, CircuitBreaker] = WeakValueDictionary()
        self._calls_before: dict[str, int] = {}
        self._has_warned = False
        self.fleet: Fleet | None = None
        _registries.add(self)
        if store is not None:
            self.share(store, quorum=quorum)

    def get(
        self, name: str, *, defaults: BreakerConfig | None = None, **settings: Any
    ) -> CircuitBreaker:
        """The breaker called `name`; a new one gets the registry's settings for it and these.

        `defaults` stands in for the registry's `config`. Raises `BreakerConfigError` if the
        breaker exists already, with other values for `settings`.
        """
        breaker = self._breakers.get(name)
        if breaker is None:
            with self._lock:
                breaker = self._breakers.get(name) or self._known.get(name)
                if breaker is None:
                    config = (defaults or self.config).replace(**self._settings_of(name))
                    config = config.replace(**settings) if settings else config
                    breaker = CircuitBreaker.from_config(config, name, self._listeners)
                    self._join(breaker)
                self._keep(breaker)
        if settings and breaker.config.replace(**settings).given() != breaker.config.given():
            given = ", ".join(f"{setting}={value!r}" for setting, value in settings.items())
            kept = ", ".join(f"{each}={getattr(breaker.config, each)!r}" for each in settings)
            raise BreakerConfigError(
                f"breaker {name!r} was asked for with {given}, but exists with {kept}. Give its "
                "settings in one place, and ask for it by name alone elsewhere."
            )
        return breaker

    def add(self, breaker: CircuitBreaker) -> CircuitBreaker:
        """Take in a breaker that was made elsewhere, and give it back.

        Raises `BreakerConfigError` if another one has its name.
        """
        with self._lock:
            if breaker.name in self and self[breaker.name] is not breaker:
                raise BreakerConfigError(
                    f"a breaker named {breaker.name!r} exists already. Give each its own name, or "
                    "get the one that is there."
                )
            if breaker.name not in self:
                breaker.add_listeners(*self._listeners)
                self._join(breaker)
            if breaker.name not in self._breakers:
                self._keep(breaker)
        return breaker

    def share(self, store: Store | str, *, quorum: float = 1) -> None:
        """Keep the breakers in step with those of all processes that use `store`, or its URL.

        `quorum` workers must have seen failures before a breaker opens for all; a float is a
        fraction of the workers.
        Raises `BreakerConfigError` for what is no store, or if there is another one already.
        """
        if self.fleet is not None:
            raise BreakerConfigError(
                f"the registry shares its breakers by {self.fleet.store.label} already, and can't "
                "by another store too. Give each registry one."
            )
        self.fleet = BreakerRegistry._fleet_of(store, quorum)
        for breaker in self:
            self._join(breaker)

    def _join(self, breaker: CircuitBreaker) -> None:
        if self.fleet is not None:
            self.fleet.join(breaker)

    def add_listener(self, listener: object) -> None:
        """Tell `listener` what happens to every breaker, those of the future included."""
        with self._lock:
            self._listeners = (*self._listeners, listener)
            for breaker in self:
                breaker.add_listener(listener)

    def remove_listener(self, listener: object) -> None:
        """Tell `listener` no more. Raises `ValueError` if it was never told."""
        with self._lock:
            listeners = list(self._listeners)
            if listener not in listeners:
                raise ValueError(f"{listener!r} does not listen to this registry")
            listeners.remove(listener)
            self._listeners = tuple(listeners)
            for breaker in self:
                if listener in breaker.listeners:
                    breaker.remove_listener(listener)

    def health(self, *, critical: Iterable[str] = ()) -> RegistryHealth:
        """How the service is, by its breakers and its store, for a readiness probe.

        A breaker that is not closed degrades it. While one of those in `critical` (names or
        patterns) rejects every call, it is down. Raises `BreakerConfigError` for what is no name.
        """
        store = None if self.fleet is None else self.fleet.trouble or "works"
        return take_health(self, critical, store)

    def __getitem__(self, name: str) -> CircuitBreaker:
        breaker = self._breakers.get(name) or self._known.get(name)
        if breaker is None:
            raise KeyError(name)
        return breaker

    def __contains__(self, name: object) -> bool:
        return name in self._breakers or name in self._known

    def __iter__(self) -> Iterator[CircuitBreaker]:
        held = [breaker for known in self._known.valuerefs() if (breaker := known())]
        return iter([*self._breakers.values(), *held])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _settings_of(self, name: str) -> dict[str, Any]:
        if name in self._settings:
            return self._settings[name]
        fitting = (each for pattern, each in self._settings.items() if fnmatchcase(name, pattern))
        return next(fitting, {})

    def _know(self, breaker: CircuitBreaker) -> None:
        """List a breaker while somebody else holds it; of several with one name the newest."""
        with self._lock:
            if breaker.name not in self._breakers:
                self._known[breaker.name] = breaker
                if self._listeners:
                    breaker.add_listeners(*self._listeners)
                self._join(breaker)

    def _keep(self, breaker: CircuitBreaker) -> None:
        if len(self._breakers) >= self.limit:
            self._make_room()
        if len(self._breakers) < self.limit:
            self._known.pop(breaker.name, None)
            self._breakers[breaker.name] = breaker
        else:
            self._known[breaker.name] = breaker
            if not self._has_warned:
                self._has_warned = True
                say(
                    logging.WARNING,
                    "no room for breaker %r, which is kept only while somebody holds it: all %d "
                    "were set by hand. Reset those that need not be, or raise `limit`",
                    breaker.name,
                    self.limit,
                )

    def _make_room(self) -> None:
        """Drop the least used breakers: a share at once, so that a flood of names stays cheap."""
        calls = {name: breaker.calls for name, breaker in self._breakers.items()}
        droppable = sorted(
            (each for each in self._breakers.values() if each.state in _DROPPABLE),
            key=lambda breaker: (
                breaker.state is not CLOSED,
                calls[breaker.name] - self._calls_before.get(breaker.name, 0),
            ),
        )
        for breaker in droppable[: max(1, int(self.limit * _DROPPED_AT_ONCE))]:
            self._known[breaker.name] = self._breakers.pop(breaker.name)
        self._calls_before = {name: calls[name] for name in self._breakers}


def _start_anew() -> None:
    """Renew the locks in a child process: a thread of the parent's may have held them."""
    for registry in list(_registries):
        registry._lock = RLock()


at_fork(in_child=_start_anew)

default_registry = BreakerRegistry()
"""The registry of those who ask for none. It knows every `CircuitBreaker` that was given a name."""

CircuitBreaker._introduce = default_registry._know
