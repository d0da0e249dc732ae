"""The exported view of a registry, read at collection time: calls do no work for it."""

from __future__ import annotations

import logging
from hashlib import sha256
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from breaker_asgi._core import validation
from breaker_asgi._core.logs import log
from breaker_asgi._core.outcome import Outcome
from breaker_asgi._core.state import WORST_FIRST
from breaker_asgi.registry import BreakerRegistry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.snapshot import BreakerSnapshot
    from breaker_asgi.breaker import CircuitBreaker

LIMIT = 500
"""Breakers that are exported: each comes to some 40 time series."""

_LONGEST = 200
"""Characters of the value of a label."""


class Row(NamedTuple):
    """One breaker, as it stands. Its counts begin when it was made."""

    name: str
    """The breaker's name, as `label_of` returns it."""
    breaker: CircuitBreaker
    snapshot: BreakerSnapshot
    probes: Mapping[str, int]
    """Settled calls of the half-open state, without outcomes that have not happened."""
    transitions: Mapping[tuple[str, str], int]
    """Changes of state by from and to, without pairs that have not happened."""
    namesakes: tuple[Row, ...] = ()
    """The other living breakers of the name, of which this is the worst."""

    @property
    def alike(self) -> tuple[Row, ...]:
        """All living breakers of the name, this one first."""
        return (self, *self.namesakes)

    @property
    def config(self) -> BreakerConfig:
        return self.breaker.config


class StoreRow(NamedTuple):
    """The store that a registry's breakers are shared by."""

    label: str
    is_up: bool
    """False while each worker decides alone."""


class ExportedBreakers:
    """The breakers of a registry that are exported, at most `limit` of them.

    A breaker that was read once is read until it is gone: no series ends while its breaker lives.
    Then it makes room for another one, unless `keeps_names`, where a series can't be taken away.
    Keeps neither the registry nor a breaker alive.
    """

    def __init__(
        self, registry: BreakerRegistry, limit: int = LIMIT, *, keeps_names: bool = False
    ) -> None:
        validation.instance(
            "registry", registry, BreakerRegistry, "Leave it out for the default one"
        )
        self.limit = validation.integer("limit", limit, f"Leave it out for {LIMIT}")
        self._keeps_names = keeps_names
        self._registry = ref(registry)
        self._exported: dict[str, list[ref[CircuitBreaker]]] = {}
        self._reading = RLock()
        self._has_warned = False
        self.left_out = 0
        """Breakers beyond the limit, when they were last read."""

    def breakers(self) -> dict[str, list[CircuitBreaker]]:
        """Return the exported breakers by name, of one name the worst first."""
        with self._reading:
            exported = {
                name: living for name, refs in self._exported.items() if (living := _living(refs))
            }
            places = set(self._exported if self._keeps_names else exported)
            here: dict[str, list[CircuitBreaker]] = {}
            self.left_out = 0
            for breaker in self._registry() or ():
                name = label_of(breaker)
                if name in places or len(places) < self.limit:
                    places.add(name)
                    here.setdefault(name, []).append(breaker)
                else:
                    self.left_out += 1
            exported |= here
            for breakers in exported.values():
                breakers.sort(key=_rank)
            before = self._exported if self._keeps_names else {}
            self._exported = before | {
                name: [ref(breaker) for breaker in breakers] for name, breakers in exported.items()
            }
            self._warn()
            return exported

    def rows(self) -> list[Row]:
        """Return a row for each name."""
        return [_row_of_all(name, breakers) for name, breakers in self.breakers().items()]

    def store(self) -> StoreRow | None:
        """Return the registry's store, if it has one."""
        registry = self._registry()
        fleet = None if registry is None else registry.fleet
        return None if fleet is None else StoreRow(sendable(fleet.store.label), not fleet.is_out)

    def start_anew(self) -> None:
        """Replace the lock in a child process: a thread of the parent's may have held it."""
        self._reading = RLock()

    def _warn(self) -> None:
        if self.left_out and not self._has_warned:
            self._has_warned = True
            log(
                logging.WARNING,
                "only %d breakers are exported as metrics, %d are not; raise `limit` if their "
                "names are few by design, or give calls fewer names",
                self.limit,
                self.left_out,
            )


def label_of(breaker: CircuitBreaker) -> str:
    """Return the breaker's name as a label."""
    return sendable(breaker.name)


def sendable(text: str) -> str:
    """Return a text as valid UTF-8 of limited length; distinct texts stay distinct."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    if clean == text and len(text) <= _LONGEST:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    mark = f"...{digest[:16]}"
    return clean[: _LONGEST - len(mark)] + mark


def _row_of_all(name: str, breakers: list[CircuitBreaker]) -> Row:
    worst, *namesakes = (_row(name, breaker) for breaker in breakers)
    return worst._replace(namesakes=tuple(namesakes)) if namesakes else worst


def _row(name: str, breaker: CircuitBreaker) -> Row:
    counts = dict(breaker._rare_counts or {})
    return Row(
        name,
        breaker,
        breaker.snapshot(),
        {what.value: count for what, count in counts.items() if isinstance(what, Outcome)},
        {
            (what[0].value, what[1].value): count
            for what, count in counts.items()
            if isinstance(what, tuple)
        },
    )


def _living(refs: list[ref[CircuitBreaker]]) -> list[CircuitBreaker]:
    return [breaker for reference in refs if (breaker := reference()) is not None]


def _rank(breaker: CircuitBreaker) -> int:
    """Return 0 for the worst state. Among equals the newest stays first."""
    return WORST_FIRST.index(breaker.state)
