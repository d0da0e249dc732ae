"""A real dependency in a process of its own, and clients that call it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry
from breaker_asgi.testing import FakeClock
from tests.clients.callers import CALLERS, Caller, MakeCaller
from tests.clients.server import started


@pytest.fixture(scope="session")
def dependency() -> Iterator[str]:
    """The address of a server that misbehaves as it is asked to."""
    with started("tests.clients.dependency") as address:
        yield f"http://{address}"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


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
    """Makes a caller of the kind that the test is run for."""
    made = []

    def make(**settings: Any) -> Caller:
        given: dict[str, Any] = {"registry": registry, "config": config}
        caller = CALLERS[kind](**given | settings)
        made.append(caller)
        return caller

    yield make
    for each in made:
        await each.close()


@pytest.fixture
async def caller(make: MakeCaller) -> Caller:
    return make()
