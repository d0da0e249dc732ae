"""Calls under way in the monitor: how many there are, and how many run for too long."""

from __future__ import annotations

import re
from typing import Any

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from breaker_asgi._fleet.roster import PAUSE
from breaker_asgi.monitor.history import History, as_rows
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML
from tests.monitor.test_fleet import Host
from tests.monitor.test_stream import Reader, look, settle, streaming

START = 1_000_000.0
MEASURED: dict[str, Any] = {"slow_call_rate": 1, "slow_call_duration": 1, "minimum_calls": 100}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def payments(registry: BreakerRegistry, clock: FakeClock) -> CircuitBreaker:
    """A breaker by whose settings a call of more than a second is slow."""
    return registry.get("payments", **MEASURED, clock=clock)


def under_way(breaker: dict[str, Any]) -> tuple[int | None, int | None]:
    return breaker["calls_under_way"], breaker["slow_calls_under_way"]


async def listed(monitor: CircuitBreakerMonitor) -> Any:
    (breaker,) = (await visit(monitor)).json["breakers"]
    return breaker


async def test_calls_under_way_are_listed(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, clock: FakeClock
) -> None:
    hanging = payments.acquire()
    clock.advance(2)
    quick = payments.acquire()
    assert under_way(await listed(monitor)) == (2, 1)
    hanging.failure()
    assert under_way(await listed(monitor)) == (1, 0)
    quick.success()
    assert under_way(await listed(monitor)) == (0, 0)


async def test_where_no_call_can_be_slow_the_calls_under_way_are_unknown(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    with registry.get("payments"):
        assert under_way(await listed(monitor)) == (None, None)


async def test_a_call_that_becomes_slow_changes_the_etag(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, clock: FakeClock
) -> None:
    with payments:
        first = await visit(monitor)
        clock.advance(2)
        again = await visit(monitor, "/", "GET", [("if-none-match", first.headers["etag"])])
    assert again.status == 200


def test_a_call_that_was_slow_while_it_ran_is_slow_in_the_second_in_which_it_ends(
    registry: BreakerRegistry, payments: CircuitBreaker, clock: FakeClock
) -> None:
    history = History(registry, clock)
    history.tick()
    hanging = [payments.acquire() for _ in range(3)]
    clock.advance(2)
    payments.acquire().success()  # an admission counts the overdue calls
    assert payments.slow_calls == 3
    clock.advance(1)
    history.tick()
    for permit in hanging:
        permit.success()
    clock.advance(1)
    history.tick()
    assert as_rows(history.seconds(payments)) == [[START + 2, 1, 0, 0, 0], [START + 3, 0, 0, 3, 0]]


async def test_the_stream_reports_calls_that_hang_while_nothing_else_happens(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    clock: FakeClock,
) -> None:
    reader = Reader()
    async with streaming(monitor, reader):
        _permit = payments.acquire()
        look(registry)
        for _ in range(100):
            look(registry)
        clock.advance(2)
        look(registry)
        look(registry)
        await settle()
    figures = [content["breakers"][0] for kind, content in reader.events if kind == "breakers"]
    assert [under_way(breaker) for breaker in figures] == [(1, 0), (1, 1)]


async def test_each_worker_has_its_calls_under_way() -> None:
    host = Host()
    for worker in (host.a, host.b):
        worker.registry.get("bank", **MEASURED, clock=host.clock)
    await host.a.workers()
    permits = [host.b.registry["bank"].acquire() for _ in range(2)]
    host.turn(PAUSE, times=2)
    own, other = await host.a.workers("bank")
    assert (under_way(own), under_way(other)) == ((0, 0), (len(permits), len(permits)))
    own, other = await host.a.workers("payments")
    assert (under_way(own), under_way(other)) == ((None, None), (None, None))


def marks(page: str) -> list[str]:
    return re.findall(r'data-f="hanging">([^<]+)<', page)


async def test_the_page_marks_calls_that_hang(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, clock: FakeClock
) -> None:
    permits = [payments.acquire() for _ in range(3)]
    clock.advance(2)
    permits.append(payments.acquire())
    page = (await visit(monitor, "/payments", "GET", [HTML])).text
    assert marks(page) == ["3 hang", "3 hang"], "in its row, and in the details"
    assert 'data-f="under_way">4, 3 of them slow<' in page


async def test_the_page_marks_no_call_that_is_in_time(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    with payments:
        page = (await visit(monitor, "/payments", "GET", [HTML])).text
    assert marks(page) == []
    assert 'data-f="under_way">1<' in page
