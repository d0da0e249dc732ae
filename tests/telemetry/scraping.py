"""Scrapes, and breakers with hostile names."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from breaker_asgi import BreakerRegistry
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.telemetry.prometheus import BreakerCollector
from breaker_asgi.testing import FakeClock

HOSTILE = [
    "",
    " ",
    "a\nb\r\n",
    'say "no"',
    "back\\slash\\",
    "{}",
    'x",state="open"} 1\ncircuitbreaker_state{name="y',
    "# HELP circuitbreaker_state nonsense",
    "\x00\x1b\x7f",
    "\u2028 \x85 \u202e",
    "\ud800",
    "caf\u00e9 \U0001f35c",
    "x" * 10_000,
    "\u00e9" * 10_000,
]


def scrape(*collectors: BreakerCollector) -> str:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry).decode()


@pytest.fixture
def hostile(registry: BreakerRegistry) -> BreakerCollector:
    """Breakers with hostile names, each with a series of every metric."""
    clock = FakeClock()
    settings: dict[str, Any] = {
        "slow_call_rate": 1,
        "slow_call_duration": 9,
        "minimum_calls": 1,
        "clock": clock,
    }
    breakers = [registry.get(name, fail_max=9, failure_rate=1, **settings) for name in HOSTILE]
    collector = BreakerCollector(registry, labels={"shop": HOSTILE[6] + "\ud800"})
    collector.tick()
    for breaker in breakers:
        breaker.half_open()
        breaker.acquire().success()
        breaker.acquire().success()
        breaker.open()
    collector.tick()
    registry.fleet = Fleet(MemoryStore())
    return collector
