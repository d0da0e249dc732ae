"""The hint that a breaker stays open for longer than the outages of its dependency last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerError, CircuitBreakerState
from breaker_asgi._core import outage, outages
from breaker_asgi._core.generation import Transition
from breaker_asgi.monitor import event_log, hints
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.testing import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A clock of breakers, of their outages and of the log."""
    clock = FakeClock(1_800_000_000.0)

    def now(zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(clock.now, zone)

    for module in (event_log, hints):
        monkeypatch.setattr(module, "datetime", SimpleNamespace(now=now))
    for module in (outage, outages):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: clock.now))
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


@dataclass(frozen=True, kw_only=True)
class Outage:
    """An outage of a dependency, and the time before it."""

    failed_probes: int = 0
    after: float = 400
    late: float = 0.001
    """Seconds from the end of the open time to the next call."""
    rejected: int = 400


def live_through(
    registry: BreakerRegistry, breaker: CircuitBreaker, clock: FakeClock, *kinds: Outage
) -> None:
    """Let a dependency be down, and back at a probe; then wait for the next outage."""
    for kind in kinds:
        clock.advance(kind.after)
        settle(breaker, failed=True)
        breaker.rejected += kind.rejected
        for _ in range(kind.failed_probes):
            clock.advance(breaker.config.timeout + kind.late)
            settle(breaker, failed=True)
        clock.advance(breaker.config.timeout + kind.late)
        settle(breaker)
    clock.advance(60)


def settings_of_hints(breaker: CircuitBreaker, registry: BreakerRegistry) -> list[str]:
    every = hints.hints(breaker, EventLog.of(registry), History.of(registry))
    return [hint["setting"] for hint in every]


def hint_of(breaker: CircuitBreaker, registry: BreakerRegistry) -> str | None:
    every = hints.hints(breaker, EventLog.of(registry), History.of(registry))
    texts = [hint["hint"] for hint in every if hint["setting"] == "timeout_duration"]
    return texts[0] if texts else None


def test_three_outages_that_the_first_probe_has_ended_were_over_before(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    live_through(registry, bank, clock, Outage(), Outage())
    assert hint_of(bank, registry) is None
    live_through(registry, bank, clock, Outage())
    assert hint_of(bank, registry) == (
        "The first probe, after 60 s, has ended each of the last 3 outages: they were over before. "
        "1,200 calls were rejected in them."
    )


@pytest.mark.parametrize(
    ("odd", "because"),
    [
        (Outage(failed_probes=1), "a probe has met it"),
        (Outage(after=50), "the one before it was not over"),
        (Outage(late=30), "its probe came when a call did"),
        (Outage(rejected=-795), "in all they have cost fewer than ten calls"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_outage_that_shows_no_loss_is_not_hinted_at(
    odd: Outage, because: str, bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    live_through(registry, bank, clock, Outage(), odd, Outage())
    assert hint_of(bank, registry) is None, because


def test_a_breaker_that_has_just_closed_may_open_again(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    live_through(registry, bank, clock, Outage(), Outage(), Outage())
    clock.advance(-1)
    assert hint_of(bank, registry) is None


def test_an_outage_that_lasts_may_need_the_open_time(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    live_through(registry, bank, clock, Outage(), Outage(), Outage())
    settle(bank, failed=True)
    assert hint_of(bank, registry) is None


def test_a_breaker_that_opens_and_closes_by_turns_is_hinted_at_for_that(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    live_through(registry, bank, clock, *(Outage(after=70) for _ in range(3)))
    assert hint_of(bank, registry) is None
    assert "half_open_calls" in settings_of_hints(bank, registry)


def test_a_short_open_time_loses_few_calls(registry: BreakerRegistry, clock: FakeClock) -> None:
    EventLog.of(registry)
    quick = registry.get("quick", fail_max=1, timeout_duration=4, clock=clock)
    live_through(registry, quick, clock, Outage(), Outage(), Outage())
    assert hint_of(quick, registry) is None


@pytest.fixture
def gentle(registry: BreakerRegistry, clock: FakeClock) -> CircuitBreaker:
    EventLog.of(registry)
    return registry.get("gentle", fail_max=1, timeout_duration=60, ramp=300, clock=clock)


def test_a_ramp_ends_an_outage_as_well(
    gentle: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    for _ in range(3):
        live_through(registry, gentle, clock, Outage())
        clock.advance(300)
        settle(gentle)
    assert hint_of(gentle, registry) is not None


def test_a_relapse_within_the_ramp_shows_that_the_outage_was_not_over(
    gentle: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    for _ in range(3):
        live_through(registry, gentle, clock, Outage())
        clock.advance(90)
        with pytest.raises(CircuitBreakerError):
            gentle.acquire()  # every other call is admitted by now
        live_through(registry, gentle, clock, Outage(after=0))
        clock.advance(300)
        settle(gentle)
    assert hint_of(gentle, registry) is None


def test_openings_by_hand_are_not_outages(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    for _ in range(4):
        clock.advance(400)
        bank.open()
        bank.rejected += 400
        clock.advance(61)
        settle(bank)
    clock.advance(60)
    assert hint_of(bank, registry) is None


def test_an_outage_that_an_operator_has_ended_says_nothing(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    live_through(registry, bank, clock, Outage(), Outage())
    clock.advance(400)
    settle(bank, failed=True)
    clock.advance(30)
    bank.close()
    clock.advance(60)
    assert hint_of(bank, registry) is None


def test_a_worker_that_has_missed_the_probe_knows_the_outage_by_its_end(
    bank: CircuitBreaker, registry: BreakerRegistry, clock: FakeClock
) -> None:
    def follow(state: CircuitBreakerState, reason: str) -> None:
        bank._follow(Transition(state, reason), bank._generation)

    for _ in range(3):
        clock.advance(400)
        follow(CircuitBreakerState.OPEN, "5 failures in a row")
        bank.rejected += 400
        clock.advance(60)
        follow(CircuitBreakerState.CLOSED, "the probes succeeded")
    clock.advance(60)
    assert hint_of(bank, registry) is not None
