"""The start of a fleet, by a store or its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core import validation
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi._fleet.quorum import checked
from breaker_asgi.stores import store_of

if TYPE_CHECKING:
    from breaker_asgi.stores.protocol import Store


def start_fleet(store: Store | str, quorum: float) -> Fleet:
    """Start a fleet. Raises `BreakerConfigError` for a wrong store or quorum."""
    checked(quorum)
    if isinstance(store, str):
        store = store_of(store)
    elif not callable(getattr(store, "sync", None)):
        remedy = 'Write store="sqlite:///breakers.db"'
        if type(store).__module__.startswith("redis."):
            remedy = "Write store=RedisStore(client), from breaker_asgi.stores.redis"
        # Its type only: others' objects may show passwords.
        raise validation.not_allowed("store", type(store), "a store, or the URL of one", remedy)
    fleet = Fleet(store, quorum=quorum)
    fleet.start()
    return fleet
