"""The hint that a breaker stays open for longer than the outages of its dependency last."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker
from breaker_asgi.monitor import event_log
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.hints import hints
from breaker_asgi.monitor.history import History
from breaker_asgi.testing import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A clock of breakers and of the event log."""
    clock = FakeClock(1_800_000_000.0)

    def now(zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(clock.now, zone)

    monkeypatch.setattr(event_log, "datetime", SimpleNamespace(now=now))
    assert now(UTC).year == 2027
    return clock


@pytest.fixture
def bank(registry: BreakerRegistry, clock: FakeClock) -> CircuitBreaker:
    EventLog.of(registry)
    return registry.get("bank", fail_max=1, timeout_duration=60, clock=clock)


def settle(breaker: CircuitBreaker, *, failed: bool = False) -> None:
    permit = breaker.acquire()
    if failed:
        permit.failure()
    else:
        permit.success()


def outages(breaker: CircuitBreaker, clock: FakeClock, number: int, failed_probes: int = 0) -> None:
    """Let a dependency be down, and back at a probe."""
    for _ in range(number):
        settle(breaker, failed=True)
        for _ in range(failed_probes):
            clock.advance(breaker.config.timeout + 0.001)
            settle(breaker, failed=True)
        clock.advance(breaker.config.timeout + 0.001)
        settle(breaker)
        clock.advance(100)


def hint_of(breaker: CircuitBreaker, registry: BreakerRegistry) -> str | None:
    every = hints(breaker, EventLog.of(registry), History.of(registry))
    texts = [hint["hint"] for hint in every if hint["setting"] == "timeout_duration"]
    return texts[0] if texts else None


def test_three_outages_that_the_first_probe_has_ended_were_over_before(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    outages(bank, clock, 2)
    assert hint_of(bank, registry) is None
    settle(bank, failed=True)
    EventLog.of(registry).rejections(bank, 1_200)
    clock.advance(60.001)
    settle(bank)
    assert hint_of(bank, registry) == (
        "The first probe, after 60 s, has ended each of the last 3 outages: they were over before. "
        "1,200 calls were rejected in them."
    )


def test_an_outage_that_a_probe_has_met_needed_the_open_time(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    outages(bank, clock, 3)
    outages(bank, clock, 1, failed_probes=1)
    assert hint_of(bank, registry) is None


def test_a_short_open_time_loses_few_calls(
    registry: BreakerRegistry, clock: FakeClock, bank: CircuitBreaker
) -> None:
    quick = registry.get("quick", fail_max=1, timeout_duration=1, clock=clock)
    outages(quick, clock, 5)
    assert hint_of(quick, registry) is None


def test_a_ramp_ends_an_outage_as_well(registry: BreakerRegistry, clock: FakeClock) -> None:
    EventLog.of(registry)
    gentle = registry.get("gentle", fail_max=1, timeout_duration=60, ramp=5, clock=clock)
    outages(gentle, clock, 2)
    settle(gentle)  # the ramp of the second is over
    outages(gentle, clock, 1)
    assert hint_of(gentle, registry) is not None


def test_openings_by_hand_are_not_outages(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    for _ in range(4):
        bank.open()
        clock.advance(61)
        settle(bank)
    assert hint_of(bank, registry) is None


def test_an_outage_that_an_operator_has_ended_says_nothing(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    outages(bank, clock, 2)
    settle(bank, failed=True)
    clock.advance(30)
    bank.close()
    assert hint_of(bank, registry) is None
