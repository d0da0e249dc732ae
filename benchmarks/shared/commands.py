"""Commands sent to the store: their number depends on processes and breakers, not on calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from benchmarks.calls import SUCCEED, FailedError
from benchmarks.shared.servers import NO_SERVER, Sent, Server
from benchmarks.tables import Table
from breaker_asgi import BreakerRegistry
from breaker_asgi.stores import SQLiteStore, Store

_BREAKERS = 5
_TICK = 0.01
_LONGEST = 10
_OTHERS = 4
"""Breakers that change state, and are not called."""


class Counted:
    """A store that counts its uses, but for waits, which read a number in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commands = 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        return (
            partial(self._count, attribute) if name != "wait" and callable(attribute) else attribute
        )

    def _count(self, operation: Callable[..., Any], *args: Any) -> Any:
        self.commands += 1
        return operation(*args)


class Watched:
    """A registry of one process under load, and its commands."""

    def __init__(self, name: str, store: Store | str, counter: Counted | Sent) -> None:
        self.name = name
        self._counter = counter
        self.registry = BreakerRegistry(store=store)
        self._breakers = [
            self.registry.get(f"{name}-{number}", fail_max=1)
            for number in range(_BREAKERS + _OTHERS)
        ]
        self._calls = [breaker(SUCCEED.asynchronous) for breaker in self._breakers[:_BREAKERS]]
        self.made = 0

    @property
    def commands(self) -> int:
        return self._counter.commands

    async def call(self, rate: float, seconds: float) -> None:
        began, self.made = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            while self.made < rate * passed:
                await self._calls[self.made % _BREAKERS](0)
                self.made += 1
            await asyncio.sleep(_TICK)

    async def change(self, seconds: float) -> None:
        """Open a breaker, or close it by hand, once a second."""
        self.made = 0
        for number in range(round(seconds)):
            breaker = self._breakers[_BREAKERS + number // 2 % _OTHERS]
            breaker.acquire().failure(FailedError()) if number % 2 == 0 else breaker.reset()
            await asyncio.sleep(1)


def table(rounds: int, folder: Path, server: Server | None) -> Table:
    seconds = max(2, min(rounds, _LONGEST))
    counted = Counted(SQLiteStore(folder / "commands.db"))
    watched = [Watched("SQLite", cast("Store", counted), counted)]
    if server is None:
        rows = asyncio.run(_rows(watched, seconds, lambda: 0))
    else:
        with server.monitored() as sent:
            watched.append(Watched("Redis", server.url, sent))
            rows = asyncio.run(_rows(watched, seconds, server.executed))
    for process in watched:
        if process.registry.fleet is not None:
            process.registry.fleet.stop()
    return Table(
        "Commands a second at the store, of one process",
        ["store", "aimed at", "calls/s", "sent/s", "executed/s"],
        rows,
        f"One process with {_BREAKERS} breakers that are called in turn, for {seconds} s each. A "
        "script is one command that is sent; what it does itself is among those that Redis "
        "executes. With SQLite each use of the store counts, most of which are one transaction.",
        [] if server is not None else [NO_SERVER],
    )


async def _rows(
    watched: Sequence[Watched], seconds: float, executed: Callable[[], int]
) -> list[list[str]]:
    rows_by_name: dict[str, list[list[str]]] = {process.name: [] for process in watched}
    ways: dict[str, Callable[[Watched], Any]] = {
        "no calls": lambda process: process.call(0, seconds),
        "10 calls/s": lambda process: process.call(10, seconds),
        "10,000 calls/s": lambda process: process.call(10_000, seconds),
        "no calls, a change/s": lambda process: process.change(seconds),
    }
    await asyncio.sleep(1.5)  # the work of the start is done
    for title, way in ways.items():
        inside, before = executed(), [process.commands for process in watched]
        began = time.monotonic()
        await asyncio.gather(*map(way, watched))
        passed = time.monotonic() - began
        sums = [process.commands - sent for process, sent in zip(watched, before, strict=True)]
        inside = executed() - inside
        for process, sent in zip(watched, sums, strict=True):
            of_redis = f"{inside / passed:,.1f}" if process.name == "Redis" else "-"
            rows_by_name[process.name].append(
                [
                    process.name,
                    title,
                    f"{process.made / passed:,.1f}",
                    f"{sent / passed:.1f}",
                    of_redis,
                ]
            )
    return [row for rows in rows_by_name.values() for row in rows]
