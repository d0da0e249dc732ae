"""A closing breaker in the monitor: the share of the calls that it admits."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from breaker_asgi.monitor.html.wording import verdict
from breaker_asgi.monitor.settings import settings
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML
from tests.monitor.readers import Reader, look, settle, streaming


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def payments(registry: BreakerRegistry, clock: FakeClock) -> CircuitBreaker:
    """A breaker that has begun to close 40 seconds ago, with a ramp of 100."""
    payments = registry.get("payments", ramp=100, clock=clock)
    payments.half_open()
    payments.acquire().success()
    clock.advance(40)
    return payments


async def test_the_admitted_share_is_listed(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    registry.get("bank")
    listing = (await visit(monitor)).json
    shares = [(breaker["state"], breaker["admitted_share"]) for breaker in listing["breakers"]]
    assert shares == [("closed", None), ("closing", pytest.approx(0.4))]
    assert listing["summary"]["closing"] == 1


async def test_a_closing_breaker_is_found_by_its_state(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    registry.get("bank")
    (breaker,) = (await visit(monitor, "/?state=closing")).json["breakers"]
    assert breaker["name"] == "payments"


async def test_the_stream_reports_the_share_while_nothing_calls(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    clock: FakeClock,
) -> None:
    reader = Reader()
    shares = []
    async with streaming(monitor, reader):
        for _ in range(2):
            clock.advance(10)
            look(registry)
            await settle()
            shares.append(reader.rows["payments"]["admitted_share"])
    assert shares == [0.5, 0.6]


async def test_the_page_names_the_share(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    page = (await visit(monitor, "/payments", "GET", [HTML])).text
    assert page.count('data-f="words">Closing<') == 2, "in its row, and in the details"
    assert page.count('data-f="next">40% admitted<') == 2
    assert "half-open → closing" in page


async def test_a_closing_breaker_keeps_the_place_of_its_outage(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    for name, action in (("a", "disable"), ("b", "half_open"), ("c", "metrics_only")):
        getattr(registry.get(name), action)()
    page = (await visit(monitor, "/", "GET", [HTML])).text
    rows = [part.partition('"')[0] for part in page.split('class="row" data-name="')[1:]]
    assert [name for name in rows if name] == ["payments", "b", "a", "c"]


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"closing": 1, "closed": 3}, "1 closing"),
        ({"closing": 2, "disabled": 1}, "2 closing, 1 disabled"),
        ({"open": 1, "closing": 2}, "1 open"),
    ],
)
def test_the_verdict_names_closing_breakers_where_none_is_worse(
    states: dict[str, int], words: str
) -> None:
    none = dict.fromkeys(
        ("closed", "open", "half_open", "closing", "forced_open", "disabled", "metrics_only"), 0
    )
    assert verdict({**none, **states, "total": sum(states.values())}) == words


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        ({}, (2.0, 0.1, None, None)),
        ({"timeout_duration": 5}, (1.0, 0.0, None, None)),
        ({"ramp": 30}, (2.0, 0.1, 30.0, 1.0)),
        ({"backoff": 3, "jitter": 0.2, "ramp": 9, "ramp_aggression": 2}, (3.0, 0.2, 9.0, 2.0)),
    ],
)
def test_settings_are_listed_as_numbers_in_force(
    config: dict[str, Any], numbers: tuple[float | None, ...]
) -> None:
    listed = settings(BreakerConfig(**config))
    names = ("backoff", "jitter", "ramp", "ramp_aggression")
    assert tuple(listed[name] for name in names) == numbers
