"""The time until all processes reject after a trip, and the calls that leak meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from secrets import token_hex
from statistics import median
from time import monotonic, sleep
from typing import NamedTuple

from benchmarks.shared.servers import NO_SERVER, Server, redis
from benchmarks.shared.storages import OURS, PEERS, Storage, is_installed
from benchmarks.shared.worker_pool import WorkerProcess, worker_pool
from benchmarks.tables import Table, number
from benchmarks.timing import NOT_INSTALLED, UnfitError

_CALM = 0.15, 0.65
"""Seconds for which a new breaker is called before it opens, at any moment of a poll."""
_PATIENCE = 3.0
_PEERS_ROUNDS = 15
_OURS_ROUNDS = 40


class Result(NamedTuple):
    """One round: seconds from the trip to the last worker's first rejection, and leaked calls."""

    took: float | None
    leaked: int


def ours(rounds: int, folder: Path, server: Server | None) -> Table:
    rounds = min(_OURS_ROUNDS, 2 * rounds)
    results = _rounds(OURS, f"sqlite:///{folder}/agreement.db", 4, rounds)
    rows = [["SQLite, 4 processes", *_cells(results)]]
    for size in (4, 8) if server is not None else ():
        with redis() as own_server:  # workers poll breakers that have opened before
            results = _rounds(OURS, own_server.url, size, rounds)
        rows.append([f"Redis, {size} processes", *_cells(results)])
    return Table(
        "Until all processes know that a breaker has opened",
        _HEADER,
        rows,
        _NOTE,
        [] if server is not None else [NO_SERVER],
    )


def peers(rounds: int, server: Server) -> Table:
    rounds = min(_PEERS_ROUNDS, rounds)
    rows, problems = [], []
    for storage in (OURS, *PEERS):
        try:
            cells = _cells(_rounds(storage, server.url, 4, rounds))
        except UnfitError as error:
            blank = "-" if is_installed(storage) else NOT_INSTALLED
            cells = [blank, *["-"] * (len(_HEADER) - 2)]
            if is_installed(storage):
                problems.append(f"{storage.name}: {error}")
        rows.append([storage.name, *cells])
    return Table(
        "Until all processes know, ours and others: 4 processes over Redis",
        _HEADER,
        rows,
        _NOTE,
        problems,
    )


_HEADER = ["case", "rounds", "median ms", "p99 ms", "leaked, median", "leaked, most", "never"]
_NOTE = (
    "From the end of the call that trips one process to the last first rejection in another. Each "
    "other process makes a call a millisecond, all of which succeed: those that began after the "
    "trip and came through have leaked. The p99 of less than 100 rounds is the longest. `never`: "
    f"rounds in which a process had not heard after {_PATIENCE:.0f} s, which are left out of the "
    "times."
)


def _rounds(storage: Storage, url: str, size: int, rounds: int) -> list[Result]:
    with worker_pool(size, storage.name, url) as workers:
        return list(_play(workers, rounds))


def _play(workers: Sequence[WorkerProcess], rounds: int) -> Iterator[Result]:
    first, *followers = workers
    prefix = token_hex(4)
    for number_ in range(-1, rounds):
        name, at = f"{prefix}-{number_}", monotonic() + random.uniform(*_CALM)
        first.begin("trip", name, at)
        for follower in followers:
            follower.begin("follow", name, at, at + _PATIENCE)
        tripped = float(first.answer()["tripped"])
        answers = [follower.answer() for follower in followers]
        moments = [answer["rejected"] for answer in answers]
        took = None if None in moments else max(0.0, max(moments) - tripped)
        leaked = sum(moment > tripped for answer in answers for moment in answer["leaked"])
        if number_ >= 0:  # the first round is for connections
            yield Result(took, leaked)
        sleep(0.05)


def _cells(results: Sequence[Result]) -> list[str]:
    took = sorted(result.took * 1000 for result in results if result.took is not None)
    leaked = [result.leaked for result in results]
    times = [number(median(took)), number(took[ceil(0.99 * len(took)) - 1])] if took else ["-"] * 2
    counts = [f"{median(leaked):,.0f}", f"{max(leaked):,}", f"{len(results) - len(took)}"]
    return [str(len(results)), *times, *counts]
