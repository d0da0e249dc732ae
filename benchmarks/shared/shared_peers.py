"""The cost of a guarded call whose state is shared over Redis: ours, and other libraries'."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from time import perf_counter_ns
from typing import Any

from benchmarks.calls import SUCCEED, FailedError
from benchmarks.shared.servers import Server
from benchmarks.shared.storages import OURS, PEERS, Function, Maker, Ours, Settings
from benchmarks.tables import Table, number
from benchmarks.timing import Case, Run, Timings, measure, problems, ratio

_COUNTED = 300
"""Calls whose commands are counted."""
_KINDS = ("", ", rejected")


def table(rounds: int, server: Server) -> Table:
    """Compare ours and the other libraries on an event loop."""
    loop = asyncio.new_event_loop()
    storages = (OURS, *PEERS)
    counted: dict[str, list[float]] = {}
    cases = [Case("bare", partial(_on, loop, SUCCEED.asynchronous, 0))]
    with ExitStack() as stack:
        stack.callback(_close, loop)
        for storage in storages:
            name, callers = storage.name, None
            with suppress(ModuleNotFoundError):
                make = loop.run_until_complete(storage.connect(server.url))
                if isinstance(make, Ours):
                    stack.callback(make.stop)
                callers = loop.run_until_complete(_callers(name, make))
                counted[name] = loop.run_until_complete(_commands(callers, server))
            for place, kind in enumerate(_KINDS):
                cases.append(Case(f"{name}{kind}", partial(_call_of, loop, callers, place)))
        timings = measure(cases, rounds)
    rows = [["bare", f"{timings['bare'].typical / 1000:,.1f}", "1.00", "", ""]]
    for storage in storages:
        for place, kind in enumerate(_KINDS):
            sent = counted[storage.name][place] if storage.name in counted else 0.0
            rows.append(_row(f"{storage.name}{kind}", timings, sent, storage.remark))
    return Table(
        "A guarded call over Redis, ours and others",
        ["case", "µs", "x bare", "commands a call", ""],
        rows,
        "Awaited on an event loop; a Redis on the same host. What goes on in the background is not "
        f"counted as a call's: {_COUNTED} calls are made, and as long is waited without any.",
        problems(timings),
    )


def _row(name: str, timings: Mapping[str, Timings], sent: float, remark: str) -> list[str]:
    timed = timings[name]
    if timed.problem is not None:
        return [name, timed.blank, "-", "-", remark]
    times = number(ratio(timed, timings["bare"]))
    return [name, f"{timed.typical / 1000:,.1f}", times, f"{sent:.1f}", remark]


async def _callers(name: str, make: Maker) -> tuple[Function, Function]:
    """Return two guarded functions: of a closed breaker, and of an open one."""

    async def succeed() -> None:
        pass

    async def fail() -> None:
        raise FailedError

    calls = []
    for kind, function in (("closed", succeed), ("open", fail)):
        call = make(Settings(f"{name}-{kind}"))(function)
        for _ in range(3):
            await _settled(call)
        calls.append(call)
    await asyncio.sleep(0.1)
    return calls[0], calls[1]


async def _settled(call: Function) -> None:
    with suppress(Exception):
        await call()


async def _commands(callers: tuple[Function, Function], server: Server) -> list[float]:
    counts = []
    with server.monitored() as sent:
        for call in callers:
            before, began = sent.commands, time.monotonic()
            for _ in range(_COUNTED):
                await _settled(call)
            took, after = time.monotonic() - began, sent.commands
            await asyncio.sleep(took)
            idle = sent.commands - after
            counts.append(max(0, after - before - idle) / _COUNTED)
    return counts


def _call_of(
    loop: asyncio.AbstractEventLoop, callers: tuple[Function, Function] | None, place: int
) -> Run:
    if callers is None:
        raise ModuleNotFoundError
    return _on(loop, callers[place])


def _on(loop: asyncio.AbstractEventLoop, call: Callable[..., Any], *args: object) -> Run:
    async def drive(calls: int) -> int:
        start = perf_counter_ns()
        for _ in range(calls):
            try:  # noqa: SIM105 - suppress() costs more than what is measured
                await call(*args)
            except Exception:  # noqa: BLE001
                pass
        return perf_counter_ns() - start

    def run(calls: int) -> float:
        return loop.run_until_complete(drive(calls)) / calls

    return run


def _close(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
    loop.close()
