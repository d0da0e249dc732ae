"""Registries that share: by which store, and what becomes of it in forks and at the end."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING
from weakref import WeakSet

from breaker_asgi import checks
from breaker_asgi.registry import BreakerRegistry, default_registry
from breaker_asgi.stores import store_of
from breaker_asgi.stores.fleet import Fleet

if TYPE_CHECKING:
    from breaker_asgi.stores.protocol import Store

VARIABLE = "BREAKER_ASGI_STORE"
"""Names the environment variable with the URL of the store of `default_registry`."""

_fleets: WeakSet[Fleet] = WeakSet()


def fleet_of(store: Store | str, quorum: int) -> Fleet:
    """A fleet that has begun. Raises `BreakerConfigError` for what is no store, or no quorum."""
    checks.whole("quorum", quorum, "Leave it out for 1: one worker's failures open for all")
    if isinstance(store, str):
        store = store_of(store)
    elif not callable(getattr(store, "exchange", None)):
        remedy = 'Write store="sqlite:///run/breakers.db"'
        raise checks.wrong("store", store, "a store, or the URL of one", remedy)
    fleet = Fleet(store, quorum=quorum)
    _fleets.add(fleet)
    fleet.start()
    return fleet


def _start_anew() -> None:
    for fleet in list(_fleets):
        fleet.start_anew()


def _stop() -> None:
    for fleet in list(_fleets):
        fleet.stop()


BreakerRegistry._fleet_of = staticmethod(fleet_of)
os.register_at_fork(after_in_child=_start_anew)
atexit.register(_stop)
if url := os.environ.get(VARIABLE):
    default_registry.share(url)
