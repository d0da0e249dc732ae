"""The cost of the size of a window."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from operator import getitem
from typing import Any

from benchmarks.calls import FAIL_IF, MIXED, FailedError, finish, runner
from benchmarks.guards import Function
from benchmarks.peers import WINDOWS
from benchmarks.tables import Table, number
from benchmarks.timing import Case, Run, Timings, measure, problems, ratio
from breaker_asgi import CircuitBreaker, CountWindow, TimeWindow

SIZES = (10, 100, 1_000, 10_000, 100_000)
LONGEST = 86_400

_MOST_ROUNDS = 7
_CYCLE = MIXED.true + MIXED.false
_NOTE = f"""\
Against a bare call, async. {MIXED.true} of {_CYCLE} calls fails, so that the window always holds
failures and no shortcut is taken. The size is in calls, or in seconds. Our time window saw a call
in each of its seconds ({LONGEST:,}, the most it takes, under 100,000); the others' read the
system's clock, and saw their calls within a second or so."""


def table(rounds: int) -> Table:
    cases = [Case("bare", _bare)]
    fills = {"ours, count window": _count_window, "ours, time window": _time_window}
    fills |= {name: partial(_peer, name) for name in WINDOWS}
    cases += [
        Case(_name(name, size), cache(partial(fill, size)))
        for name, fill in fills.items()
        for size in SIZES
    ]
    timings = measure(cases, min(rounds, _MOST_ROUNDS))
    return Table(
        "The size of a window",
        ["case", *(f"{size:,}" for size in SIZES)],
        [[name, *(_cell(timings, _name(name, size)) for size in SIZES)] for name in fills],
        _NOTE,
        problems(timings),
    )


def _name(name: str, size: int) -> str:
    return f"{name}, {size:,}"


def _cell(timings: dict[str, Timings], name: str) -> str:
    timed = timings[name]
    return timed.blank if timed.problem is not None else number(ratio(timed, timings["bare"]))


def _run(call: Function) -> Run:
    return runner(call, MIXED, asynchronous=True)


def _bare() -> Run:
    return _run(FAIL_IF.asynchronous)


def _count_window(size: int) -> Run:
    breaker = CircuitBreaker(failure_rate=1.0, window=CountWindow(size))
    return _run(_filled(breaker(FAIL_IF.asynchronous), size))


def _time_window(size: int) -> Run:
    seconds = min(size, LONGEST)
    now = [0.0]
    clock: Callable[[], Any] = partial(getitem, now, 0)  # as cheap as the system's
    breaker = CircuitBreaker(
        failure_rate=1.0,
        window=TimeWindow(seconds),
        clock=clock,
    )

    def next_second(second: int) -> None:
        now[0] = float(second)

    return _run(_filled(breaker(FAIL_IF.asynchronous), seconds, next_second))


def _peer(name: str, size: int) -> Run:
    calls = size if "count" in name else min(size, 100)
    return _run(_filled(WINDOWS[name](size)(FAIL_IF.asynchronous), calls))


def _filled(
    call: Function, calls: int, before_each: Callable[[int], None] = lambda _: None
) -> Function:
    for index in range(calls):
        before_each(index)
        with suppress(FailedError):
            finish(call(index % _CYCLE == 0))
    return call
