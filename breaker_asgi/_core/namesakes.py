"""Breakers by name, several of one name included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator


class Named(Protocol):
    """A thing with a name."""

    name: str


B = TypeVar("B", bound=Named)


class NamedBreakers(Generic[B]):
    """Breakers by name, held weakly."""

    def __init__(self) -> None:
        self._by_name: dict[object, WeakKeyDictionary[B, None]] = {}
        self._most = 64

    def add(self, breaker: B) -> None:
        self._by_name.setdefault(breaker.name, WeakKeyDictionary())[breaker] = None
        if len(self._by_name) > self._most:
            self._by_name = {name: held for name, held in self._by_name.items() if held}
            self._most = 2 * len(self._by_name) + 64

    def discard(self, breaker: B) -> None:
        self._by_name.get(breaker.name, WeakKeyDictionary()).pop(breaker, None)

    def all_of(self, name: object) -> list[B]:
        """Return the living breakers of a name, the newest first."""
        held = self._by_name.get(name)
        return [] if held is None else list(held)[::-1]

    def newest(self, name: object) -> B | None:
        return next(iter(self.all_of(name)), None)

    def __iter__(self) -> Iterator[B]:
        for name in list(self._by_name):
            yield from self.all_of(name)
