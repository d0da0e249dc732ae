"""Fleets that are stepped by hand or by their threads, and a store in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from tests.stores.place import Place
from tests.stores.sqlite_files import path, store

__all__ = ["path", "place", "store"]


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def run_fleet() -> Iterator[Callable[..., BreakerRegistry]]:
    fleets: list[Fleet] = []

    def run(store: MemoryStore, **settings: Any) -> BreakerRegistry:
        registry = BreakerRegistry(BreakerConfig(**settings))
        fleet = registry.fleet = Fleet(store)
        fleets.append(fleet)
        fleet.start()
        return registry

    yield run
    for fleet in fleets:
        fleet.stop()
