"""Pauses of the event loop: a ticker of 1 ms beside guarded calls."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from math import ceil
from pathlib import Path
from random import sample
from statistics import median
from time import perf_counter
from typing import NamedTuple

from benchmarks.calls import SUCCEED
from benchmarks.shared.servers import NO_SERVER, Server
from benchmarks.tables import Table, number
from breaker_asgi import BreakerRegistry

TICK = 0.001
_SCHEDULED = Path("/proc/thread-self/schedstat")
_BREAKERS = 5
_RATE = 2_000
"""Guarded calls a second."""
_SETTLES = 0.3
"""Seconds until a registry has started, or its store hangs."""
_SECONDS = 2.0
_MOST_ROUNDS = 3


class Way(NamedTuple):
    """A store, and the harm to it."""

    name: str
    store: str | None
    harm: Callable[[], AbstractContextManager[None]] = nullcontext


def table(rounds: int, folder: Path, server: Server | None) -> Table:
    ways = [Way("no store", None), *_in_a_file(folder / "pauses.db")]
    if server is not None:
        ways += [Way("Redis", server.url), Way("Redis, hung", server.url, server.hung)]
    rounds = min(rounds, _MOST_ROUNDS)
    late: dict[str, list[list[float]]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in sample(ways, len(ways)):
            late[way.name].append(_watch(way))
    return Table(
        "Pauses of the event loop, in milliseconds",
        ["store", "p50", "p99", "longest, typically", "longest of all"],
        [[name, *map(number, _figures(delays))] for name, delays in late.items()],
        f"By how much a ticker of 1 ms is late beside {_RATE:,} guarded calls a second: {rounds} "
        f"rounds of {_SECONDS:.0f} s each, in a random order; the longest one is the median over "
        "the rounds. What the thread waits for a processor that others have is left out; what it "
        "waits for the other threads of its own process is not. A Redis that hangs takes all and "
        "answers nothing; a locked file is one that somebody writes to and does not let go of.",
        [] if server is not None else [NO_SERVER],
    )


def _in_a_file(path: Path) -> list[Way]:
    @contextmanager
    def locked() -> Iterator[None]:
        with closing(sqlite3.connect(path)) as holder:
            holder.execute("begin immediate")
            yield

    url = f"sqlite:///{path}"
    return [Way("SQLite", url), Way("SQLite, locked", url, locked)]


def _figures(rounds: list[list[float]]) -> list[float]:
    every = sorted(delay for delays in rounds for delay in delays)
    longest = [max(delays) for delays in rounds]
    p99 = every[ceil(0.99 * len(every)) - 1]
    return [seconds * 1000 for seconds in (median(every), p99, median(longest), max(longest))]


def _watch(way: Way) -> list[float]:
    """Return the delay of each tick, in seconds."""
    registry = BreakerRegistry(store=way.store)
    try:
        return asyncio.run(_run(registry, way))
    finally:
        if registry.fleet is not None:
            registry.fleet.stop()


def _queued() -> float:
    """Return the seconds that this thread has waited for a processor; 0 without Linux."""
    try:
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


async def _run(registry: BreakerRegistry, way: Way) -> list[float]:
    calls = [
        registry.get(f"{place}", fail_max=9)(SUCCEED.asynchronous) for place in range(_BREAKERS)
    ]
    late: list[float] = []

    async def call() -> None:
        began, made = perf_counter(), 0
        while True:
            while made < _RATE * (perf_counter() - began):
                await calls[made % _BREAKERS](0)
                made += 1
            await asyncio.sleep(0.005)

    async def tick() -> None:
        until, queued = perf_counter() + _SECONDS, _queued()
        while (now := perf_counter()) < until:
            await asyncio.sleep(TICK)
            before, queued = queued, _queued()
            late.append(max(0.0, perf_counter() - now - TICK - (queued - before)))

    caller = asyncio.create_task(call())
    await asyncio.sleep(_SETTLES)
    with way.harm():
        await asyncio.sleep(_SETTLES)
        await tick()
    caller.cancel()
    return late
