"""Guards of the workers: each with its own, all with one, or ours in step through a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from benchmarks.tuning.calls import Situation
from benchmarks.tuning.guards import Breaker, Guard, Ticket
from benchmarks.tuning.policies import Policy
from benchmarks.tuning.simulation import Simulation
from breaker_asgi import BreakerRegistry, CircuitBreaker
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore

Guards = Sequence[Sequence[Guard]]
"""Guards by worker and service."""
Sharing = Callable[[Policy, Situation, Simulation, int], Guards | None]
"""Makes the guards of a policy; None where the policy can't be shared in this way."""

_FLEET = 8
_NETWORK = 0.005
"""Seconds until a change is stored, and again until other workers have fetched it."""
_SHORTEST_REST = 0.05


def alone(policy: Policy, situation: Situation, simulation: Simulation, seed: int) -> Guards:
    """Return guards of which each belongs to one worker."""
    return _independent(policy, situation, simulation, seed, situation.workers)


def as_one(policy: Policy, situation: Situation, simulation: Simulation, seed: int) -> Guards:
    """Return one guard of a service for all workers: a bound, with no delay between them."""
    return _independent(policy, situation, simulation, seed, 1)


def fleet_of(size: int) -> Sharing:
    """Return the sharing by a fleet of a number of workers."""

    def share(
        policy: Policy,
        situation: Situation,
        simulation: Simulation,
        seed: int,  # noqa: ARG001
    ) -> Guards | None:
        if policy.settings is None:
            return None
        return Workers(policy, situation, simulation, size).guards

    return share


def _independent(
    policy: Policy, situation: Situation, simulation: Simulation, seed: int, workers: int
) -> Guards:
    clock, make = simulation.clock, policy.make
    if make is not None:
        return [
            [
                make(situation, clock, Random(f"{seed}: {worker}, {service}"))
                for service in range(situation.services)
            ]
            for worker in range(workers)
        ]
    config = policy.config(situation, clock)
    return [
        [Breaker(CircuitBreaker.from_config(config)) for _ in range(situation.services)]
        for _ in range(workers)
    ]


class Workers:
    """Real fleets over one store, whose threads are stepped by the events of the simulation."""

    def __init__(
        self, policy: Policy, situation: Situation, simulation: Simulation, size: int
    ) -> None:
        self._simulation = simulation
        clock = simulation.clock
        self.store = MemoryStore(clock=clock)
        self._point = 0
        self.workers = []
        for place in range(size):
            registry = BreakerRegistry(policy.config(situation, clock))
            registry.fleet = Fleet(self.store, worker=f"w{place}", patience=0, clock=clock)
            worker = Worker(self, registry, situation.services)
            self.workers.append(worker)
            simulation.at(place / size, self._turn, worker)
        self.guards = [worker.guards for worker in self.workers]

    def _turn(self, worker: Worker) -> None:
        """Step a worker when a report is due, and again when the next one is."""
        self.step(worker)
        rest = max(_SHORTEST_REST, worker.fleet.seconds_to_report())
        self._simulation.at(self._simulation.clock.now + rest, self._turn, worker)

    def step(self, worker: Worker) -> None:
        """Do the work of a worker's thread; the others fetch a change that it has made."""
        worker.is_woken = False
        worker.fleet.step()
        point = self.store.wait(-1, 0)
        if point != self._point:
            self._point = point
            for other in self.workers:
                if other is not worker:
                    self.wake(other)

    def wake(self, worker: Worker) -> None:
        """Have a worker step soon."""
        if not worker.is_woken:
            worker.is_woken = True
            self._simulation.at(self._simulation.clock.now + _NETWORK, self.step, worker)


class Worker:
    """A process of the fleet, and its breakers."""

    def __init__(self, all_workers: Workers, registry: BreakerRegistry, services: int) -> None:
        assert registry.fleet is not None
        self._all = all_workers
        self._registry = registry
        self.fleet = registry.fleet
        self.is_woken = False
        self.guards = [Shared(self, registry.get(f"{place}")) for place in range(services)]

    def wake(self) -> None:
        if self.fleet.woken.is_set():
            self._all.wake(self)

    def step(self) -> None:
        self._all.step(self)


class Shared(Breaker):
    """A breaker of a fleet. A call that lacks a probe waits until the store has lent one."""

    __slots__ = ("worker",)

    def __init__(self, worker: Worker, breaker: CircuitBreaker) -> None:
        super().__init__(breaker)
        self.worker = worker

    def admit(self) -> Ticket | None:
        ticket: Ticket | None = super().admit()
        if ticket is None and self.worker.fleet.woken.is_set():
            self.worker.step()
            ticket = super().admit()
        return None if ticket is None else SharedTicket(self.worker, ticket)


class SharedTicket:
    """A permit of a fleet's breaker: what it changes wakes the fleet's thread."""

    __slots__ = ("_permit", "_worker")

    def __init__(self, worker: Worker, permit: Ticket) -> None:
        self._worker, self._permit = worker, permit

    def success(self) -> None:
        self._permit.success()
        self._worker.wake()

    def failure(self) -> None:
        self._permit.failure()
        self._worker.wake()
