"""What a guarded call costs with a store: ours against none, and other libraries' over Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import count
from time import perf_counter_ns
from typing import Any

from benchmarks.calls import (
    REJECTED,
    SUCCEED,
    SUCCEEDING,
    Dependency,
    FailedError,
    Mix,
    runner,
    warm,
)
from benchmarks.guards import LIMIT, OPEN_SECONDS
from benchmarks.servers import NO_SERVER, Server
from benchmarks.storages import OURS, PEERS, Function, Settings, Storage
from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, Timings, measure, problems, ratio
from breaker_asgi import BreakerRegistry

AIM = 1.02
WITHOUT = "no store"

_COUNTED = 300
"""Calls whose commands are counted."""
_BUSY = 10
"""Breakers that are called while a registry's threads are looked at."""
_LONGEST = 3


class Shop:
    """A registry whose breakers are made anew for each piece of work."""

    def __init__(self, store: str | None) -> None:
        self.registry = BreakerRegistry(store=store)
        self._numbers = count()

    def guard(self, function: Callable[..., Any]) -> Callable[..., Any]:
        name = f"shop-{next(self._numbers)}"
        breaker = self.registry.get(name, fail_max=LIMIT, timeout_duration=OPEN_SECONDS)
        guarded: Callable[..., Any] = breaker(function)
        return guarded

    def closed(self, *, asynchronous: bool) -> Run:
        return _warmed(self.guard(SUCCEED.of(asynchronous=asynchronous)), SUCCEEDING, asynchronous)

    def open(self, *, asynchronous: bool) -> Run:
        dependency = Dependency()
        call = self.guard(dependency.target.of(asynchronous=asynchronous))
        dependency.knock(call, LIMIT)
        return _warmed(call, REJECTED, asynchronous)

    def background(self, seconds: float) -> float:
        """The milliseconds of a processor that its threads take in a second of calls."""
        fleet = self.registry.fleet
        if fleet is None:
            return 0.0
        calls = [self.guard(SUCCEED.sync) for _ in range(_BUSY)]
        threads = [each for each in (fleet._thread, fleet._ear) if each and each.ident]
        clocks = [time.pthread_getcpuclockid(each.ident or 0) for each in threads]

        def taken() -> float:
            return sum(map(time.clock_gettime, clocks))

        before, began = taken(), time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            for call in calls:
                call(0)
            time.sleep(0.01)
        return (taken() - before) * 1000 / passed

    def stop(self) -> None:
        if self.registry.fleet is not None:
            self.registry.fleet.stop()


def _warmed(call: Callable[..., Any], mix: Mix, asynchronous: bool) -> Run:  # noqa: FBT001
    return warm(runner(call, mix, asynchronous=asynchronous))


@contextmanager
def shops(stores: Mapping[str, str | None]) -> Iterator[dict[str, Shop]]:
    """One for each store, by the same names."""
    with ExitStack() as stack:
        found = {}
        for name, store in stores.items():
            found[name] = shop = Shop(store)
            stack.callback(shop.stop)
        yield found


def ours(rounds: int, stores: Mapping[str, str]) -> Table:
    """A call that asks nobody: closed and open, async and sync."""
    kinds: dict[str, tuple[Callable[[Shop], Callable[..., Run]], bool]] = {
        "async": (lambda shop: shop.closed, True),
        "sync": (lambda shop: shop.closed, False),
        "async, rejected": (lambda shop: shop.open, True),
        "sync, rejected": (lambda shop: shop.open, False),
    }
    with shops({WITHOUT: None} | stores) as all_shops:
        cases = [
            Case(
                f"bare, {'async' if each else 'sync'}",
                partial(_warmed, SUCCEED.of(asynchronous=each), SUCCEEDING, each),
            )
            for each in (True, False)
        ]
        for kind, (way, each) in kinds.items():
            cases += [
                Case(f"{kind}, {name}", partial(way(shop), asynchronous=each))
                for name, shop in all_shops.items()
            ]
        timings = measure(cases, rounds)
        seconds = min(_LONGEST, max(1.1, rounds / 5))
        background = {name: shop.background(seconds) for name, shop in all_shops.items()}
    rows = [_bare_row(name, timings) for name in list(timings)[:2]]
    for kind in kinds:
        rows += [_row(kind, name, timings, background) for name in all_shops]
    return Table(
        "A guarded call with a store",
        ["case", "ns", "x bare", "x without", "thread ms a second", "with that", "aim", "is"],
        rows,
        f"Guarded by `fail_max`. The threads that tell the store and hear from it take their time "
        f"from the same processor, while {_BUSY} breakers are called: that is reckoned in.",
        problems(timings),
    )


def _bare_row(name: str, timings: Mapping[str, Timings]) -> list[str]:
    return [name, f"{timings[name].typical:,.0f}", "1.00", "", "", "", "", ""]


