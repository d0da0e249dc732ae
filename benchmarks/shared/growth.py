"""Traffic to the store and the time to agree, from one process to a thousand.

The fleets are real, in one process, on a fake clock. Their store is in memory, and as slow as one
that serves one command after the other, over a network.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import ceil, log10
from typing import Any, cast

from benchmarks.tables import Table, number
from benchmarks.timing import UnfitError
from breaker_asgi import BreakerConfig, BreakerRegistry
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi._fleet.reports import INTERVAL
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import Answer, Entry
from breaker_asgi.testing import FakeClock

SIZES = (1, 10, 100, 1_000)
BREAKERS = 5
_COMMAND = 50e-6
"""Seconds of the server for one command."""
_NETWORK = 500e-6
"""Seconds of a round trip; a pushed change takes half of it."""
_STEADY = 20.0
"""Seconds of calls, of which the last half is counted."""


class Line:
    """The store as a fleet reaches it, and the time of its answers."""

    label = "simulated"

    def __init__(self, world: World) -> None:
        self._world = world
        self.now = 0.0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._ask, name)

    def sync(self, worker: str, number_: int, cursor: int, batch: Sequence[Entry]) -> Answer:
        arguments = worker, number_, cursor, batch
        answer: Answer = self._ask("sync", *arguments, commands=len(batch) + 1)
        if any(entry.change is not None for entry in batch):
            self._world.push(self.now - _NETWORK / 2)
        return answer

    def _ask(self, name: str, *args: Any, commands: int = 1) -> Any:
        world = self._world
        done = self.now
        for _ in range(commands):
            done = world.serve(self.now + _NETWORK / 2)
        self.now = done + _NETWORK / 2
        return getattr(world.store, name)(*args)


class Listener:
    """A listener thread, stepped by hand."""

    has_news = True

    def begin_to_fetch(self) -> None:
        self.has_news = False

    def go_on(self) -> None:
        pass


class Process:
    """A fleet with breakers that are called all the time."""

    def __init__(self, world: World, number_: int) -> None:
        config = BreakerConfig(fail_max=1, timeout_duration=60, clock=world.clock)
        self.registry = BreakerRegistry(config)
        self.line = Line(world)
        store = cast("Any", self.line)
        self.fleet = Fleet(store, worker=f"w{number_}", clock=world.clock)
        self._listener = Listener()
        self.fleet._listener = cast("Any", self._listener)
        self.registry.fleet = self.fleet
        self.breakers = [self.registry.get(f"{place}") for place in range(BREAKERS)]
        self.tripped = self.breakers[0]
        self.first = self.registry.get("first")
        """Opened long ago, as the first change of all costs more commands than later ones."""
        self.opened_at: float | None = None
        self.busy_until = 0.0

    def call_all(self) -> None:
        for breaker in self.breakers:
            if breaker.state == "closed":
                breaker.acquire().success()

    def step(self, now: float, *, has_news: bool) -> None:
        """Do the work of its thread, and note the time of its end."""
        if has_news:
            self._listener.has_news = True
        self.line.now = now
        self.fleet.step()
        self.busy_until = self.line.now
        if self.opened_at is None and self.tripped.state == "open":
            self.opened_at = self.busy_until


class World:
    """All processes, their store, and the queue of events."""

    def __init__(self, size: int) -> None:
        self.clock = FakeClock(1000)
        self.store = MemoryStore(clock=self.clock)
        self.commands = 0
        self._next_free: dict[int, int] = {}
        """The next slot to try, by occupied slot; a slot is as long as a command."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        draw = random.Random(size)
        self.processes = [Process(self, number_) for number_ in range(size)]
        for process in self.processes:
            self._at(self.clock() + draw.random() * INTERVAL, partial(self._turn, process))

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heappush(self._events, (moment, next(self._numbers), action))

    def _turn(self, process: Process) -> None:
        """Call all breakers of a process, and step its fleet, once a second."""
        self._at(self.clock() + INTERVAL, partial(self._turn, process))
        process.call_all()
        self._step(process)

    def _step(self, process: Process) -> None:
        if self.clock() < process.busy_until:
            self._at(process.busy_until, partial(self._step, process))
        else:
            process.step(self.clock(), has_news=True)

    def serve(self, arrival: float) -> float:
        """Return the end of a command that arrives at a moment."""
        self.commands += 1
        occupied, moment = [], ceil(arrival / _COMMAND)
        while moment in self._next_free:
            occupied.append(moment)
            moment = self._next_free[moment]
        for slot in (*occupied, moment):
            self._next_free[slot] = moment + 1
        return (moment + 1) * _COMMAND

    def push(self, moment: float) -> None:
        """Push a change to all processes."""
        for process in self.processes:
            self._at(moment + _NETWORK / 2, partial(self._step, process))

    def run(self, seconds: float) -> None:
        until = self.clock() + seconds
        while self._events and self._events[0][0] <= until:
            moment, _, action = heappop(self._events)
            self.clock.now = max(self.clock.now, moment)
            action()
        self.clock.now = until

    def steady(self) -> float:
        """Return the commands a second while nothing changes."""
        self.run(2 * INTERVAL)
        self.processes[0].first.acquire().failure(ValueError())
        self.run(_STEADY / 2)
        before = self.commands
        self.run(_STEADY / 2)
        return (self.commands - before) / (_STEADY / 2)

    def trip(self) -> tuple[float, float]:
        """Return the seconds from a failure until the store has the trip, and the last process."""
        tripper = self.processes[0]
        self.run(max(0.0, tripper.busy_until - self.clock()))
        began = tripper.opened_at = self.clock()
        tripper.tripped.acquire().failure(ValueError())
        tripper.step(began, has_news=False)
        stored = tripper.busy_until - began
        self.run(INTERVAL)
        opened = [process.opened_at for process in self.processes if process.opened_at is not None]
        if len(opened) < len(self.processes):
            raise UnfitError("not all processes have opened")
        return stored, max(opened) - began


def table() -> Table:
    rows: list[list[str]] = []
    last: list[float] = []
    for size in SIZES:
        world = World(size)
        steady = world.steady()
        stored, agreed = world.trip()
        figures = [steady, agreed]
        of_traffic, of_time = map(_exponent, figures, last or [0.0, 0.0])
        row = [f"{size:,}", f"{steady:,.1f}", f"{steady / size:.2f}", of_traffic]
        rows.append([*row, *(number(1000 * seconds) for seconds in (stored, agreed)), of_time])
        last = figures
    return Table(
        "From one process to a thousand",
        [
            "processes",
            "commands/s",
            "of each",
            "exponent",
            "at the store, ms",
            "all agree, ms",
            "exponent",
        ],
        rows,
        f"Simulated: the engine is real, and the store serves one command after the other, "
        f"{_COMMAND * 1e6:.0f} µs each, {_NETWORK * 1e6:.0f} µs away and back. Each process "
        f"has {BREAKERS} breakers that are called all the time. The exponent is that of the number "
        "of processes, from the row above: 1 is proportional.",
    )


def _exponent(now: float, then: float) -> str:
    """Return the exponent of the number of processes, which has grown tenfold."""
    return f"{log10(now / then):.2f}" if now and then else ""
