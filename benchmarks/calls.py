"""The functions that are called, and the loops that call them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Coroutine
from contextlib import suppress
from time import monotonic, perf_counter_ns
from typing import Any, NamedTuple

from benchmarks.guards import LIMIT, Function
from benchmarks.timing import Run, UnfitError

_WARM_UP = 3 * LIMIT


class FailedError(Exception):
    """The exception of the guarded functions."""


class Target(NamedTuple):
    """The same function twice."""

    sync: Function
    asynchronous: Function

    def of(self, *, asynchronous: bool) -> Function:
        return self.asynchronous if asynchronous else self.sync


async def _succeed(x: object) -> object:
    return x


def _succeed_sync(x: object) -> object:
    return x


async def _look_once(x: object) -> object:
    monotonic()
    return x


async def _look_twice(x: object) -> object:
    monotonic()
    monotonic()
    return x


async def _fail(_: object) -> object:
    raise FailedError


def _fail_sync(_: object) -> object:
    raise FailedError


async def _fail_if(x: object) -> object:
    if x:
        raise FailedError
    return x


def _fail_if_sync(x: object) -> object:
    if x:
        raise FailedError
    return x


SUCCEED = Target(_succeed_sync, _succeed)
CLOCKS = {
    "bare, that reads the clock": Target(_succeed_sync, _look_once),
    "bare, that reads it twice": Target(_succeed_sync, _look_twice),
}
"""Functions that do what a time window, and one that measures calls, can't do without."""
FAIL = Target(_fail_sync, _fail)
FAIL_IF = Target(_fail_if_sync, _fail_if)


class Mix(NamedTuple):
    """Numbers of calls with a true and a false argument, and the exception of the true ones."""

    true: int
    false: int
    expected: type[Exception] = FailedError


SUCCEEDING = Mix(0, 1000)
FAILING = Mix(LIMIT // 2, 1)
REJECTED = Mix(1000, 0, Exception)
MIXED = Mix(1, 9)


async def _drive(call: Function, mix: Mix, times: int) -> int:
    true, false, expected = mix
    start = perf_counter_ns()
    for _ in range(times):
        for _ in range(true):
            try:  # noqa: SIM105 - suppress() costs more than what is measured
                await call(1)
            except expected:
                pass
        for _ in range(false):
            await call(0)
    return perf_counter_ns() - start


def _drive_sync(call: Function, mix: Mix, times: int) -> int:
    true, false, expected = mix
    start = perf_counter_ns()
    for _ in range(times):
        for _ in range(true):
            try:  # noqa: SIM105 - suppress() costs more than what is measured
                call(1)
            except expected:
                pass
        for _ in range(false):
            call(0)
    return perf_counter_ns() - start


def runner(call: Function, mix: Mix, *, asynchronous: bool) -> Run:
    """Return a runner of `call` with its own loop: the interpreter adapts a loop to its calls."""
    loop = _drive if asynchronous else _drive_sync
    drive = types.FunctionType(loop.__code__.replace(), loop.__globals__)

    def run(calls: int) -> float:
        times = max(1, round(calls / (mix.true + mix.false)))
        driven = drive(call, mix, times)
        took: int = finish(driven) if asynchronous else driven
        return took / (times * (mix.true + mix.false))

    return run


def warm(run: Run) -> Run:
    """Warm up, and fill the windows."""
    run(_WARM_UP)
    return run


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that never waits, and needs no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise UnfitError("it waits for something, and can't be timed without an event loop")


class Dependency:
    """A dependency that is down, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

        async def down(_: object) -> object:
            self.calls += 1
            raise FailedError

        def down_sync(_: object) -> object:
            self.calls += 1
            raise FailedError

        self.target = Target(down_sync, down)

    def knock(self, call: Function, times: int) -> int:
        """Call it `times` times, and return the number of calls that reached it."""
        before = self.calls
        for _ in range(times):
            with suppress(Exception):
                made = call(1)
                if inspect.iscoroutine(made):
                    finish(made)
        return self.calls - before