def _row(
    kind: str, store: str, timings: Mapping[str, Timings], background: Mapping[str, float]
) -> list[str]:
    name = f"{kind}, {store}"
    timed = timings[name]
    if timed.problem is not None:
        return [name, timed.blank, *("-" for _ in range(4)), "", ""]
    bare = timings[f"bare, {kind.partition(',')[0]}"]
    cells = [name, f"{timed.typical:,.0f}", number(ratio(timed, bare))]
    if store == WITHOUT:
        return [*cells, "1.000", "", "", "", ""]
    times = ratio(timed, timings[f"{kind}, {WITHOUT}"])
    total = times * (1 + background[store] / 1000)
    judged = [f"{total:.3f}", f"{AIM}", mark(met=total <= AIM)]
    return [*cells, f"{times:.3f}", f"{background[store]:.2f}", *judged]


def peers(rounds: int, server: Server) -> Table:
    """The others, and ours beside them, on an event loop."""
    loop = asyncio.new_event_loop()
    storages = (OURS, *PEERS)
    counted, callers = {}, {}
    try:
        for storage in storages:
            with suppress(ModuleNotFoundError):
                callers[storage.name] = both = loop.run_until_complete(_callers(storage, server))
                counted[storage.name] = loop.run_until_complete(_commands(both, server))
        cases = [Case("bare", partial(_on, loop, SUCCEED.asynchronous, 0))]
        for storage in storages:
            for place, kind in enumerate(("", ", rejected")):
                name = f"{storage.name}{kind}"
                cases.append(Case(name, partial(_call_of, loop, callers, storage.name, place)))
        timings = measure(cases, rounds)
    finally:
        _close(loop)
    rows = [["bare", f"{timings['bare'].typical / 1000:,.1f}", "1.00", "", ""]]
    for storage in storages:
        for place, kind in enumerate(("", ", rejected")):
            timed = timings[f"{storage.name}{kind}"]
            remark = storage.remark
            if timed.problem is not None:
                rows.append([f"{storage.name}{kind}", timed.blank, "-", "-", remark])
                continue
            cells = [f"{timed.typical / 1000:,.1f}", number(ratio(timed, timings["bare"]))]
            commands = f"{counted[storage.name][place]:.1f}"
            rows.append([f"{storage.name}{kind}", *cells, commands, remark])
    return Table(
        "A guarded call over Redis, ours and others",
        ["case", "µs", "x bare", "commands a call", ""],
        rows,
        "Awaited on an event loop; a Redis on the same host. What goes on in the background is not "
        f"counted as a call's: {_COUNTED} calls are made, and as long is waited without any.",
        problems(timings),
    )


def table_without_redis() -> Table:
    return Table("A guarded call over Redis, ours and others", ["case"], [], NO_SERVER)


async def _callers(storage: Storage, server: Server) -> tuple[Function, Function]:
    """Two guarded functions: of a breaker that is closed, and of one that is open."""
    make = await storage.connect(server.url)

    async def succeed() -> None:
        pass

    async def fail() -> None:
        raise FailedError

    calls = []
    for kind, function in (("closed", succeed), ("open", fail)):
        call = make(Settings(f"{storage.name}-{kind}"))(function)
        for _ in range(3):
            await _settled(call)
        calls.append(call)
    await asyncio.sleep(0.1)
    return calls[0], calls[1]


async def _settled(call: Function) -> None:
    with suppress(Exception):
        await call()


async def _commands(callers: tuple[Function, Function], server: Server) -> list[float]:
    found = []
    with server.monitored() as sent:
        for call in callers:
            before, began = sent.commands, time.monotonic()
            for _ in range(_COUNTED):
                await _settled(call)
            took, after = time.monotonic() - began, sent.commands
            await asyncio.sleep(took)
            idle = sent.commands - after
            found.append(max(0, after - before - idle) / _COUNTED)
    return found


def _call_of(
    loop: asyncio.AbstractEventLoop,
    callers: Mapping[str, tuple[Function, Function]],
    name: str,
    place: int,
) -> Run:
    if name not in callers:
        raise ModuleNotFoundError(name)
    return _on(loop, callers[name][place])


def _on(loop: asyncio.AbstractEventLoop, call: Callable[..., Any], *args: object) -> Run:
    async def drive(calls: int) -> int:
        start = perf_counter_ns()
        for _ in range(calls):
            try:  # noqa: SIM105 - suppress() costs more than what is measured
                await call(*args)
            except Exception:  # noqa: BLE001, S110
                pass
        return perf_counter_ns() - start

    def run(calls: int) -> float:
        return loop.run_until_complete(drive(calls)) / calls

    return run


def _close(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for each in tasks:
        each.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


