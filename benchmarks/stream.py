"""The cost of the monitor's stream: bytes and time a second, while all breakers are busy."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from random import Random
from statistics import median
from time import thread_time_ns

from benchmarks.tables import Table, mark, number
from breaker_asgi import BreakerRegistry, CircuitBreaker
from breaker_asgi.asgi.types import Message
from breaker_asgi.monitor.audience import View
from breaker_asgi.monitor.broadcaster import Broadcaster
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.jobs import Jobs
from breaker_asgi.monitor.stream import EventStream

SIZES = (10, 100, 1_000)
AIM, PAUSE_AIM = 50.0, 5.0

_FULL = 62
"""Seconds before a last minute is full."""
_LEAST_ROUNDS, _MOST_ROUNDS = 5, 30


class Clock:
    """A clock of breakers, which goes back after each call: calls run side by side."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class TimedJobs(Jobs):
    """The jobs of a broadcaster, and the time of the processor that they take."""

    took = longest = 0

    def _step(self) -> None:
        start = thread_time_ns()
        super()._step()
        once = thread_time_ns() - start
        self.took += once
        self.longest = max(self.longest, once)

    async def end(self) -> None:
        """Wait until all jobs are done."""
        while self._handle is not None:  # noqa: ASYNC110
            await asyncio.sleep(0)


class Busy:
    """Breakers with calls of varying counts and durations, and one stream of them."""

    def __init__(self, size: int, *, packed: bool) -> None:
        self._random, self._clock = Random(size), Clock()
        self._registry = BreakerRegistry(limit=size)
        self._breakers = [self._made(place) for place in range(size)]
        self._history = History(self._registry, self._clock)
        self._headers = [(b"accept-encoding", b"gzip")] if packed else []
        self._sent = 0

    def _made(self, place: int) -> CircuitBreaker:
        return self._registry.get(
            f"service-{place}",
            fail_max=None,
            failure_rate=0.9,
            slow_call_rate=0.9,
            slow_call_duration=60,
            clock=self._clock,
        )

    def _call_all(self) -> None:
        begin = self._clock.now
        for place, breaker in enumerate(self._breakers):
            usual = place % 5 - 5
            for _ in range(self._random.randint(1, 12)):
                permit = breaker.acquire()
                self._clock.now += self._random.lognormvariate(usual, 0.5)
                if self._random.random() < 0.03:
                    permit.failure(OSError())
                else:
                    permit.success()
                self._clock.now = begin

    async def _take(self, message: Message) -> None:
        self._sent += len(message.get("body", b""))

    async def measure(self, rounds: int) -> tuple[int, float, float, float]:
        """Return the bytes of the snapshot, and bytes, ms and the longest step of a second."""
        history = History.of(self._registry)
        history._clock = self._clock
        broadcaster = Broadcaster(self._registry)
        broadcaster._jobs = jobs = TimedJobs(asyncio.get_running_loop())
        for _ in range(_FULL):
            await self._second(history, None)
        scope = {"type": "http", "method": "GET", "path": "/stream", "headers": self._headers}
        stream = EventStream(broadcaster, View(details=True, controls=True), scope, headers=[])
        task = asyncio.ensure_future(stream(scope, _never, self._take))
        await asyncio.sleep(0.01)
        await jobs.end()
        await asyncio.sleep(0.01)
        snapshot = self._sent
        gc.disable()
        jobs.longest = 0
        sizes, times = [], []
        for _ in range(max(_LEAST_ROUNDS, min(rounds, _MOST_ROUNDS))):
            self._sent = jobs.took = 0
            await self._second(history, broadcaster)
            await jobs.end()
            gc.collect()
            await asyncio.sleep(0.001)
            sizes.append(self._sent)
            times.append(jobs.took / 1e6)
        gc.enable()
        task.cancel()
        await asyncio.wait([task])
        return snapshot, median(sizes), median(times), jobs.longest / 1e6

    async def _second(self, history: History, broadcaster: Broadcaster | None) -> None:
        self._call_all()
        self._clock.now += 1
        history.tick()
        if broadcaster is not None:
            broadcaster.look()


async def _never() -> Message:
    await asyncio.Event().wait()
    return {}


def tables(rounds: int) -> Iterator[Table]:
    rows = []
    for size in SIZES:
        for encoding in ("plain", "gzip"):
            busy = Busy(size, packed=encoding == "gzip")
            snapshot, sent, took, longest = asyncio.run(busy.measure(rounds))
            rows.append([
                f"{size:,} breakers, {encoding}", f"{snapshot / 1000:,.1f}",
                number(sent / 1000), number(AIM), mark(met=sent / 1000 <= AIM),
                number(took), number(longest), number(PAUSE_AIM), mark(met=longest <= PAUSE_AIM),
            ])  # fmt: skip
    yield Table(
        "The stream of busy breakers",
        ["case", "snapshot, kB", "kB a second", "aim", "is", "ms a second", "longest step, ms",
         "aim", "is"],
        rows,
        "Each breaker has 1 to 12 calls a second, of varying durations, of which some fail. The "
        "time is that of the processor for one audience, whatever the number of its streams, "
        "without collections of garbage; "
        "between its steps the event loop does other work.",
    )  # fmt: skip
