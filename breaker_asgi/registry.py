"""The registry: breakers by name."""

from __future__ import annotations

import logging
import os
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from breaker_asgi._core import validation
from breaker_asgi._core.config import BreakerConfig
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi._core.health import RegistryHealth, take_health
from breaker_asgi._core.listeners import check_listener
from breaker_asgi._core.logs import log, log_doubt
from breaker_asgi._core.named_settings import NamedSettings, Request
from breaker_asgi._core.namesakes import NamedBreakers
from breaker_asgi._core.process import at_fork
from breaker_asgi.breaker import CircuitBreaker, on_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from breaker_asgi._fleet.fleet import Fleet
    from breaker_asgi._fleet.roster import Observer
    from breaker_asgi.stores.protocol import Store

DEFAULT_LIMIT = 10_000
STORE_VARIABLE = "BREAKER_ASGI_STORE"
"""The environment variable with the URL of the store of `default_registry`."""

_registries: WeakSet[BreakerRegistry] = WeakSet()


class BreakerRegistry:
    """Breakers by name: the same name gives the same breaker, made at the first `get`.

        registry = BreakerRegistry(
            BreakerConfig(timeout_duration=10),
            settings={"payments": {"fail_max": 3}, "http:*": {"failure_rate": 0.5}},
        )
        payments = registry.get("payments")

    `config` holds for every breaker; `settings` add to it by name, or by a pattern with `*`, `?`
    and `[...]`: a name itself comes before the patterns, and of those the first that fits.
    `listeners` are notified by every breaker.

    At most `limit` breakers are kept, so that made-up names can't fill the memory: when there are
    more, those least used are dropped, closed ones first, and never one that was set by hand
    (forced open, disabled, metrics-only). A dropped breaker that the application
    still holds stays listed, and `get` returns it again.
    """

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
        self.config = BreakerConfig() if config is None else config
        self.limit = _checked_limit(limit)
        self._settings = NamedSettings(self.config, settings)
        self._listeners = _checked_listeners(listeners)
        self._lock = RLock()
        self._breakers: NamedBreakers[CircuitBreaker] = NamedBreakers()
        self._made: dict[str, Request] = {}
        """Requests for the breakers that `get` has made and the registry keeps, by name."""
        self._has_warned = False
        self.fleet: Fleet | None = None
        self._observer: Observer | None = None
        self._of_routes: WeakSet[CircuitBreaker] = WeakSet()
        _registries.add(self)
        if store is not None:
            self.share(store, quorum=quorum)

    def configure(
        self,
        config: BreakerConfig | None = None,
        *,
        settings: Mapping[str, Mapping[str, Any] | BreakerConfig] | None = None,
        listeners: Iterable[object] = (),
        limit: int | None = None,
        store: Store | str | None = None,
        quorum: float = 1,
    ) -> None:
        """Set what the constructor takes, on a registry that exists: the default one.

            default_registry.configure(settings={"payments": {"fail_max": 3}})

        Settings that are left out stay; `listeners` are added. Breakers that `get` has made and
        that have not been used get the new settings.

        Raises `BreakerConfigError` for what the constructor would refuse, and if the settings of a
        breaker would change that is in use already. Nothing has changed then.
        """
        with self._lock:
            config = self.config if config is None else config
            if settings is None:
                checked = self._settings.on(config)
            else:
                checked = NamedSettings(config, settings)
            added = _checked_listeners(listeners)
            limit = self.limit if limit is None else _checked_limit(limit)
            before = self.config, self._settings
            self.config, self._settings = config, checked
            changed = self._made_with_other_settings()
            try:
                self._drop(changed)
                if store is not None:
                    self.share(store, quorum=quorum)
            except BreakerConfigError:
                self.config, self._settings = before
                raise
            finally:
                for name in changed.keys() - self._breakers.kept.keys():
                    self._make(name, changed[name])
            self.limit = limit
            for listener in added:
                self.add_listener(listener)

    def _made_with_other_settings(self) -> dict[str, Request]:
        return {
            name: request
            for name, request in self._made.items()
            if self._breakers.kept[name].config != self._config_of(name, request)
        }

    def _drop(self, names: Iterable[str]) -> None:
        """Drop breakers that `get` has made, so that they can be made again.

        Raises `BreakerConfigError` if one of them is in use, or held: it stays.
        """
        dropped = [self._breakers.kept.pop(name) for name in names]
        references = [ref(breaker) for breaker in dropped]
        dropped = [breaker for breaker in dropped if not breaker._is_unused]
        held = [breaker for reference in references if (breaker := reference())]
        if held:
            self._breakers.kept.update({breaker.name: breaker for breaker in held})
            raise BreakerConfigError(
                f"configure() would change the settings of "
                f"{', '.join(repr(breaker.name) for breaker in held)}, in use already. Call it "
                "before these are made, or give their settings where they are made."
            )

    def _config_of(self, name: str, request: Request) -> BreakerConfig:
        return self._settings.config_of(name, request, self.config)

    def get(
        self, name: str, *, defaults: BreakerConfig | None = None, **settings: Any
    ) -> CircuitBreaker:
        """Return the breaker called `name`.

        A new one gets the registry's settings for it and these. `defaults` stands in for the
        registry's `config`. Raises `BreakerConfigError` if the breaker exists already, with other
        values for `settings`.
        """
        breaker = self._breakers.kept.get(name)
        if settings:
            validation.known_settings("registry.get", settings)
        if breaker is None:
            with self._lock:
                breaker = self._breakers.first(name)
                if breaker is None:
                    breaker = self._make(name, Request(defaults, settings))
                else:
                    self._register(breaker)
        if settings:
            _refuse_other_settings(breaker, settings)
        return breaker

    def _make(self, name: str, request: Request) -> CircuitBreaker:
        breaker = CircuitBreaker.from_config(self._config_of(name, request), name, self._listeners)
        self._share_breaker(breaker)
        self._register(breaker)
        if breaker.name in self._breakers.kept:
            self._made[name] = request
        return breaker

    def _unlisted(self, name: str) -> CircuitBreaker:
        """Return a new breaker with the settings that `get` would give it by its name alone."""
        return CircuitBreaker.from_config(self._config_of(name, Request(None, {})), name)

    def _lend(
        self, name: str, defaults: BreakerConfig, settings: Mapping[str, Any]
    ) -> CircuitBreaker:
        """Return the breaker called `name`. A new one is listed while the caller holds it."""
        existing = self._breakers.first(name)
        if existing is not None:
            if settings:
                _refuse_other_settings(existing, settings)
            return existing
        config = self._config_of(name, Request(defaults, settings))
        breaker = CircuitBreaker.from_config(config, name, self._listeners)
        self._share_breaker(breaker)
        self._breakers.hold(breaker)
        self._of_routes.add(breaker)
        return breaker

    def _release(self, breaker: CircuitBreaker | None) -> None:
        """Free the name of a breaker whose application is gone."""
        if breaker is not None and self._breakers.discard(breaker):
            self._made.pop(breaker.name, None)

    def add(self, breaker: CircuitBreaker) -> CircuitBreaker:
        """Take in a breaker that was made elsewhere, and give it back.

        Raises `BreakerConfigError` if another one has its name.
        """
        with self._lock:
            existing = self._breakers.first(breaker.name)
            if existing is not None and existing is not breaker:
                raise BreakerConfigError(
                    f"a breaker named {breaker.name!r} exists already. Give each its own name, or "
                    "get the one that is there."
                )
            if existing is None:
                breaker.add_listeners(*self._listeners)
                self._share_breaker(breaker)
            if breaker.name not in self._breakers.kept:
                self._register(breaker)
        return breaker

    def share(self, store: Store | str, *, quorum: float = 1) -> None:
        """Keep the breakers in step with those of all processes that use `store`, or its URL.

        `quorum` workers must have had failures before a breaker opens for all; a float is a
        fraction of the workers.
        Raises `BreakerConfigError` for a wrong store, or if there is another one already.
        """
        if self.fleet is not None:
            raise BreakerConfigError(
                f"the registry shares its breakers by {self.fleet.store.label} already, and can't "
                "by another store too. Give each registry one."
            )
        from breaker_asgi._fleet.start import start_fleet  # noqa: PLC0415 (few share)

        self.fleet = start_fleet(store, quorum)
        self.fleet.observer = self._observer
        for breaker in self:
            self._share_breaker(breaker)

    def _observe(self, observer: Observer) -> None:
        """Have `observer` add to the figures that the fleet publishes, now or once there is one."""
        self._observer = observer
        if self.fleet is not None:
            self.fleet.observer = observer

    def _share_breaker(self, breaker: CircuitBreaker) -> None:
        if self.fleet is not None:
            self.fleet.join(breaker)

    def add_listener(self, listener: object) -> None:
        """Notify `listener` of the events of every breaker, later ones included.

        Raises `BreakerConfigError` for one without a method for any event.
        """
        check_listener(listener)
        with self._lock:
            self._listeners = (*self._listeners, listener)
            for breaker in self:
                breaker.add_listener(listener)

    def remove_listener(self, listener: object) -> None:
        """Notify `listener` no more. Raises `ValueError` if it does not listen."""
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
        """Return the health of the service, by its breakers and its store, for a readiness probe.

        A breaker that is not closed degrades it. While one of those in `critical` (names or
        patterns) rejects every call, it is down. Raises `BreakerConfigError` for what is no name.
        """
        store = None if self.fleet is None else self.fleet.outage or "works"
        return take_health(self, critical, store)

    def all_named(self, name: str) -> tuple[CircuitBreaker, ...]:
        """Return all living breakers of a name: code may have made several."""
        return self._breakers.all_named(name)

    def label_of(self, breaker: CircuitBreaker) -> str:
        """Return the name by which a breaker is listed: `bank`, and `bank (2)` for a namesake."""
        return self._breakers.label_of(breaker)

    def labelled(self, label: str) -> CircuitBreaker | None:
        """Return the breaker that is listed by a label; None if there is none."""
        return self._breakers.labelled(label)

    def __getitem__(self, name: str) -> CircuitBreaker:
        breaker = self._breakers.first(name)
        if breaker is None:
            raise KeyError(name)
        return breaker

    def __contains__(self, name: object) -> bool:
        return name in self._breakers

    def __iter__(self) -> Iterator[CircuitBreaker]:
        """Iterate over all living breakers, those that share a name included."""
        return iter(self._breakers)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _register_weakly(self, breaker: CircuitBreaker) -> None:
        """List a breaker that the application made, while it holds it.

        It takes the place of an unused one that `get` has made: the order of imports must not
        matter.
        """
        name = breaker.name
        with self._lock:
            self._replace_unused(breaker)
            others = [other for other in self.all_named(name) if other is not breaker]
            if self._breakers.kept.get(name) is not breaker:
                self._breakers.hold(breaker)
            breaker.add_listeners(*self._listeners)
            self._share_breaker(breaker)
        if others:
            log_doubt(
                self,
                "there are %d breakers named %r, and what one learns the others do not know. Give "
                "each a name of its own, or make one and use it everywhere",
                len(others) + 1,
                name,
            )

    def _replace_unused(self, breaker: CircuitBreaker) -> None:
        request = self._made.get(breaker.name)
        if request is not None and (unused := self._breakers.kept[breaker.name])._is_unused:
            _refuse_other_settings(breaker, request.settings)
            self._breakers.hold(unused)
            self._breakers.keep(breaker)
            del self._made[breaker.name]

    def _register(self, breaker: CircuitBreaker) -> None:
        kept = self._breakers.kept
        if len(kept) >= self.limit:
            for name in self._breakers.drop_least_used(self.limit):
                self._made.pop(name, None)
        if len(kept) < self.limit:
            self._breakers.keep(breaker)
            return
        self._breakers.hold(breaker)
        if not self._has_warned:
            self._has_warned = True
            log(
                logging.WARNING,
                "no room for breaker %r, which is kept only while somebody holds it: all %d "
                "were set by hand. Reset those that need not be, or raise `limit`",
                breaker.name,
                self.limit,
            )


