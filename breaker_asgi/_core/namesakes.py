"""Breakers by name: those that a registry keeps, and namesakes that the application holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from breaker_asgi._core.state import CLOSED, CLOSING, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi._core.state import CircuitBreakerState

_DROPPED_AT_ONCE = 0.1
_DROPPABLE = (CLOSED, CLOSING, HALF_OPEN, OPEN)
_FEW = 64
"""Names that are listed without a search for those whose breakers are gone."""


class Named(Protocol):
    """A breaker, as far as a registry has to know it to keep it."""

    name: str

    @property
    def state(self) -> CircuitBreakerState: ...

    @property
    def calls(self) -> int: ...


B = TypeVar("B", bound=Named)


class NamedBreakers(Generic[B]):
    """The breakers of a registry: `kept` ones by name, and others while the application holds them.

    The first of a name is the kept one, if there is one; its namesakes follow, the newest first.
    """

    def __init__(self) -> None:
        self.kept: dict[str, B] = {}
        self._held: _HeldBreakers[B] = _HeldBreakers()
        self._calls_before: dict[str, int] = {}
        """The calls of kept breakers when the latest were dropped."""

    def __contains__(self, name: object) -> bool:
        return name in self.kept or bool(self._held.all_of(name))

    def __iter__(self) -> Iterator[B]:
        return iter([*self.kept.values(), *self._held])

    def first(self, name: str) -> B | None:
        """Return the first breaker of a name."""
        return next(iter(self.all_named(name)), None)

    def all_named(self, name: str) -> tuple[B, ...]:
        kept = self.kept.get(name)
        return (*(() if kept is None else (kept,)), *self._held.all_of(name))

    def label_of(self, breaker: B) -> str:
        """Return the name by which a breaker is listed: `bank`, and `bank (2)` for a namesake."""
        namesakes = self.all_named(breaker.name)
        if breaker not in namesakes[1:]:
            return breaker.name
        return _label(breaker.name, namesakes.index(breaker) + 1)

    def labelled(self, label: str) -> B | None:
        """Return the breaker that is listed by a label; None if there is none."""
        if (breaker := self.first(label)) is not None:
            return breaker
        name = label.rpartition(" (")[0]
        for place, namesake in enumerate(self.all_named(name)[1:], 2):
            if label == _label(name, place):
                return namesake
        return None

    def hold(self, breaker: B) -> None:
        """List a breaker while the application holds it."""
        self._held.add(breaker)

    def keep(self, breaker: B) -> None:
        self._held.discard(breaker)
        self.kept[breaker.name] = breaker

    def discard(self, breaker: B) -> bool:
        """List a breaker no more. Return True if it was a kept one."""
        self._held.discard(breaker)
        was_kept = self.kept.get(breaker.name) is breaker
        if was_kept:
            del self.kept[breaker.name]
        return was_kept

    def drop_least_used(self, limit: int) -> list[str]:
        """Drop a share of the kept breakers, so that a flood of names stays cheap.

        Return their names. Closed ones are dropped first, and none that was set by hand.
        """
        calls = {name: breaker.calls for name, breaker in self.kept.items()}
        droppable = sorted(
            (breaker for breaker in self.kept.values() if breaker.state in _DROPPABLE),
            key=lambda breaker: (
                breaker.state is not CLOSED,
                calls[breaker.name] - self._calls_before.get(breaker.name, 0),
            ),
        )
        dropped = [breaker.name for breaker in droppable[: max(1, int(limit * _DROPPED_AT_ONCE))]]
        for name in dropped:
            self._held.add(self.kept.pop(name))
        self._calls_before = {name: calls[name] for name in self.kept}
        return dropped


def _label(name: str, place: int) -> str:
    return f"{name} ({place})"


class _HeldBreakers(Generic[B]):
    """Breakers by name, held weakly."""

    def __init__(self) -> None:
        self._by_name: dict[object, WeakKeyDictionary[B, None]] = {}
        self._most = _FEW

    def add(self, breaker: B) -> None:
        self._by_name.setdefault(breaker.name, WeakKeyDictionary())[breaker] = None
        if len(self._by_name) > self._most:
            self._by_name = {name: held for name, held in self._by_name.items() if held}
            self._most = 2 * len(self._by_name) + _FEW

    def discard(self, breaker: B) -> None:
        self._by_name.get(breaker.name, WeakKeyDictionary()).pop(breaker, None)

    def all_of(self, name: object) -> list[B]:
        """Return the living breakers of a name, the newest first."""
        held = self._by_name.get(name)
        return [] if held is None else list(held)[::-1]

    def __iter__(self) -> Iterator[B]:
        for name in list(self._by_name):
            yield from self.all_of(name)
