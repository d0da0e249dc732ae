"""Costs of a growing fleet at a real Redis: bytes, processor time, and commands.

The workers are stepped by hand in this process, on a fake clock. The windows of their records are
of the server's clock, and are filled in real time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf
from secrets import token_hex
from typing import Any, NamedTuple, cast

from redis import Redis

from benchmarks.calls import FailedError
from benchmarks.shared.servers import Server, Usage, redis
from benchmarks.tables import Table, mark, number
from benchmarks.timing import UnfitError
from breaker_asgi import BreakerConfig, BreakerRegistry, TimeWindow
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.redis import RedisStore
from breaker_asgi.testing import FakeClock

SIZES = (8, 64, 256, 1_000)
BREAKERS = 50
_WINDOW = 30
"""Seconds of the window; a short run has a shorter one, and the two smallest fleets only."""
_CALLS = 100
"""Calls a second of a breaker in a worker, one of which fails."""
_MOST_RECORDED = 50_000
"""Breakers of all workers that report before anything is measured. It takes a minute at most, after
which a store may forget a failure; a large fleet does so with fewer breakers each."""
_SAMPLE = 8
"""Workers that are measured: the records at the store are those of the whole fleet."""
_MEASURED = 50
"""Seconds of the fake clock for which they are: four reports of the largest fleet."""
_PACE = 0.5
"""Seconds between two rounds of a fleet that is faster than that."""


class Costs(NamedTuple):
    """Costs of a fleet of one size at the server, or the aims for them."""

    answer: float
    """Bytes of a reply to a command that was sent."""
    report: float
    """Microseconds of the processor for the calls of a breaker in a worker in a second."""
    sent: float
    """Commands a second of the fleet."""
    executed: float
    """Commands a second of the fleet, those within scripts included."""
    megabytes: float
    """Megabytes a second of replies to the fleet."""
    cores: float
    """Processors that the fleet takes."""


_AIMS = Costs(answer=400, report=80, sent=5_000, executed=inf, megabytes=inf, cores=0.5)


class Listener:
    """A listener thread, stepped by hand: it looks for changes when a wait for a push has ended."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._looked = -inf

    @property
    def has_news(self) -> bool:
        return self._fleet.now() - self._looked >= self._fleet.pace

    def begin_to_fetch(self) -> None:
        if self.has_news:
            self._looked = self._fleet.now()

    def go_on(self) -> None:
        pass


class Worker:
    """A worker of a fleet. It has no threads."""

    def __init__(self, client: Redis, name: str, clock: FakeClock, breakers: int) -> None:
        config = BreakerConfig(failure_rate=0.5, window=TimeWindow(_WINDOW), clock=clock)
        registry = BreakerRegistry(config)
        self._fleet = registry.fleet = Fleet(RedisStore(client), worker=name, clock=clock)
        self._fleet._listener = cast("Any", Listener(self._fleet))
        self._breakers = [registry.get(f"dependency-{place}") for place in range(breakers)]

    def step(self, busy: int) -> None:
        """Make the calls of a second through the first breakers, and report them."""
        for breaker in self._breakers[:busy]:
            for _ in range(_CALLS - 1):
                breaker.acquire().success()
            breaker.acquire().failure(FailedError())
        self._fleet.step()
        if self._fleet.step_trouble is not None:
            raise UnfitError(self._fleet.step_trouble)


class Crowd:
    """A fleet of one size, on a Redis of its own."""

    def __init__(self, size: int, server: Server, client: Redis) -> None:
        self._size = size
        self._server = server
        self._clock = FakeClock(1_000)
        self.recorded = min(BREAKERS, _MOST_RECORDED // size)
        """Breakers that all workers report."""
        self._workers = [
            Worker(
                client,
                f"payments-7d9f8b6c4d-{place:05}:7:{token_hex(4)}",  # as long as in a Kubernetes
                self._clock,
                BREAKERS if place < _SAMPLE else self.recorded,
            )
            for place in range(size)
        ]

    def fill(self, window: float) -> None:
        """Have all workers report, for as long as the window."""
        until, rounds = time.monotonic() + window, 0
        while time.monotonic() < until or rounds < 2:  # the first report follows a fetch
            rounds, began = rounds + 1, time.monotonic()
            self._round(self._workers, self.recorded)
            time.sleep(max(0.0, began + _PACE - time.monotonic()))

    def measure(self) -> Costs:
        """Measure some of the workers: with the recorded breakers, and commands with all."""
        sample = self._workers[:_SAMPLE]
        used, reports = self._use(sample, self.recorded)
        with_all, _ = self._use(sample, BREAKERS)
        by_second = self._size / len(sample) / _MEASURED
        by_report = self._size * BREAKERS / reports
        return Costs(
            answer=used.replied_bytes / used.scripts,
            report=used.processor * 1e6 / reports,
            sent=with_all.scripts * by_second,
            executed=with_all.executed * by_second,
            megabytes=used.replied_bytes / 1e6 * by_report,
            cores=used.processor * by_report,
        )

    def _use(self, workers: Sequence[Worker], busy: int) -> tuple[Usage, int]:
        """Return what the server spends on some seconds of these workers, and their reports."""
        before = self._server.usage()
        for _ in range(_MEASURED):
            self._round(workers, busy)
        return self._server.usage().since(before), len(workers) * busy * _MEASURED

    def _round(self, workers: Sequence[Worker], busy: int) -> None:
        self._clock.advance(1)
        for worker in workers:
            worker.step(busy)


def table(rounds: int) -> Table:
    window = min(_WINDOW, max(2, rounds))
    sizes = SIZES if window == _WINDOW else SIZES[:2]
    rows = [["aim", "", *(f"≤ {aim:,}" if aim < inf else "" for aim in _AIMS), ""]]
    for size in sizes:
        with redis() as server, Redis(port=server.port) as client:
            crowd = Crowd(size, server, client)
            crowd.fill(window)
            rows.append([f"{size:,}", f"{crowd.recorded}", *_cells(crowd.measure())])
    return Table(
        "A growing fleet at a real Redis",
        [
            "workers",
            "recorded",
            "B an answer",
            "µs a report",
            "sent/s",
            "executed/s",
            "MB/s",
            "cores",
            "is",
        ],
        rows,
        f"Each worker has {BREAKERS} breakers, and each breaker {_CALLS} calls a second, one of "
        f"which fails; the last {window} s are at the store. A report is that of one breaker in "
        f"one worker for a second. The workers are stepped by hand in one process, on a fake clock "
        f"and over one connection. The whole fleet reports the `recorded` breakers; then "
        f"{_SAMPLE} workers go on for {_MEASURED} s of their clock, while Redis counts its "
        f"processor time, its commands and the bytes that it sends. What a second costs with all "
        f"workers and {BREAKERS} breakers is extrapolated from that, but for the commands of a "
        f"worker, which are counted with all {BREAKERS}. Executed are also those within scripts.",
    )


def _cells(costs: Costs) -> list[str]:
    figures = [f"{costs.answer:,.0f}", number(costs.report)]
    figures += [f"{commands:,.0f}" for commands in (costs.sent, costs.executed)]
    figures += [number(costs.megabytes), number(costs.cores)]
    return [*figures, judged(costs)]


def judged(costs: Costs) -> str:
    """Return that all aims are met, or the names of those that are missed."""
    pairs = zip(Costs._fields, costs, _AIMS, strict=True)
    missed = [name for name, cost, aim in pairs if cost > aim]
    return f"{mark(met=not missed)}{': ' * bool(missed)}{', '.join(missed)}"
