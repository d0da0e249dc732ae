"""The processes of a world, and the calls that they make."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerListener,
    CircuitBreakerState,
    Permit,
)
from breaker_asgi._core.generation import Generation
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi._fleet.link import Link
from breaker_asgi.stores.protocol import NO_CALLS, Counts
from tests.stores.simulation.lines import Line
from tests.stores.simulation.terms import KINDS, LEASE, OPEN_TIME, SKEW

if TYPE_CHECKING:
    from typing import Any

    from tests.stores.simulation.world import World


class Died(BaseException):
    """Ends the step of a worker that has died."""


@dataclass(eq=False)
class Call:
    """A call to the dependency that is under way."""

    worker: Worker
    breaker: CircuitBreaker
    permit: Permit
    ends: float
    began: float
    started: float
    """The reading of the worker's clock when it began."""
    counts: bool = True
    """True unless the breaker was disabled when it began."""
    is_overdue: bool = False
    """True once it counts as slow while it runs."""
    episode: tuple[str, int, int] | None = None
    """The half-open episode whose probe it is: name, incarnation of the store, generation."""
    leased_until: float = 0.0
    probe: tuple[str, int, str] | None = None
    """The name, the generation and the lease from the store."""

    def is_alone_with(self, other: Call) -> bool:
        """Return True if it still is a probe of the same generation that no store has lent."""
        same = self.permit.generation is other.permit.generation and self.probe is None
        return same and other.began - self.began < LEASE * (1 - 2 * SKEW)


class Endings(CircuitBreakerListener):
    """The numbers of ended calls of each breaker, at its last change of state."""

    def __init__(self) -> None:
        self.ended: dict[str, int] = {}

    def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> None:
        del old, new
        self.ended[breaker.name] = breaker.successes + breaker.failures


class Worker:
    """A process. Its clock differs from those of other workers, in time and rate."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"w{number}"
        self.paused_until = self.cut_until = 0.0
        self.is_failing = self.steps = self.is_dead = False
        self.incarnations: dict[tuple[str, int], int] = {}
        """The incarnation of the store from which it fetched a breaker's generation."""
        self.late: dict[tuple[str, int], float] = {}
        """Seconds by which that reply was late."""
        self._offset, self._rate = (
            world.random.uniform(0, 1e6),
            1 + world.random.uniform(-1, 1) * SKEW,
        )
        self.registry = BreakerRegistry(
            BreakerConfig(timeout_duration=OPEN_TIME, half_open_timeout=LEASE, clock=self.clock),
            settings=KINDS,
            listeners=(endings := Endings(),),
        )
        self.ended = endings.ended
        """The calls of each breaker that had ended at its last change of state."""
        self.fleet = Fleet(
            cast("Any", Line(world, self)),
            worker=self.name,
            patience=0,
            clock=self.clock,
            quorum=world.quorum or 1,
        )
        self.registry.fleet = self.fleet
        self._links: list[Link] = []
        self.checked: dict[Link, tuple[object, ...]] = {}
        """The state of each link at its last check."""
        self.counts: dict[str, dict[Generation, Counts]] = defaultdict(
            lambda: defaultdict(lambda: NO_CALLS)
        )
        """The calls counted in each generation of its breakers."""
        self.was: dict[Generation, set[tuple[int, str]]] = defaultdict(set)
        """Numbers and identities of the fleet's changes that correspond to a local generation."""
        self.by_hand: dict[str, Generation] = {}
        """Manual changes that were made here, and have not reached the store."""
        self.at: dict[str, tuple[int, int, float]] = {}
        """The generation of each breaker, the store's incarnation at its fetch, and the seconds
        that it took at most."""
        self.began = self.took = 0.0
        """The time of its last step, and the seconds of the longest step since the last check."""

    def clock(self) -> float:
        return self._offset + self._rate * self.world.now

    def start(self) -> None:
        self.step()
        for name in self.world.names:
            self.registry.get(name)
            if self.world.chance(0.5):
                self.step()

    def step(self) -> None:
        if self.steps or self.is_dead:
            return
        self.steps = True
        self.began = self.world.now
        try:
            self.fleet.step()
        except Died:
            self.world.bury(self)
        finally:
            self.steps = False
            self.took = max(self.took, self.world.now - self.began)

    @property
    def has_something_to_do(self) -> bool:
        """True if its thread would be woken now, or has slept for long enough."""
        fleet = self.fleet
        return (
            fleet.woken.is_set()
            or bool(fleet._synchroniser._due)
            or fleet.cursor != self.world.store.point
            or fleet.seconds_to_report() == 0
        )

    def link(self, name: str) -> Link:
        return self.fleet._links[self.registry[name]]

    @property
    def links(self) -> list[Link]:
        if len(self._links) != len(self.fleet._links.data):  # type: ignore[attr-defined]
            self._links = list(self.fleet._links.values())
        return self._links

    @property
    def runs(self) -> bool:
        return self.world.now >= self.paused_until and not self.is_dead
