from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from tests.monitor.readers import Reader

HTML = ("accept", "text/html")


async def allow(_request: Any) -> bool:
    return True


async def deny(_request: Any) -> bool:
    return False


async def as_ann(_request: Any) -> str:
    return "ann"


@pytest.fixture
def monitor(registry: BreakerRegistry) -> CircuitBreakerMonitor:
    """A monitor open to readers, without details or controls."""
    return CircuitBreakerMonitor(registry=registry)


@pytest.fixture
def full(registry: BreakerRegistry) -> CircuitBreakerMonitor:
    """A monitor that allows details and controls."""
    return CircuitBreakerMonitor(registry=registry, authorize=allow, authorize_control=as_ann)


@pytest.fixture
def payments(registry: BreakerRegistry) -> CircuitBreaker:
    return registry.get("payments")


@pytest.fixture
async def reader() -> Reader:
    """A client of the stream."""
    return Reader()


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broadcast only when a test calls `look`."""
    monkeypatch.setattr("breaker_asgi.monitor.broadcaster._LOOK_EVERY", 3_600.0)
