"""The cost of the monitor for requests, for calls, and for its observers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from time import perf_counter_ns, thread_time_ns
from typing import Any

from benchmarks import stream as streams
from benchmarks.calls import SUCCEED, SUCCEEDING, runner, warm
from benchmarks.guards import LIMIT
from benchmarks.http import nothing, requests
from benchmarks.stream import TimedJobs
from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, Timings, UnfitError, measure, problems, ratio
from breaker_asgi import BreakerMiddleware, BreakerRegistry, CircuitBreaker
from breaker_asgi.asgi.types import Message
from breaker_asgi.monitor.audience import View
from breaker_asgi.monitor.broadcaster import Broadcaster
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.event_text import event_begin
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.listing import Listing
from breaker_asgi.monitor.query import Query
from breaker_asgi.monitor.stream import EventStream

AIM = 1.02
SIZES = (10, 1_000, 10_000)
TICKED = (50, 500, 5_000)
TICK_AIM, PAUSE_AIM = 2.0, 5.0
VIEW = View(details=True, controls=True)
LOOKS = ("a second, nothing called", "a second, all called", "list", "snapshot of a stream")

_IDLE = "monitor, idle"
_STREAMS = {_IDLE: 0, "monitor, 1 stream": 1, "monitor, 100 streams": 100}
_WITHOUT = "monitor_path=None"
_BREAKERS = 10
_SECOND = 1e9
_TURNS = 5
_MOST_REPEATS = 9
_WARM = 65
"""Seconds before a history is full."""


def tables(rounds: int) -> Iterator[Table]:
    yield _request(rounds)
    yield _call(rounds)
    yield _ticks(rounds)
    yield _looks(rounds)
    yield from streams.tables(rounds)


class Watched:
    """An application with open streams of its monitor, on an event loop of its own."""

    def __init__(self, streams: int, breakers: int = _BREAKERS) -> None:
        self.loop = asyncio.new_event_loop()
        self.registry = BreakerRegistry(limit=max(SIZES))
        self.app = BreakerMiddleware(nothing, registry=self.registry)
        self.breakers = [self.registry.get(f"{number}") for number in range(breakers)]
        self.history = History.of(self.registry)
        self._texts = 0
        self.broadcaster = self.loop.run_until_complete(self._open(streams))

    async def _open(self, streams: int) -> Broadcaster:
        self.history.start()
        broadcaster = Broadcaster(self.registry)
        broadcaster._jobs = self.jobs = TimedJobs(self.loop)
        scope = {"type": "http", "method": "GET", "path": "/stream", "headers": []}
        self.tasks = [
            asyncio.ensure_future(stream(scope, _never, self._take))
            for stream in [EventStream(broadcaster, VIEW, scope, []) for _ in range(streams)]
        ]
        await self._turn()
        return broadcaster

    async def _take(self, _message: Message) -> None:
        self._texts += 1

    async def _turn(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            await self.jobs.end()

    def call_all(self) -> None:
        for breaker in self.breakers:
            breaker.acquire().success()

    async def _second(self) -> None:
        self.history.tick()
        for _ in range(4):
            self.broadcaster.look()
            await self._turn()

    def second(self) -> float:
        """Return the nanoseconds of the work of one second."""
        start = perf_counter_ns()
        self.loop.run_until_complete(self._second())
        return perf_counter_ns() - start

    def requests(self) -> Run:
        return requests(self.app, loop=self.loop)

    def seconds(self) -> Run:
        def run(times: int) -> float:
            took, taken = [], self._texts
            for _ in range(times):
                self.call_all()
                took.append(self.second())
            if self._texts - taken < times * len(self.tasks):
                raise UnfitError("the streams got no events")
            return sum(took) / times

        return run

    def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        self.loop.run_until_complete(self._turn())
        self.loop.close()


async def _never() -> Message:
    await asyncio.Event().wait()
    return {}


def _request(rounds: int) -> Table:
    watched = {name: Watched(streams) for name, streams in _STREAMS.items()}
    bare = BreakerMiddleware(nothing, registry=BreakerRegistry(), monitor_path=None)
    cases = [Case(_WITHOUT, partial(requests, bare))]
    for name, application in watched.items():
        cases += [Case(name, application.requests), Case(_second_of(name), application.seconds)]
    timings = measure(cases, rounds)
    for application in watched.values():
        application.close()
    bases = {_WITHOUT: _WITHOUT, _IDLE: _WITHOUT} | dict.fromkeys([*_STREAMS][1:], _IDLE)
    return Table(
        "A request while somebody looks",
        ["case", "ns", "x without", "x idle", "ms a second", "with that", "aim", "is"],
        [_request_row(name, base, timings) for name, base in bases.items()],
        "Through the middleware, to an application that does nothing. Once a second "
        f"{_BREAKERS} breakers that were called are looked at and told to each stream. That is "
        "reckoned in, and compared with no monitor, or with one at which nobody looks.",
        problems(timings),
    )


def _second_of(name: str) -> str:
    return f"{name}: a second"


def _request_row(name: str, base: str, timings: Mapping[str, Timings]) -> list[str]:
    timed, second, rest = (
        timings[name],
        timings.get(_second_of(name)),
        timings.get(_second_of(base)),
    )
    if timed.problem or (second and second.problem):
        return [name, timed.blank, "-", "-", "-", "-", "", ""]
    ratios = [ratio(timed, timings[reference]) for reference in (_WITHOUT, _IDLE)]
    cells = [name, f"{timed.typical:,.0f}", *(f"{value:.3f}" for value in ratios)]
    if second is None:
        return [*cells, "", "", "", ""]
    added = second.typical - (rest.typical if rest else 0)
    total = ratio(timed, timings[base]) * (1 + added / _SECOND)
    judged = [f"{total:.3f}", f"{AIM}", mark(met=total <= AIM)]
    return [*cells, f"{second.typical / 1e6:.2f}", *judged]


def _call(rounds: int) -> Table:
    timings = measure([Case("without", partial(_guarded, kept=False)),
                       Case("with the history", partial(_guarded, kept=True))], rounds)  # fmt: skip
    rows = []
    for name, timed in timings.items():
        times = ratio(timed, timings["without"])
        judged = ["", ""] if name == "without" else [f"{AIM}", mark(met=times <= AIM)]
        rows.append([name, f"{timed.typical:,.0f}", f"{times:.3f}", *judged])
    return Table(
        "A call while the history is kept",
        ["case", "ns", "x without", "aim", "is"],
        rows,
        "An async function that succeeds, guarded by `fail_max`. The history looks before each "
        "piece of a slice, hundreds of times as often as it does, and has calls timed.",
        problems(timings),
    )


def _guarded(*, kept: bool) -> Run:
    breaker = CircuitBreaker(fail_max=LIMIT)
    registry = BreakerRegistry()
    history = History(registry)
    if kept:
        registry.add(breaker)
        history.tick()
    run = warm(runner(breaker(SUCCEED.of(asynchronous=True)), SUCCEEDING, asynchronous=True))

    def after_a_look(calls: int) -> float:
        history.tick()
        return run(calls)

    return after_a_look


class Ticking:
    """A history that nobody looks at, and the longest that one callback of it has taken."""

    def __init__(self, size: int, called: float) -> None:
        self.registry = BreakerRegistry(limit=size)
        self._breakers = [self.registry.get(f"{number}") for number in range(size)]
        self._called = self._breakers[: round(size * called)]
        self._history = History.of(self.registry)
        self._callbacks: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._now = 0
        self.longest = 0

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        """Stand in for the method of the event loop."""
        self._callbacks.append((callback, args))

    def second(self) -> int:
        """Return the nanoseconds that one tick has the processor."""
        for breaker in self._called:
            breaker.acquire().success()
        self._now += 1
        start = thread_time_ns()
        self.call_soon(self._history._tick_by_slices, self, list(self.registry), self._now)
        took = thread_time_ns() - start
        while self._callbacks:
            callback, args = self._callbacks.pop()
            start = thread_time_ns()
            callback(*args)
            once = thread_time_ns() - start
            took += once
            self.longest = max(self.longest, once)
        return took


def _ticks(rounds: int) -> Table:
    rows = []
    for size in TICKED:
        for called in (0.0, 0.1, 1.0):
            ticking = Ticking(size, called)
            for _ in range(_WARM):
                ticking.second()
            ticking.longest = 0
            took = median(ticking.second() for _ in range(rounds)) / size / 1000
            longest = ticking.longest / 1e6
            rows.append(
                [
                    f"{size:,} breakers, {called:.0%} called", number(took), number(TICK_AIM),
                    mark(met=took <= TICK_AIM), number(longest), number(PAUSE_AIM),
                    mark(met=longest <= PAUSE_AIM),
                ]
            )  # fmt: skip
    return Table(
        "The history's second, while nobody looks",
        ["case", "µs a breaker", "aim", "is", "longest callback, ms", "aim", "is"],
        rows,
        "Once a second the counts of all breakers are read, a hundred in one callback of the event "
        f"loop. The longest is that of {rounds} seconds.",
    )


def _looks(rounds: int) -> Table:
    repeats = min(rounds, _MOST_REPEATS)
    rows = []
    for size in SIZES:
        watched = Watched(1, size)
        figures = [median(_time(look, repeats)) for look in _looks_at(watched)]
        watched.close()
        rows.append([f"{size:,} breakers", *(f"{figure / 1e6:,.2f}" for figure in figures)])
    return Table(
        "Looking, in milliseconds",
        ["case", *LOOKS],
        rows,
        "A second is one tick of the history, and what is told to one stream. It is done in steps "
        "of a breaker, between which requests go on. A list has a thousand at most.",
    )


def _looks_at(watched: Watched) -> list[Callable[[], float]]:
    registry = watched.registry
    listing = Listing(registry, EventLog.of(registry), watched.history)

    def called() -> float:
        watched.call_all()
        return watched.second()

    def timed(look: Callable[[], Any]) -> float:
        start = perf_counter_ns()
        look()
        return perf_counter_ns() - start

    every = partial(listing.page, Query(), details=True, controls=True)
    return [
        watched.second,
        called,
        partial(timed, every),
        partial(timed, partial(_snapshot, watched.broadcaster)),
    ]


def _snapshot(broadcaster: Broadcaster) -> None:
    board = broadcaster._boards[VIEW.board]
    head = event_begin("snapshot", broadcaster._snapshot(VIEW, board))
    for _ in broadcaster._audiences[VIEW].snapshot(board.table, head, packed=False):
        pass


def _time(look: Callable[[], float], repeats: int) -> list[float]:
    look()
    return [look() for _ in range(repeats)]
