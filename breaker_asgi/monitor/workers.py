"""The store and the workers that share it, as JSON."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, TypeAlias

from breaker_asgi.monitor.parts import published
from breaker_asgi.monitor.scope import shown_name

if TYPE_CHECKING:
    from breaker_asgi._fleet.figures import WorkerFigures
    from breaker_asgi._fleet.fleet import Fleet
    from breaker_asgi._fleet.roster import Worker
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

Json: TypeAlias = dict[str, Any]

_OF_A_WORKER = (
    "state",
    "alone",
    "calls_per_second",
    "rejected_per_second",
    "failing_share",
    "successes",
    "failures",
    "slow_calls",
    "rejected",
    "calls_under_way",
    "slow_calls_under_way",
)
"""The figures of a breaker in the table of workers."""


def is_alone(breaker: CircuitBreaker) -> bool:
    """Return True if the breaker is in its state in this process only, in spite of the store."""
    return breaker._fleet is not None and breaker._fleet.alone


def store(registry: BreakerRegistry, *, details: bool) -> Json | None:
    """Return the store's name and whether it works. Its address is a detail."""
    fleet = registry.fleet
    if fleet is None:
        return None
    label, outage, trouble = fleet.store.label, fleet.outage, fleet.trouble
    workers = fleet.workers()
    return {
        "label": label if details else label.partition(":")[0],
        "works": outage is None,
        "worker": shown_name(fleet.worker, details=details),
        "problem": trouble if details else None,
        "workers": None if workers is None or outage is not None else len(workers),
        "members": _members(workers or [], details=details),
    }


def _members(workers: list[Worker], *, details: bool) -> list[Json]:
    """Return the workers whose figures a reader may choose."""
    rows = [
        _identity(worker.worker, worker.pid, worker.host, details=details) for worker in workers
    ]
    return sorted(rows, key=lambda row: (row["host"] or "", row["pid"], row["worker"]))


def workers(
    fleet: Fleet,
    own: Json | None,
    others: list[tuple[Worker, WorkerFigures]],
    *,
    details: bool,
) -> list[Json]:
    """Return a row for each worker that has a breaker: this one first, with `own` figures."""
    rows = [
        _identity(worker.worker, worker.pid, worker.host, details=details)
        | {"age": round(worker.age, 1)}
        | _figures(published(worker, figures).content)
        for worker, figures in others
    ]
    rows.sort(key=lambda row: (row["host"] or "", row["pid"], row["worker"]))
    if own is None:
        return rows
    identity = _identity(fleet.worker, os.getpid(), socket.gethostname(), details=details)
    return [identity | {"age": 0.0} | _figures(own), *rows]


def total(breaker: Json) -> Json:
    """Return the sum of all workers, by the breaker as it is listed."""
    return _figures(breaker)


def _identity(worker: str, pid: int, host: str, *, details: bool) -> Json:
    name = shown_name(worker, details=details)
    return {"worker": name, "pid": pid, "host": host if details else None}


def _figures(content: Json) -> Json:
    return {name: content[name] for name in _OF_A_WORKER}
