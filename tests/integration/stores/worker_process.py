"""A process of a fleet that executes commands, line by line.

`python -m tests.integration.stores.worker_process URL` takes requests as JSON,
`["call", "payments", "fail"]`, and answers each by a line. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerError
from breaker_asgi._fleet.fleet import PATIENCE
from breaker_asgi.state import CircuitBreakerState

FAIL_MAX = 3
LEASE = 2.0
SLOW = PATIENCE / 2
"""Seconds after which a call must have waited."""


def seconds_without_a_processor() -> float:
    """Return the seconds for which threads of this process were ready, and had no processor."""
    total = 0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):  # the thread has ended
            total += int(path.read_text().split()[1])
    return total / 1e9


class SickError(Exception):
    """The failure of the dependency."""


class Commands:
    """Commands that tests send. A breaker opens for the seconds in its name: `payments-1.5`."""

    def __init__(self, url: str) -> None:
        self.registry = BreakerRegistry(store=url)
        self.held: dict[str, asyncio.Task[str]] = {}

    def breaker(self, name: str) -> CircuitBreaker:
        seconds = float(name.rpartition("-")[2])
        settings: dict[str, Any] = {
            "fail_max": FAIL_MAX,
            "timeout_duration": seconds,
            "half_open_timeout": LEASE,
        }
        return self.registry.get(name, **settings)

    async def call(self, name: str, how: str = "work") -> str:
        try:
            async with self.breaker(name):
                if how == "hang":
                    await asyncio.sleep(60)
                if how == "fail":
                    raise SickError  # noqa: TRY301
        except (CircuitBreakerError, SickError) as error:
            return type(error).__name__
        return "ok"

    async def calls(self, name: str, number: int, how: str = "work") -> dict[str, Any]:
        """Make `number` calls, ten at a time, and count their outcomes and the slow ones.

        A call is slow that took long, and not only because ten were waiting for a processor.
        """
        slow, outcomes = 0, Counter[str]()
        for _ in range(number // 10):
            waited = seconds_without_a_processor()
            calls = await asyncio.gather(*(self.timed_call(name, how) for _ in range(10)))
            lacked = seconds_without_a_processor() - waited
            outcomes.update(outcome for outcome, _took in calls)
            slow += sum(took - lacked > SLOW for _outcome, took in calls)
            await asyncio.sleep(0.001)
        return {"outcomes": outcomes, "slow": slow}

    async def timed_call(self, name: str, how: str) -> tuple[str, float]:
        """Make a call, and return its outcome and the seconds that it took."""
        began = time.monotonic()
        return await self.call(name, how), time.monotonic() - began

    async def keep_calling(self, name: str, rate: int, seconds: float) -> int:
        """Make `rate` calls a second, and return their number."""
        began, made = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            while made < rate * passed:
                await self.call(name)
                made += 1
            await asyncio.sleep(0.01)
        return made

    async def hold(self, name: str) -> str:
        """Begin a call that hangs."""
        task = self.held[name] = asyncio.create_task(self.call(name, "hang"))
        await asyncio.wait([task], timeout=2 * PATIENCE)
        return task.result() if task.done() else "held"

    async def cancel(self, name: str) -> None:
        self.held.pop(name).cancel()

    async def state(self, name: str) -> str:
        return self.breaker(name).state

    async def force_open(self, name: str, who: str) -> str:
        self.breaker(name).force_open(who=who)
        return self.breaker(name).state

    async def close(self, name: str, who: str) -> str:
        self.breaker(name).close(who=who)
        return self.breaker(name).state

    async def open_many(self, number: int) -> None:
        for place in range(number):
            self.breaker(f"many-{place}-60").open()

    async def count_open(self, number: int) -> int:
        return [self.breaker(f"many-{place}-60").state for place in range(number)].count(
            CircuitBreakerState.OPEN
        )

    async def trouble(self) -> str | None:
        assert self.registry.fleet
        return self.registry.fleet.trouble

    async def who(self, name: str) -> str | None:
        return self.breaker(name)._generation.transition.who

    async def clock(self) -> float:
        return time.time()

    async def is_out(self) -> bool:
        assert self.registry.fleet
        return self.registry.fleet.is_out

    async def flush(self) -> None:
        """Write all that is pending."""
        assert self.registry.fleet
        if (flushed := self.registry.fleet.flush_soon()) is not None:
            await asyncio.to_thread(flushed.wait)

    async def limit_files(self, size: int) -> None:
        """Limit the size of files, as a full disk does, for this process alone."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size if size >= 0 else hard, hard))


async def main(url: str) -> None:
    commands, loop = Commands(url), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, *arguments = json.loads(line)
        answer = await getattr(commands, name)(*arguments)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
