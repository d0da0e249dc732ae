"""A process of a fleet that guards calls by one library's breakers, and executes commands.

`python -m benchmarks.shared.worker_process LIBRARY URL` takes requests as JSON, a line each, and
answers each by a line. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from time import monotonic
from typing import Any

from benchmarks.calls import FailedError
from benchmarks.shared.storages import ALL, Function, Maker, Settings
from benchmarks.timing import UnfitError

_CALM = 0.005
_DENSE = 0.001
"""Seconds between two calls before a breaker opens, and after that."""
_PROBES = 0.02
"""Seconds between two attempts to get a probe."""
_FOR_EVER = 60.0


def answer(content: object) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


class Dependency:
    """The dependency: well, failing, hanging or freezing its process."""

    def __init__(self) -> None:
        self.reached = 0
        self.way = "well"

    async def call(self) -> None:
        self.reached += 1
        if self.way == "fail":
            raise FailedError
        if self.way == "hang":
            await asyncio.sleep(_FOR_EVER)
        if self.way == "freeze":
            answer("probes")
            time.sleep(_FOR_EVER)  # noqa: ASYNC251 (until it is killed)

    async def admits(self, call: Function) -> bool:
        """Make a guarded call, and return True if it reached the dependency."""
        before = self.reached
        with suppress(Exception):
            await call()
        return self.reached > before


class Commands:
    """Commands that the benchmark sends."""

    def __init__(self, make: Maker) -> None:
        self._make = make

    async def trip(self, name: str, at: float) -> dict[str, Any]:
        """Call a dependency that fails from `at` on, and return the time of the trip.

        One failure may not suffice for a shared counter that other processes reset.
        """
        dependency, call = self._guarded(Settings(name))
        await self._calmly(dependency, call, at)
        dependency.way = "fail"
        tripped = at
        while await dependency.admits(call):
            tripped = monotonic()
        return {"tripped": tripped}

    async def follow(self, name: str, at: float, until: float) -> dict[str, Any]:
        """Call until rejected; return that time, and the times of the calls since `at`."""
        dependency, call = self._guarded(Settings(name))
        await self._calmly(dependency, call, at)
        leaked: list[float] = []
        while (now := monotonic()) < until:
            if not await dependency.admits(call):
                return {"rejected": monotonic(), "leaked": leaked}
            leaked.append(now)
            await asyncio.sleep(_DENSE)
        return {"rejected": None, "leaked": leaked}

    async def _calmly(self, dependency: Dependency, call: Function, until: float) -> None:
        while (left := until - monotonic()) > 0:
            if not await dependency.admits(call):
                raise UnfitError("a new breaker is open")
            await asyncio.sleep(min(left, _CALM))

    async def open(self, *settings: Any) -> bool:
        """Open a breaker by a failure."""
        self._dependency, self._call = self._guarded(Settings(*settings))
        for _ in range(5):
            await self._dependency.admits(self._call)
        self._dependency.way = "fail"
        await self._dependency.admits(self._call)
        return not await self._dependency.admits(self._call)

    async def join(self, *settings: Any) -> bool:
        """Create the breaker, and wait until it is open here."""
        self._dependency, self._call = self._guarded(Settings(*settings))
        until = monotonic() + 5
        while monotonic() < until:
            if not await self._dependency.admits(self._call):
                return True
            await asyncio.sleep(_PROBES)
        return False

    async def probe(self, way: str, patience: float) -> bool:
        """Call until there is a probe, which hangs and is cancelled, or freezes the process."""
        dependency, before = self._dependency, self._dependency.reached
        dependency.way, until = way, monotonic() + patience
        while dependency.reached == before and monotonic() < until:
            task = asyncio.ensure_future(self._call())
            await asyncio.wait([task], timeout=0.5)
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
            await asyncio.sleep(_PROBES)
        return dependency.reached > before

    async def use(self, rate: float, seconds: float) -> list[bool]:
        """Make healthy calls, and return which of them reached the dependency."""
        self._dependency.way = "well"
        began, outcomes = monotonic(), []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0, began + number / rate - monotonic()))
            outcomes.append(await self._dependency.admits(self._call))
        return outcomes

    def _guarded(self, settings: Settings) -> tuple[Dependency, Function]:
        dependency = Dependency()
        return dependency, self._make(settings)(dependency.call)


async def main(library: str, url: str) -> None:
    commands = Commands(await ALL[library].connect(url))
    loop = asyncio.get_running_loop()
    answer("ready")
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, *arguments = json.loads(line)
        answer(await getattr(commands, name)(*arguments))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
