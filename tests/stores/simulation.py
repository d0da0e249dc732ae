"""A fleet in one process: many workers, one store and one dependency, on a clock that is set by hand.

Everything that happens is drawn from one seed, so that a failing seed fails again in the same way. The
workers are real registries, breakers and fleets; the store is real, too, behind a line that loses
questions and answers. Workers die in the middle of a call, hang, pause, and cancel.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker, CircuitBreakerError, Permit
from breaker_asgi.stores.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.testing import FakeClock

NAME = "bank"
PROBES = 2
OPEN_TIME = 5.0
LEASE = 4.0


class LostError(Exception):
    """The line has lost a question or an answer."""


class Line:
    """A store as one worker reaches it."""

    label = "simulated"

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return partial(self._ask, getattr(self._world.store, operation))

    def _ask(self, operation: Callable[..., Any], *args: Any) -> Any:
        world = self._world
        if world.is_faulty and world.chance(world.loss):
            raise LostError("the question")
        answer = operation(*args)
        if world.is_faulty and world.chance(world.loss):
            raise LostError("the answer")
        return answer


@dataclass
class Call:
    """A call to the dependency that is under way."""

    worker: Worker
    permit: Permit
    ends: float
    probes: bool


class Worker:
    """A process."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.clock = FakeClock(
            world.random.uniform(0, 1e6)
        )  # clocks of hosts have nothing in common
        self.registry = BreakerRegistry(
            BreakerConfig(
                fail_max=3,
                timeout_duration=OPEN_TIME,
                half_open_calls=PROBES,
                half_open_timeout=LEASE,
                clock=self.clock,
            )
        )
        self.fleet = Fleet(
            Line(world),
            worker=f"worker {number}",
            patience=0,
            clock=self.clock,
            quorum=world.quorum,
        )
        self.registry.fleet = self.fleet
        self.fleet.step()
        self.breaker: CircuitBreaker = self.registry.get(NAME)
        self.paused_until = 0.0

    @property
    def runs(self) -> bool:
        return self.world.now >= self.paused_until


@dataclass
class World:
    """All there is."""

    seed: int
    workers_at_first: int = 4
    quorum: int = 1
    loss: float = 0.1
    now: float = 0.0
    is_faulty: bool = True
    sick: bool = False
    calls: list[Call] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.store_clock = FakeClock(1_000)
        self.store = MemoryStore(clock=self.store_clock)
        self.made = 0
        self.workers: list[Worker] = []
        for _ in range(self.workers_at_first):
            self.add()

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def add(self) -> None:
        self.made += 1
        self.workers.append(Worker(self, self.made))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.store_clock.advance(seconds)
        for worker in self.workers:
            worker.clock.advance(seconds)

    # What may happen

    def events(self) -> Iterator[tuple[int, Callable[[], None]]]:
        """With their weights."""
        yield 30, self.call
        yield 30, self.end_a_call
        yield 40, self.step
        if self.is_faulty:
            yield 2, self.turn
            yield 1, self.kill
            yield 1, self.pause
            yield 2, self.cancel
            yield 1, self.by_hand

    def happen(self) -> None:
        weights, events = zip(*self.events(), strict=True)
        event = self.random.choices(events, weights)[0]
        self.history.append(f"{self.now:.2f} {event.__name__}")
        event()

    def some_worker(self) -> Worker | None:
        running = [each for each in self.workers if each.runs]
        return self.random.choice(running) if running else None

    def call(self) -> None:
        if (worker := self.some_worker()) is None:
            return
        before = worker.breaker.state
        try:
            permit = worker.breaker.acquire()
        except CircuitBreakerError:
            self.seen["rejected"] += 1
            return
        takes = self.random.expovariate(5) + (60 if self.sick and self.chance(0.05) else 0)
        probes = permit.state == "half_open" and not worker.fleet.is_out
        self.seen["probes" if probes else f"calls, {before}"] += 1
        self.calls.append(Call(worker, permit, self.now + takes, probes))

    def end_a_call(self) -> None:
        due = [each for each in self.calls if each.ends <= self.now and each.worker.runs]
        for each in due:
            self.calls.remove(each)
            if self.sick and self.chance(0.9):
                each.permit.failure()
            else:
                each.permit.success()

    def cancel(self) -> None:
        running = [each for each in self.calls if each.worker.runs]
        if running:
            call = self.random.choice(running)
            self.calls.remove(call)
            call.permit.ignore()

    def step(self) -> None:
        if (worker := self.some_worker()) is not None:
            worker.fleet.step()

    def turn(self) -> None:
        self.sick = not self.sick

    def kill(self) -> None:
        worker = self.random.choice(self.workers)
        self.workers.remove(worker)
        self.calls = [each for each in self.calls if each.worker is not worker]
        self.add()

    def pause(self) -> None:
        self.random.choice(self.workers).paused_until = self.now + self.random.expovariate(0.2)

    def by_hand(self) -> None:
        if (worker := self.some_worker()) is not None:
            change = self.random.choice(["force_open", "reset", "open", "half_open", "disable"])
            getattr(worker.breaker, change)()

    # What must hold

    def shared(self) -> Any:
        return self.store.exchange("onlooker", 0, (), (NAME,)).get(NAME)

    def check(self) -> None:
        """At any time."""
        shared = self.shared()
        if shared is not None and shared.state == "half_open":
            assert shared.probes + shared.settled.calls <= PROBES, shared

    def check_agreement(self) -> None:
        """Some time after the last fault."""
        shared = self.shared()
        state = "closed" if shared is None else shared.state
        states = [each.breaker.state for each in self.workers]
        assert states == [state] * len(states), (states, shared)


def run(seed: int, events: int = 400, **settings: Any) -> World:
    """Let things go wrong for a while, and then well: all must agree, and all must be closed."""
    world = World(seed, **settings)
    for _ in range(events):
        world.pass_time(world.random.expovariate(20))
        world.happen()
        world.check()
    world.is_faulty = world.sick = False
    for worker in world.workers:
        worker.paused_until = 0
    rounds(world, 10)
    world.check_agreement()
    if any(each.breaker.state in {"forced_open", "disabled"} for each in world.workers):
        world.workers[0].breaker.reset()
    rounds(world, 60 + 2 * (OPEN_TIME + LEASE))
    world.check_agreement()
    assert {each.breaker.state for each in world.workers} == {"closed"}
    return world


def rounds(world: World, seconds: float) -> None:
    """Everybody steps, and calls, for so long."""
    end = world.now + seconds
    while world.now < end:
        world.pass_time(0.2)
        for worker in world.workers:
            worker.fleet.step()
            world.call()
            world.end_a_call()
            worker.fleet.step()
        world.check()
