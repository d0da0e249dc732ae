"""The hint about an open time that is longer than the outages were."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker
from breaker_asgi.monitor import event_log, hints
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.testing import FakeClock


_MOMENT = 0.001
"""Seconds by which a probe comes after the open time: more than a float may be wrong."""


class Wall(FakeClock):
    """A clock for the time of day and for breakers."""

    def moment(self, _zone: Any = None) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall(1_000_000)
    moments = type("Moments", (datetime,), {"now": staticmethod(wall.moment)})
    monkeypatch.setattr(event_log, "datetime", moments)
    monkeypatch.setattr(hints, "datetime", moments)
    return wall


class Bank:
    """A breaker, and what happens to it."""

    def __init__(self, registry: BreakerRegistry, wall: Wall, **settings: Any) -> None:
        settings = {"fail_max": 1, "timeout_duration": 60, **settings}
        self.registry, self.wall = registry, wall
        self.breaker: CircuitBreaker = registry.get("bank", clock=wall, **settings)
        self.event_log = EventLog.of(registry)
        self.calls = 20

    def outage(self, *, failed_probes: int = 0, after: float = 600, late: float = 0) -> None:
        """Let some time pass, then an outage, and the calls that it rejects."""
        self.wall.advance(after)
        self.breaker.acquire().failure()
        self.event_log.rejections(self.breaker, self.calls)
        for _ in range(failed_probes):
            self.wait_until_a_probe(late)
            self.breaker.acquire().failure()
        self.wait_until_a_probe(late)
        self.breaker.acquire().success()

    def wait_until_a_probe(self, late: float = 0) -> None:
        self.wall.advance((self.breaker.snapshot().retry_after or 0) + _MOMENT + late)

    def hint(self) -> dict[str, str] | None:
        found = hints.hints(self.breaker, self.event_log, History.of(self.registry))
        return next((hint for hint in found if hint["setting"] == "timeout_duration"), None)


@pytest.fixture
def bank_with(registry: BreakerRegistry, wall: Wall) -> Callable[..., Bank]:
    return lambda **settings: Bank(registry, wall, **settings)


@pytest.fixture
def bank(bank_with: Callable[..., Bank]) -> Bank:
    return bank_with()


def test_five_outages_that_were_over_by_the_first_probe_are_hinted_at(bank: Bank) -> None:
    for _ in range(5):
        assert bank.hint() is None
        bank.outage()
    assert bank.hint() is None, "the last one may go on"
    bank.wall.advance(60)
    assert bank.hint() == {
        "setting": "timeout_duration",
        "hint": "The last 5 times it was open for 60 s, and the first probe closed it: each outage "
        "was over by then, and perhaps long before. Meanwhile this worker rejected 100 calls.",
        "remedy": "Set timeout_duration=20, backoff=2 and max_timeout_duration=60: one probe more "
        "after 20 s, and the next one no later than now.",
    }


def probes_of(breaker: CircuitBreaker, wall: Wall, times: int) -> list[float]:
    """Return the seconds after the first opening at which probes come that all fail."""
    breaker.acquire().failure()
    began, probes = wall.now, []
    for _ in range(times):
        wall.advance((breaker.snapshot().retry_after or 0) + _MOMENT)
        probes.append(round(wall.now - began))
        breaker.acquire().failure()
    return probes


@pytest.mark.parametrize(
    ("now", "remedy"),
    [
        ({}, {"timeout_duration": 20, "backoff": 2, "max_timeout_duration": 60}),
        ({"backoff": 3}, {"timeout_duration": 15, "backoff": 3}),
    ],
)
def test_the_remedy_adds_a_probe_and_delays_no_other(
    now: dict[str, Any], remedy: dict[str, Any], wall: Wall
) -> None:
    before, after = (
        probes_of(CircuitBreaker(fail_max=1, clock=wall, **settings), wall, 5)
        for settings in ({"timeout_duration": 60, **now}, remedy)
    )
    assert after[1] == before[0]
    assert all(sooner <= later for sooner, later in zip(after[1:], before, strict=False))


def test_with_a_backoff_the_remedy_is_a_shorter_first_time(
    bank_with: Callable[..., Bank],
) -> None:
    bank = bank_with(backoff=3)
    for _ in range(5):
        bank.outage()
    bank.wall.advance(600)
    hint = bank.hint()
    assert hint is not None
    assert hint["remedy"].startswith("Set timeout_duration=15: one probe more after 15 s,")


def test_a_breaker_that_has_needed_a_second_probe_needs_its_time(bank: Bank) -> None:
    for failed_probes in (0, 0, 1, 0, 0):
        bank.outage(failed_probes=failed_probes)
    bank.wall.advance(600)
    assert bank.hint() is None


def test_a_breaker_that_opens_soon_after_it_closed_needs_its_time(bank: Bank) -> None:
    for after in (600, 600, 600, 30, 600):
        bank.outage(after=after)
    bank.wall.advance(600)
    assert bank.hint() is None


def test_an_outage_that_lasts_is_not_hinted_at(bank: Bank) -> None:
    for _ in range(5):
        bank.outage()
    bank.wall.advance(600)
    bank.breaker.acquire().failure()
    assert bank.hint() is None


def test_a_breaker_that_is_seldom_called_probes_late_anyway(bank: Bank) -> None:
    for _ in range(5):
        bank.outage(late=30)
    bank.wall.advance(600)
    assert bank.hint() is None


def test_an_open_time_that_costs_few_calls_is_not_hinted_at(bank: Bank) -> None:
    bank.calls = 1
    for _ in range(5):
        bank.outage()
    bank.wall.advance(600)
    assert bank.hint() is None


def test_a_short_open_time_is_not_hinted_at(bank_with: Callable[..., Bank]) -> None:
    bank = bank_with(timeout_duration=9)
    for _ in range(5):
        bank.outage()
    bank.wall.advance(600)
    assert bank.hint() is None


@pytest.mark.parametrize("end", ["close", "half_open", "open"])
def test_outages_that_an_operator_had_a_part_in_prove_nothing(bank: Bank, end: str) -> None:
    for number in range(5):
        bank.outage()
        if number == 2:
            getattr(bank.breaker, end)()
            bank.breaker.reset()
    bank.wall.advance(600)
    assert bank.hint() is None


def test_a_breaker_that_opens_and_closes_by_turns_is_hinted_at_for_that(
    bank_with: Callable[..., Bank],
) -> None:
    bank = bank_with(timeout_duration=10)
    for _ in range(5):
        bank.outage(after=20)
    bank.wall.advance(20)
    assert bank.hint() is None


def test_outages_are_timed_with_a_jitter(bank_with: Callable[..., Bank]) -> None:
    bank = bank_with(jitter=0.5)
    for _ in range(5):
        bank.outage()
    bank.wall.advance(600)
    assert bank.hint() is not None
