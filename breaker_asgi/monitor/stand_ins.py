"""Stand-ins of the monitor: they change breakers that only other workers have, by the store."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from breaker_asgi.monitor.query import WrongQueryError, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breaker_asgi._fleet.fleet import Fleet
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

PATIENCE = 2.0
"""Seconds that a request waits for the store."""


class NotReachedError(WrongQueryError):
    """A breaker of other workers that can't be changed from here, as the store does not answer."""

    status = 503


async def stand_ins(registry: BreakerRegistry, names: Sequence[str]) -> list[CircuitBreaker]:
    """Return a stand-in for each breaker that only other workers have, in the fleet's state.

    Raises `NotReachedError` if the store does not answer.
    """
    fleet = registry.fleet
    if fleet is None or not names:
        return []
    if fleet.outage is not None:
        raise NotReachedError(
            f"Nothing has changed: {_listed(names)} can be changed here by the store only, which "
            "does not work. Try again once it does, or send this to a worker that has it."
        )
    new = [registry._unlisted(name) for name in names if fleet.stand_ins.get(name) is None]
    for breaker in new:
        fleet.stand_ins.keep(breaker)
    late = await _late(fleet, names)
    if late:
        raise NotReachedError(
            f"Nothing has changed: the store has not answered for {_listed(late)} within "
            f"{PATIENCE:g} s. Try again."
        )
    for breaker in new:
        breaker.add_listeners(*registry._listeners)
    return [breaker for breaker in map(fleet.stand_ins.get, names) if breaker is not None]


async def confirm(registry: BreakerRegistry, names: Sequence[str]) -> None:
    """Wait until the store has the changes of stand-ins. Raises `NotReachedError` if it has not."""
    fleet = registry.fleet
    late = [] if fleet is None else await _late(fleet, names)
    if late:
        raise NotReachedError(
            f"The store has not confirmed within {PATIENCE:g} s that {_listed(late)} changed. "
            "Look at the list, and try again."
        )


async def _late(fleet: Fleet, names: Iterable[str]) -> list[str]:
    """Wait for the store, and return the names for which it has not answered."""
    end = monotonic() + PATIENCE
    return [name for name in names if not await fleet.stand_ins.settle(name, end - monotonic())]


def _listed(names: Sequence[str]) -> str:
    first, *more = names
    return f"{quoted(first)} and {len(more):,} more" if more else quoted(first)
