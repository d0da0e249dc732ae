"""Rejections after a prober was killed, or a probe was cancelled, though the dependency is well."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.shared.servers import Server
from benchmarks.shared.storages import OURS, PEERS, Settings, Storage, is_installed
from benchmarks.shared.worker_pool import WorkerProcess, worker_pool
from benchmarks.tables import Table
from benchmarks.timing import NOT_INSTALLED, UnfitError

_OPEN = 3.0
_LEASE = 2.0
_PATIENCE = 10.0
_RATE = 10
_LONGEST = 30


class Case(NamedTuple):
    """A way in which a probe ends without a result."""

    name: str
    probes: int
    is_killed: bool


KILLED = Case("its only prober is killed", 1, is_killed=True)
CANCELLED = Case("one probe of ten is cancelled", 10, is_killed=False)


def table(rounds: int, server: Server) -> Table:
    """Play all cases at the same time: they wait nearly all the time."""
    seconds = max(3, min(rounds, _LONGEST))
    cases = [
        (storage, case)
        for case in (KILLED, CANCELLED)
        for storage in (OURS, *PEERS)
        if case.is_killed or storage.remark != "sync"  # nothing can cancel a plain function
    ]
    problems: list[str] = []
    with ThreadPoolExecutor(len(cases)) as pool:
        running = [pool.submit(_play, storage, case, server, seconds) for storage, case in cases]
    rows = []
    for (storage, case), ran in zip(cases, running, strict=True):
        name = f"{storage.name}, {case.name}"
        try:
            rows.append([name, *_cells(ran.result(), seconds)])
        except UnfitError as error:
            blank = "-" if is_installed(storage) else NOT_INSTALLED
            rows.append([name, blank, *["-"] * (len(_HEADER) - 2)])
            if is_installed(storage):
                problems.append(f"{name}: {error}")
    return Table(
        "A probe without an end",
        _HEADER,
        rows,
        f"A breaker is open for {_OPEN:.0f} s, and the first probe hangs. Its process is killed, "
        "or its task is cancelled; from then on the dependency is well, and another process makes "
        f"{_RATE} calls a second for {seconds} s. Ours lends a probe for {_LEASE:.0f} s "
        "(`half_open_timeout`); the others have no setting for that. Those that refuse nothing "
        "after the prober was killed count no probes: half-open, they let every call through.",
        problems,
    )


_HEADER = ["case", "calls", "refused", "of the last 10", "first admitted after s"]


def _cells(came_through: list[bool], seconds: float) -> list[str]:
    calls, refused = len(came_through), came_through.count(False)
    last = came_through[-_RATE:].count(False)
    first = f"{came_through.index(True) / _RATE:.1f}" if any(came_through) else f"> {seconds}"
    return [str(calls), str(refused), str(last), first]


def _play(storage: Storage, case: Case, server: Server, seconds: float) -> list[bool]:
    name = f"{'killed' if case.is_killed else 'cancelled'}-{storage.name}"
    settings = Settings(name, _OPEN, case.probes, _LEASE)
    with ExitStack() as stack:
        both = stack.enter_context(worker_pool(2, storage.name, server.url))
        prober, caller = both
        if not prober.ask("open", *settings) or not caller.ask("join", *settings):
            raise UnfitError("the breaker does not open")
        if case.is_killed:
            prober.begin("probe", "freeze", _PATIENCE)
            if prober.answer() != "probes":
                raise UnfitError("there was no probe")
            prober.kill()
        elif not prober.ask("probe", "hang", _PATIENCE):
            raise UnfitError("there was no probe")
        return _use(caller, seconds)


def _use(caller: WorkerProcess, seconds: float) -> list[bool]:
    came_through: list[bool] = caller.ask("use", _RATE, seconds)
    return came_through
