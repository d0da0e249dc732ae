"""A real dependency in a process of its own, and clients that call it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.clients.callers import Caller, MakeCaller
from tests.clients.conftest import both, config, kind, make
from tests.integration.clients.server import started

__all__ = ["both", "caller", "config", "dependency", "kind", "make", "nobody"]


@pytest.fixture(scope="session")
def dependency() -> Iterator[str]:
    """The address of a server that misbehaves on request."""
    with started("tests.integration.clients.dependency") as address:
        yield f"http://{address}"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
async def caller(make: MakeCaller) -> Caller:
    return make()
