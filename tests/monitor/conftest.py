from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.testing import FakeClock

HTML = ("accept", "text/html")


def allow(_request: Any) -> bool:
    return True


def deny(_request: Any) -> bool:
    return False


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


@pytest.fixture
def config(clock: FakeClock) -> BreakerConfig:
    """Two failures in a row open for ten seconds."""
    return BreakerConfig(fail_max=2, timeout_duration=10, clock=clock)


@pytest.fixture
def monitor(registry: BreakerRegistry) -> CircuitBreakerMonitor:
    """Open to readers, without details or controls."""
    return CircuitBreakerMonitor(registry=registry)


@pytest.fixture
def full(registry: BreakerRegistry) -> CircuitBreakerMonitor:
    """A reader may see and do everything."""
    return CircuitBreakerMonitor(
        registry=registry, authorize=allow, authorize_control=lambda _request: "ann"
    )
