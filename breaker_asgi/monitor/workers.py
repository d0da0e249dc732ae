"""The store and the workers that share it, as JSON."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

Json: TypeAlias = dict[str, Any]

_OF_A_WORKER = (
    "state",
    "alone",
    "calls_per_second",
    "successes",
    "failures",
    "slow_calls",
    "rejected",
    "calls_under_way",
    "slow_calls_under_way",
)
"""The figures that workers publish of a breaker."""


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
        "worker": _named(fleet.worker, details=details),
        "problem": trouble if details else None,
        "workers": None if workers is None or outage is not None else len(workers),
    }


def workers(
    registry: BreakerRegistry, name: str, breaker: Json, pid: int, *, details: bool
) -> list[Json]:
    """Return the figures of a listed breaker, and of its name in the other workers."""
    fleet = registry.fleet
    if fleet is None:
        return []
    others = []
    own: Json = {"pid": pid, "host": None, "age": 0.0}
    for worker in fleet.workers() or ():
        host = worker.host if details else None
        if worker.worker == fleet.worker:
            own["host"] = host
        elif (figures := worker.breakers.get(name)) is not None:
            identity = {
                "worker": _named(worker.worker, details=details),
                "pid": worker.pid,
                "host": host,
            }
            published = {name: getattr(figures, name) for name in _OF_A_WORKER}
            others.append({**identity, "age": round(worker.age, 1), **published})
    others.sort(key=lambda other: (other["host"] or "", other["pid"], other["worker"]))
    own |= {"worker": _named(fleet.worker, details=details)}
    return [own | {name: breaker[name] for name in _OF_A_WORKER}, *others]


def _named(worker: str, *, details: bool) -> str:
    """Return the worker's name, hashed for readers without details."""
    if details:
        return worker
    return blake2b(worker.encode(errors="replace"), digest_size=6).hexdigest()
