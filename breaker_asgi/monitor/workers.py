"""What there is to say of the store, and of the other workers that use it."""

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
)
"""What workers tell each other of a breaker."""


def is_alone(breaker: CircuitBreaker) -> bool:
    """Whether the breaker is in its state in this process only, in spite of the store."""
    return breaker._fleet is not None and breaker._fleet.alone


def store(registry: BreakerRegistry, *, details: bool) -> Json | None:
    """By what the states are shared, and whether that works. Addresses are details."""
    fleet = registry.fleet
    if fleet is None:
        return None
    label, trouble = fleet.store.label, fleet.trouble
    workers = fleet.workers()
    return {
        "label": label if details else label.partition(":")[0],
        "works": trouble is None,
        "worker": _named(fleet.worker, details=details),
        "problem": trouble if details else None,
        "workers": None if workers is None or trouble is not None else len(workers),
    }


def workers(
    registry: BreakerRegistry, name: str, breaker: Json, pid: int, *, details: bool
) -> list[Json]:
    """Return the figures of a breaker that was told, and of its name in the other known workers."""
    fleet = registry.fleet
    if fleet is None:
        return []
    found = []
    own: Json = {"pid": pid, "host": None, "age": 0.0}
    for each in fleet.workers() or ():
        host = each.host if details else None
        if each.worker == fleet.worker:
            own["host"] = host
        elif (figures := each.breakers.get(name)) is not None:
            who = {"worker": _named(each.worker, details=details), "pid": each.pid, "host": host}
            told = {name: getattr(figures, name) for name in _OF_A_WORKER}
            found.append({**who, "age": round(each.age, 1), **told})
    found.sort(key=lambda told: (told["host"] or "", told["pid"], told["worker"]))
    own |= {"worker": _named(fleet.worker, details=details)}
    return [own | {name: breaker[name] for name in _OF_A_WORKER}, *found]


def _named(worker: str, *, details: bool) -> str:
    """A worker's name; to whom that is not told, something that stands for it."""
    if details:
        return worker
    return blake2b(worker.encode(errors="replace"), digest_size=6).hexdigest()
