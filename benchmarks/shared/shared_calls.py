"""The cost of a guarded call with a store, against one without."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.calls import (
    REJECTED,
    SUCCEED,
    SUCCEEDING,
    Dependency,
    Mix,
    runner,
    warm,
)
from benchmarks.guards import LIMIT, OPEN_SECONDS
from benchmarks.shared.servers import NO_SERVER, Server
from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, Timings, measure, problems, ratio
from breaker_asgi import BreakerRegistry

AIM = 1.02
WITHOUT = "no store"

_COUNTED = 300
"""Calls whose commands are counted."""
_BUSY = 10
"""Breakers that are called while the time of a registry's threads is measured."""
_LONGEST = 3


class Shop:
    """A registry that creates a breaker for each measurement."""

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
        """Return the milliseconds of processor time of its threads in a second of calls."""
        fleet = self.registry.fleet
        if fleet is None:
            return 0.0
        calls = [self.guard(SUCCEED.sync) for _ in range(_BUSY)]
        threads = [thread for thread in (fleet._thread, fleet._listener) if thread and thread.ident]
        clocks = [time.pthread_getcpuclockid(thread.ident or 0) for thread in threads]

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
    """Create a shop for each store, by the same names."""
    with ExitStack() as stack:
        all_shops = {}
        for name, store in stores.items():
            all_shops[name] = shop = Shop(store)
            stack.callback(shop.stop)
        yield all_shops


def table(rounds: int, folder: Path, server: Server | None) -> Table:
    """Compare calls with and without a store: closed and open, async and sync."""
    kinds: dict[str, tuple[Callable[[Shop], Callable[..., Run]], bool]] = {
        "async": (lambda shop: shop.closed, True),
        "sync": (lambda shop: shop.closed, False),
        "async, rejected": (lambda shop: shop.open, True),
        "sync, rejected": (lambda shop: shop.open, False),
    }
    stores = {WITHOUT: None, "SQLite": f"sqlite:///{folder}/calls.db"}
    if server is not None:
        stores["Redis"] = server.url
    with shops(stores) as all_shops:
        cases = [
            Case(
                f"bare, {'async' if asynchronous else 'sync'}",
                partial(_warmed, SUCCEED.of(asynchronous=asynchronous), SUCCEEDING, asynchronous),
            )
            for asynchronous in (True, False)
        ]
        for kind, (way, asynchronous) in kinds.items():
            cases += [
                Case(f"{kind}, {name}", partial(way(shop), asynchronous=asynchronous))
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
        [*problems(timings), *([] if server is not None else [NO_SERVER])],
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
