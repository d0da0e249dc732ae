"""The scope of a response: all workers, or one of them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from breaker_asgi._core.state import WORST_FIRST
from breaker_asgi.monitor.query import WrongQueryError, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi._fleet.figures import WorkerFigures
    from breaker_asgi._fleet.roster import Worker
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

_RANKS = {state.value: rank for rank, state in enumerate(WORST_FIRST)}
_MOST_NAMES = 50
"""Workers that a refusal lists."""


@dataclass(frozen=True)
class Elsewhere:
    """A breaker that other workers have published, and that this one has not made."""

    name: str


class Scope:
    """The workers whose figures a response has, as they were when it was made.

    Make one for each response, or each tick of the streams.
    """

    def __init__(
        self, registry: BreakerRegistry, worker: str | None = None, *, details: bool = True
    ) -> None:
        """Raise `WrongQueryError` for a worker that is not known."""
        self._registry, fleet = registry, registry.fleet
        self.worker = worker
        """The worker's name as the reader knows it; None for all."""
        self.is_shared = fleet is not None and fleet.outage is None
        """True if the states are those of the store."""
        own = None if fleet is None else fleet.worker
        every = [] if fleet is None else fleet.workers() or []
        self.others: list[Worker] = [other for other in every if other.worker != own]
        """The other workers whose figures count."""
        self.has_own = True
        """True if the figures of this worker count."""
        if worker is not None:
            self._choose(worker, own, details=details)

    def _choose(self, wanted: str, own: str | None, *, details: bool) -> None:
        names = {} if own is None else {shown_name(own, details=details): own}
        others = {shown_name(other.worker, details=details): other for other in self.others}
        if wanted in names:
            self.others = []
        elif wanted in others:
            self.has_own, self.others = False, [others[wanted]]
        else:
            raise WrongQueryError(_unknown(wanted, [*names, *sorted(others)]))

    @property
    def workers(self) -> int:
        """The number of workers whose figures count."""
        return len(self.others) + self.has_own

    def breakers(self) -> dict[str, CircuitBreaker | Elsewhere]:
        """Return the breakers by the names that they are listed by."""
        own = {self._registry.label_of(breaker): breaker for breaker in self._registry}
        listed: dict[str, CircuitBreaker | Elsewhere] = {}
        if self.has_own:
            listed.update(own)
        for worker in self.others:
            for name in worker.breakers:
                if name not in listed:
                    listed[name] = own.get(name) or Elsewhere(name)
        return listed

    def find(self, label: str) -> CircuitBreaker | Elsewhere | None:
        """Return the breaker that is listed by a label; None if there is none."""
        breaker = self._registry.labelled(label)
        if breaker is not None and self.has_own:
            return breaker
        if any(label in worker.breakers for worker in self.others):
            return breaker or Elsewhere(label)
        return None

    def elsewhere(self, breaker: CircuitBreaker | Elsewhere) -> list[tuple[Worker, WorkerFigures]]:
        """Return what the other workers have published of a breaker.

        Of several living breakers of a name the first one gets it, so that it counts once.
        """
        if not self.others:
            return []
        is_first = isinstance(breaker, Elsewhere) or (
            self._registry.label_of(breaker) == breaker.name
        )
        return self.named(breaker.name) if is_first else []

    def named(self, name: str) -> list[tuple[Worker, WorkerFigures]]:
        """Return what the other workers have published of a name."""
        return [
            (worker, worker.breakers[name]) for worker in self.others if name in worker.breakers
        ]

    def marks(self, breaker: CircuitBreaker | Elsewhere) -> tuple[object, ...]:
        """Return values that are equal as long as other workers publish nothing new of it."""
        every = self.elsewhere(breaker)
        marks = [(figures, worker.more.get(figures.name)) for worker, figures in every]
        stand_in = self.stand_in(breaker)
        return self.is_shared, stand_in and stand_in._generation, *marks

    def states(self, breaker: CircuitBreaker | Elsewhere) -> list[str]:
        """Return the state of a breaker in each worker, this one's first.

        The other workers share this one's, by the store, unless one of both is alone: what they
        have published may be some seconds old.
        """
        published = [figures for _, figures in self.elsewhere(breaker)]
        here = self.stand_in(breaker) if isinstance(breaker, Elsewhere) else breaker
        if here is None or not self.has_own:
            return [figures.state for figures in published]
        state, link = here.state.value, here._fleet
        shares = self.is_shared and (link is None or not link.alone)
        others = [state if shares and not figures.alone else figures.state for figures in published]
        return others if isinstance(breaker, Elsewhere) else [state, *others]

    def stand_in(self, breaker: CircuitBreaker | Elsewhere) -> CircuitBreaker | None:
        """Return the stand-in by which this worker has changed a breaker of others, if it has."""
        fleet, is_shown = self._registry.fleet, self.is_shared and self.has_own
        if fleet is None or not (is_shown and isinstance(breaker, Elsewhere)):
            return None
        return fleet.stand_ins.get(breaker.name)

    def state(self, breaker: CircuitBreaker | Elsewhere) -> str:
        """Return the worst state of a breaker in these workers."""
        if not (self.others or isinstance(breaker, Elsewhere)):
            return breaker.state.value
        return worst(self.states(breaker))


def worst(states: Iterable[str]) -> str:
    """Return the worst of some states."""
    return min(states, key=_RANKS.__getitem__)


def shown_name(worker: str, *, details: bool) -> str:
    """Return a worker's name, hashed for readers without details."""
    if details:
        return worker
    return blake2b(worker.encode(errors="replace"), digest_size=6).hexdigest()


def _unknown(wanted: str, names: list[str]) -> str:
    if not names:
        return (
            f"worker={quoted(wanted)} is not allowed: no store connects the workers. Leave it out."
        )
    listed = ", ".join(names[:_MOST_NAMES])
    return f"worker={quoted(wanted)} is not known: give {listed}, or leave it out for all."
