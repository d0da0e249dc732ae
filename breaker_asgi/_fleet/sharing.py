"""How a registry comes to share its breakers: by a store, or by the URL of one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from breaker_asgi._core import validation
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from breaker_asgi._fleet.fleet import Fleet
    from breaker_asgi.stores.protocol import Store

VARIABLE = "BREAKER_ASGI_STORE"
"""The environment variable with the URL of the store of `default_registry`."""


def fleet_of(store: Store | str, quorum: float) -> Fleet:
    """A fleet that has begun. Raises `BreakerConfigError` for what is no store, or no quorum."""
    from breaker_asgi._fleet.fleet import Fleet  # noqa: PLC0415
    from breaker_asgi._fleet.quorum import checked  # noqa: PLC0415
    from breaker_asgi.stores import store_of  # noqa: PLC0415 (most services have no use for it)

    checked(quorum)
    if isinstance(store, str):
        store = store_of(store)
    elif not callable(getattr(store, "exchange", None)):
        remedy = 'Write store="sqlite:///breakers.db"'
        if type(store).__module__.startswith("redis."):
            remedy = "Write store=RedisStore(client), from breaker_asgi.stores.redis"
        # Its type only: others' objects may show passwords.
        raise validation.wrong("store", type(store), "a store, or the URL of one", remedy)
    fleet = Fleet(store, quorum=quorum)
    fleet.start()
    return fleet


BreakerRegistry._fleet_of = staticmethod(fleet_of)
if url := os.environ.get(VARIABLE):
    default_registry.share(url)
