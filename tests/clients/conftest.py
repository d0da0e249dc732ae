"""Clients of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry
from breaker_asgi.clients import httpx as for_httpx
from breaker_asgi.clients import httpx2 as for_httpx2
from breaker_asgi.testing import FakeClock
from tests.clients.callers import CALLERS, Caller, MakeCaller


@pytest.fixture
def config(clock: FakeClock) -> BreakerConfig:
    return BreakerConfig(fail_max=3, timeout_duration=5, clock=clock)


@pytest.fixture(params=CALLERS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def make(
    kind: str, registry: BreakerRegistry, config: BreakerConfig
) -> AsyncIterator[MakeCaller]:
    """Yield a function that makes callers of the kind under test."""
    made = []

    def make(**settings: Any) -> Caller:
        defaults: dict[str, Any] = {"registry": registry, "config": config}
        caller = CALLERS[kind](**defaults | settings)
        made.append(caller)
        return caller

    yield make
    for caller in made:
        await caller.close()


@pytest.fixture(params=[(httpx, for_httpx), (httpx2, for_httpx2)], ids=["httpx", "httpx2"])
def both(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """The library, and our module for it."""
    pair: tuple[Any, Any] = request.param
    return pair