def _start_anew() -> None:
    """Renew the locks in a child process: a thread of the parent's may have held them."""
    for registry in list(_registries):
        registry._lock = RLock()


at_fork(in_child=_start_anew)


def _checked_limit(limit: object) -> int:
    return validation.integer("limit", limit, "Leave it out for 10,000")


def _checked_listeners(listeners: Iterable[object]) -> tuple[object, ...]:
    checked = validation.listed("listeners", listeners, "listeners")
    for listener in checked:
        check_listener(listener)
    return checked


def _refuse_other_settings(breaker: CircuitBreaker, settings: Mapping[str, Any]) -> None:
    with validation.without_warnings():
        config = breaker.config.replace(**settings)
    if config.given() != breaker.config.given():
        wanted = ", ".join(f"{setting}={value!r}" for setting, value in settings.items())
        kept = ", ".join(f"{name}={getattr(breaker.config, name)!r}" for name in settings)
        raise BreakerConfigError(
            f"breaker {breaker.name!r} was asked for with {wanted}, but exists with {kept}. Give "
            "its settings in one place, and ask for it by name alone elsewhere."
        )


class _DefaultRegistry(BreakerRegistry):
    """The default registry, which shares by the store of the environment.

    It reads the variable when it first gets a breaker, or a store by `share`, not at its import.
    """

    _has_read_variable = False

    def share(self, store: Store | str, *, quorum: float = 1) -> None:
        self._share_by_variable()
        super().share(store, quorum=quorum)

    def _share_breaker(self, breaker: CircuitBreaker) -> None:
        self._share_by_variable()
        super()._share_breaker(breaker)

    def _share_by_variable(self) -> None:
        url = os.environ.get(STORE_VARIABLE)
        if not url or self._has_read_variable:
            return
        self._has_read_variable = True
        try:
            super().share(url)
        except BreakerConfigError as error:
            self._has_read_variable = False
            raise BreakerConfigError(f"the variable {STORE_VARIABLE}: {error}") from None


default_registry: BreakerRegistry = _DefaultRegistry()
"""The default registry. It lists every `CircuitBreaker` that has a name."""

on_named(default_registry._register_weakly)
