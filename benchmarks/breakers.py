"""The cost of a breaker itself: memory, and the time to create one."""

from __future__ import annotations

import gc
import tracemalloc
from functools import partial
from time import perf_counter_ns

from benchmarks.guards import OURS, Guard
from benchmarks.peers import PEERS
from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, Timings, UnfitError, measure, problems

BREAKERS = 10_000
BYTES = 600
MICROSECONDS = 5.0


def table(rounds: int) -> Table:
    guards = [guard for guard in (*OURS, *PEERS) if guard.maker is not None]
    timings = measure([Case(guard.name, partial(_creating, guard)) for guard in guards], rounds)
    return Table(
        "A breaker itself",
        ["case", "bytes", "aim", "is", "µs to make", "aim", "is"],
        [_row(guard, timings[guard.name]) for guard in guards],
        f"The memory is the mean of {BREAKERS:,}. Settings objects are made before, and shared.",
        problems(timings),
    )


def _creating(guard: Guard) -> Run:
    if guard.maker is None:
        raise UnfitError("it has no breakers")
    make = guard.maker()

    kept: list[object] = []

    def run(calls: int) -> float:
        made = [None] * calls
        kept.append(made)
        start = perf_counter_ns()
        for index in range(calls):
            made[index] = make()
        return (perf_counter_ns() - start) / calls

    return run


def _row(guard: Guard, timed: Timings) -> list[str]:
    if timed.problem is not None:
        return [guard.name, timed.blank, "", "", "-", "", ""]
    size, took = memory(guard), timed.typical / 1000
    cells = [f"{size:,.0f}", "", "", number(took), "", ""]
    if guard in OURS:
        cells[1:3] = f"{BYTES}", mark(met=size <= BYTES)
        cells[4:6] = f"{MICROSECONDS:.0f}", mark(met=took <= MICROSECONDS)
    return [guard.name, *cells]


def memory(guard: Guard) -> float:
    """Return the bytes of one breaker, as Python's allocators count them."""
    if guard.maker is None:
        raise UnfitError("it has no breakers")
    make = guard.maker()
    make()
    made = [None] * BREAKERS
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for index in range(BREAKERS):
            made[index] = make()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    return (after - before) / BREAKERS
