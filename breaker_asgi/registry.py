"""Names to breakers."""

from __future__ import annotations

import logging
import os
from fnmatch import fnmatchcase
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet, ref

from breaker_asgi._core import validation
from breaker_asgi._core.config import BreakerConfig
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi._core.health import RegistryHealth, take_health
from breaker_asgi._core.listeners import check_listener
from breaker_asgi._core.logs import log, log_doubt
from breaker_asgi._core.namesakes import NamedBreakers
from breaker_asgi._core.process import at_fork
from breaker_asgi._core.state import CLOSED, HALF_OPEN, OPEN
from breaker_asgi.breaker import CircuitBreaker, on_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from breaker_asgi._fleet.fleet import Fleet
    from breaker_asgi.stores.protocol import Store

DEFAULT_LIMIT = 10_000
STORE_VARIABLE = "BREAKER_ASGI_STORE"
"""The environment variable with the URL of the store of `default_registry`."""

_registries: WeakSet[BreakerRegistry] = WeakSet()
_DROPPED_AT_ONCE = 0.1
_DROPPABLE = (CLOSED, HALF_OPEN, OPEN)


class _Order(NamedTuple):
    """A request for a breaker that had to be made."""

    defaults: BreakerConfig | None
    settings: Mapping[str, Any]


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
        self._settings = _checked_settings(self.config, settings)
        self._listeners = _checked_listeners(listeners)
        self._lock = RLock()
        self._breakers: dict[str, CircuitBreaker] = {}
        self._made: dict[str, _Order] = {}
        """By name, with what `get` was asked for the breakers that it has made."""
        self._known: NamedBreakers[CircuitBreaker] = NamedBreakers()
        """Breakers that are listed while somebody else holds them."""
        self._calls_before: dict[str, int] = {}
        self._has_warned = False
        self.fleet: Fleet | None = None
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

        What is not given stays as it is; `listeners` are added. Breakers that were asked for
        already and have not been used get the new settings.

        Raises `BreakerConfigError` for what the constructor would refuse, and if the settings of a
        breaker would change that is in use already. Nothing has changed then.
        """
        with self._lock:
            config = self.config if config is None else config
            settings = self._settings if settings is None else settings
            checked = _checked_settings(config, settings)
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
                for name in changed.keys() - self._breakers.keys():
                    self._make(name, changed[name])
            self.limit = limit
            for listener in added:
                self.add_listener(listener)

    def _made_with_other_settings(self) -> dict[str, _Order]:
        return {
            name: order
            for name, order in self._made.items()
            if name in self._breakers
            and self._breakers[name].config != self._config_of(name, order)
        }

    def _drop(self, names: Iterable[str]) -> None:
        """Drop breakers that were asked for, to be made again.

        Raises `BreakerConfigError` if one of them is in use, or held by somebody: it stays.
        """
        dropped = [self._breakers.pop(name) for name in names]
        references = [ref(breaker) for breaker in dropped]
        dropped = [breaker for breaker in dropped if not breaker._is_unused]
        held = [breaker for reference in references if (breaker := reference())]
        if held:
            self._breakers.update({breaker.name: breaker for breaker in held})
            raise BreakerConfigError(
                f"configure() would change the settings of "
                f"{', '.join(repr(breaker.name) for breaker in held)}, in use already. Call it "
                "before these are made, or give their settings where they are made."
            )

    def _config_of(self, name: str, order: _Order) -> BreakerConfig:
        with validation.told_already():
            config = (order.defaults or self.config).replace(**self._settings_of(name))
        return config.replace(**order.settings) if order.settings else config

    def get(
        self, name: str, *, defaults: BreakerConfig | None = None, **settings: Any
    ) -> CircuitBreaker:
        """Return the breaker called `name`.

        A new one gets the registry's settings for it and these. `defaults` stands in for the
        registry's `config`. Raises `BreakerConfigError` if the breaker exists already, with other
        values for `settings`.
        """
        breaker = self._breakers.get(name)
        if settings:
            validation.known_settings("registry.get", settings)
        if breaker is None:
            with self._lock:
                breaker = self._breakers.get(name) or self._known.newest(name)
                if breaker is None:
                    breaker = self._make(name, _Order(defaults, settings))
                else:
                    self._register(breaker)
        if settings:
            _refuse_other_settings(breaker, settings)
        return breaker

    def _make(self, name: str, order: _Order) -> CircuitBreaker:
        breaker = CircuitBreaker.from_config(self._config_of(name, order), name, self._listeners)
        self._share_breaker(breaker)
        self._register(breaker)
        if breaker.name in self._breakers:
            self._made[name] = order
        return breaker

    def _lend(
        self, name: str, defaults: BreakerConfig, settings: Mapping[str, Any]
    ) -> CircuitBreaker:
        """Return the breaker called `name`, for one who holds it: a new one is known till then."""
        if name in self:
            if settings:
                _refuse_other_settings(self[name], settings)
            return self[name]
        config = self._config_of(name, _Order(defaults, settings))
        breaker = CircuitBreaker.from_config(config, name, self._listeners)
        self._share_breaker(breaker)
        self._known.add(breaker)
        return breaker

    def _release(self, breaker: CircuitBreaker | None) -> None:
        """Give the name of a breaker free, whose application is gone."""
        if breaker is not None:
            self._known.discard(breaker)
            if self._breakers.get(breaker.name) is breaker:
                del self._breakers[breaker.name]
                self._made.pop(breaker.name, None)

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
                self._share_breaker(breaker)
            if breaker.name not in self._breakers:
                self._register(breaker)
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
        self.fleet = _fleet_of(store, quorum)
        for breaker in self:
            self._share_breaker(breaker)

    def _share_breaker(self, breaker: CircuitBreaker) -> None:
        if self.fleet is not None:
            self.fleet.join(breaker)

    def add_listener(self, listener: object) -> None:
        """Tell `listener` what happens to every breaker, those of the future included.

        Raises `BreakerConfigError` for one that could hear nothing.
        """
        check_listener(listener)
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
        """Return the health of the service, by its breakers and its store, for a readiness probe.

        A breaker that is not closed degrades it. While one of those in `critical` (names or
        patterns) rejects every call, it is down. Raises `BreakerConfigError` for what is no name.
        """
        store = None if self.fleet is None else self.fleet.trouble or "works"
        return take_health(self, critical, store)

    def all_named(self, name: str) -> tuple[CircuitBreaker, ...]:
        """Return all living breakers of a name: code may have made several."""
        kept = self._breakers.get(name)
        return (*(() if kept is None else (kept,)), *self._known.all_of(name))

    def label_of(self, breaker: CircuitBreaker) -> str:
        """Return the name by which a breaker is listed: `bank`, and `bank (2)` for a namesake."""
        namesakes = self.all_named(breaker.name)
        if len(namesakes) < 2 or breaker not in namesakes[1:]:  # noqa: PLR2004
            return breaker.name
        return f"{breaker.name} ({namesakes.index(breaker) + 1})"

    def labelled(self, label: str) -> CircuitBreaker | None:
        """Return the breaker that is listed by a label; None if there is none."""
        if label in self:
            return self[label]
        name, _, number = label.removesuffix(")").rpartition(" (")
        if not (number.isascii() and number.isdigit() and len(number) < 5):  # noqa: PLR2004
            return None
        namesakes = self.all_named(name)
        return namesakes[int(number) - 1] if 1 < int(number) <= len(namesakes) else None

    def __getitem__(self, name: str) -> CircuitBreaker:
        namesakes = self.all_named(name)
        if not namesakes:
            raise KeyError(name)
        return namesakes[0]

    def __contains__(self, name: object) -> bool:
        return name in self._breakers or bool(self._known.all_of(name))

    def __iter__(self) -> Iterator[CircuitBreaker]:
        """Iterate over all living breakers, those that share a name included."""
        return iter([*self._breakers.values(), *self._known])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _settings_of(self, name: str) -> dict[str, Any]:
        if name in self._settings:
            return self._settings[name]
        fitting = (
            settings for pattern, settings in self._settings.items() if fnmatchcase(name, pattern)
        )
        return next(fitting, {})

    def _register_weakly(self, breaker: CircuitBreaker) -> None:
        """List a breaker that was made by hand, while somebody else holds it.

        It takes the place of one that was only asked for by its name, and has not been used: the
        order of imports must not matter.
        """
        name = breaker.name
        with self._lock:
            self._replace_unused(breaker)
            others = [other for other in self.all_named(name) if other is not breaker]
            if self._breakers.get(name) is not breaker:
                self._known.add(breaker)
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
        kept, order = self._breakers.get(breaker.name), self._made.get(breaker.name)
        if kept is not None and order is not None and kept._is_unused:
            _refuse_other_settings(breaker, order.settings)
            self._known.add(kept)
            self._breakers[breaker.name] = breaker
            del self._made[breaker.name]

    def _register(self, breaker: CircuitBreaker) -> None:
        if len(self._breakers) >= self.limit:
            self._make_room()
        if len(self._breakers) < self.limit:
            self._known.discard(breaker)
            self._breakers[breaker.name] = breaker
        else:
            self._known.add(breaker)
            if not self._has_warned:
                self._has_warned = True
                log(
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
            (breaker for breaker in self._breakers.values() if breaker.state in _DROPPABLE),
            key=lambda breaker: (
                breaker.state is not CLOSED,
                calls[breaker.name] - self._calls_before.get(breaker.name, 0),
            ),
        )
        for breaker in droppable[: max(1, int(self.limit * _DROPPED_AT_ONCE))]:
            self._known.add(self._breakers.pop(breaker.name))
            self._made.pop(breaker.name, None)
        self._calls_before = {name: calls[name] for name in self._breakers}


def _start_anew() -> None:
    """Renew the locks in a child process: a thread of the parent's may have held them."""
    for registry in list(_registries):
        registry._lock = RLock()


