"""How long until all know that a breaker has opened, and what reaches the dependency meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from secrets import token_hex
from statistics import median
from time import monotonic, sleep
from typing import NamedTuple

from benchmarks.fellows import Fellow, fellows
from benchmarks.servers import NO_SERVER, Server, redis
from benchmarks.storages import OURS, PEERS, Storage, is_installed
from benchmarks.tables import Table, number
from benchmarks.timing import NOT_INSTALLED, UnfitError

_CALM = 0.15, 0.65
"""Seconds for which a new breaker is called before it opens: any moment of a poll may be it."""
_PATIENCE = 3.0
_PEERS_ROUNDS = 15
_OURS_ROUNDS = 40


class Seen(NamedTuple):
    """One round: seconds from the tripping call to the last first rejection, and leaked calls."""

    took: float | None
    leaked: int


def ours(rounds: int, folder: Path, server: Server | None) -> Table:
    rounds = min(_OURS_ROUNDS, 2 * rounds)
    seen = _rounds(OURS, f"sqlite:///{folder}/agreement.db", 4, rounds)
    rows = [["SQLite, 4 processes", *_cells(seen)]]
    for size in (4, 8) if server is not None else ():
        with redis() as each:  # what has opened before would be looked at now and then
            seen = _rounds(OURS, each.url, size, rounds)
        rows.append([f"Redis, {size} processes", *_cells(seen)])
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


def _rounds(storage: Storage, url: str, size: int, rounds: int) -> list[Seen]:
    with fellows(size, storage.name, url) as all_fellows:
        return list(_play(all_fellows, rounds))


def _play(all_fellows: Sequence[Fellow], rounds: int) -> Iterator[Seen]:
    first, *others = all_fellows
    prefix = token_hex(4)
    for each in range(-1, rounds):
        name, at = f"{prefix}-{each}", monotonic() + random.uniform(*_CALM)
        first.begin("trip", name, at)
        for other in others:
            other.begin("follow", name, at, at + _PATIENCE)
        tripped = float(first.answer()["tripped"])
        heard = [other.answer() for other in others]
        moments = [answer["rejected"] for answer in heard]
        took = None if None in moments else max(0.0, max(moments) - tripped)
        leaked = sum(moment > tripped for answer in heard for moment in answer["leaked"])
        if each >= 0:  # the first one is for connections
            yield Seen(took, leaked)
        sleep(0.05)


def _cells(seen: Sequence[Seen]) -> list[str]:
    took = sorted(each.took * 1000 for each in seen if each.took is not None)
    leaked = [each.leaked for each in seen]
    times = [number(median(took)), number(took[ceil(0.99 * len(took)) - 1])] if took else ["-"] * 2
    counts = [f"{median(leaked):,.0f}", f"{max(leaked):,}", f"{len(seen) - len(took)}"]
    return [str(len(seen)), *times, *counts]