at_fork(in_child=_start_anew)


def _checked_limit(limit: object) -> int:
    return validation.integer("limit", limit, "Leave it out for 10,000")


def _checked_settings(
    config: BreakerConfig, settings: Mapping[str, Mapping[str, Any] | BreakerConfig] | None
) -> dict[str, dict[str, Any]]:
    """Return settings by pattern, each tried on top of `config`."""
    validation.instance("config", config, BreakerConfig, "Write BreakerConfig(failure_rate=0.3)")
    checked = {
        pattern: dict(values.given() if isinstance(values, BreakerConfig) else values)
        for pattern, values in (settings or {}).items()
    }
    for values in checked.values():
        config.replace(**values)
    return checked


def _checked_listeners(listeners: Iterable[object]) -> tuple[object, ...]:
    checked = validation.listed("listeners", listeners, "listeners")
    for listener in checked:
        check_listener(listener)
    return checked


def _refuse_other_settings(breaker: CircuitBreaker, settings: Mapping[str, Any]) -> None:
    with validation.told_already():
        config = breaker.config.replace(**settings)
    if config.given() != breaker.config.given():
        wanted = ", ".join(f"{setting}={value!r}" for setting, value in settings.items())
        kept = ", ".join(f"{name}={getattr(breaker.config, name)!r}" for name in settings)
        raise BreakerConfigError(
            f"breaker {breaker.name!r} was asked for with {wanted}, but exists with {kept}. Give "
            "its settings in one place, and ask for it by name alone elsewhere."
        )


def _fleet_of(store: Store | str, quorum: float) -> Fleet:
    """Return a fleet that has begun. Raises `BreakerConfigError` for a wrong store or quorum."""
    from breaker_asgi._fleet.fleet import Fleet  # noqa: PLC0415
    from breaker_asgi._fleet.quorum import checked  # noqa: PLC0415
    from breaker_asgi.stores import store_of  # noqa: PLC0415 (most services have no use for it)

    checked(quorum)
    if isinstance(store, str):
        store = store_of(store)
    elif not callable(getattr(store, "exchange", None)):
        remedy = 'Write store="sqlite:///breakers.db"'
        if type(store).__module__.startswith("redis."):
            remedy = "Write store=RedisStore(client), from breaker_asgi.stores.redis"
        # Its type only: others' objects may show passwords.
        raise validation.not_allowed("store", type(store), "a store, or the URL of one", remedy)
    fleet = Fleet(store, quorum=quorum)
    fleet.start()
    return fleet


class _DefaultRegistry(BreakerRegistry):
    """The registry of those who ask for none, which shares by the store of the environment.

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
"""The registry of those who ask for none. It knows every `CircuitBreaker` that was given a name."""

on_named(default_registry._register_weakly)
