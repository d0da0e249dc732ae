"""The coordinator: what a breaker that belongs to a fleet asks it, and what it reports to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerError
from breaker_asgi._core.generation import Transition
from breaker_asgi._core.probes import Probes
from breaker_asgi._core.state import CLOSED, FORCED_OPEN, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from breaker_asgi import BreakerConfig
    from breaker_asgi._core.generation import Generation
    from breaker_asgi.testing import FakeClock


class FakeFleet:
    """A fleet of one worker that records what the breaker reports."""

    alone = False

    def __init__(self) -> None:
        self.ended: list[int] = []
        self.changes: list[tuple[str, str]] = []
        self.late_results: list[tuple[int, int, int]] = []
        self.given: list[Probes] = []
        self.number: int | None = None
        """Changes of the fleet that this process has not made."""
        self.missing_probes = 0
        """Number of calls that have to wait for a probe."""

    def probes(self, config: BreakerConfig) -> Probes:
        self.given.append(Probes(config))
        return self.given[-1]

    def ends(self, generation: Generation) -> None:
        self.ended.append(generation.number)

    def changed_state(self, before: Generation, after: Generation) -> None:
        self.changes.append((before.state.value, after.state.value))

    def number_of(self, generation: Generation) -> int | None:
        return None if self.number is None else generation.number + self.number

    def count_late_result(self, calls: int, failures: int, slow_calls: int) -> None:
        self.late_results.append((calls, failures, slow_calls))

    def lacks_a_probe(self) -> bool:
        return self.missing_probes > 0

    def wait(self) -> None:
        self.missing_probes -= 1

    async def ready(self) -> None:
        self.missing_probes -= 1


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def bank(fleet: FakeFleet, clock: FakeClock) -> CircuitBreaker:
    bank = CircuitBreaker(
        name="bank",
        fail_max=3,
        timeout_duration=60,
        slow_call_rate=1,
        slow_call_duration=1,
        minimum_calls=9,
        clock=clock,
    )
    bank._fleet = fleet
    return bank


@pytest.mark.parametrize(("seconds", "slow_calls"), [(1, 0), (2, 1)])
@pytest.mark.parametrize(("settle", "failures"), [("success", 0), ("failure", 1)])
def test_a_result_of_an_earlier_generation_is_reported_to_the_fleet(
    settle: str,
    failures: int,
    seconds: float,
    slow_calls: int,
    bank: CircuitBreaker,
    fleet: FakeFleet,
    clock: FakeClock,
) -> None:
    permits = bank.acquire(), bank.acquire()
    clock.advance(seconds)
    getattr(permits[0], settle)()
    assert fleet.late_results == []
    bank.reset()
    getattr(permits[1], settle)()
    assert fleet.late_results == [(1 - slow_calls, failures, 0)]


def test_changes_are_reported_to_the_fleet_and_not_logged_here(
    bank: CircuitBreaker, fleet: FakeFleet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "breaker_asgi")
    bank.open()
    bank.close()
    assert fleet.ended == [0, 1]
    assert fleet.changes == [("closed", "open"), ("open", "closed")]
    assert caplog.records == []


def test_the_probes_are_those_of_the_fleet(bank: CircuitBreaker, fleet: FakeFleet) -> None:
    bank.half_open()
    permit = bank.acquire()
    [probes] = fleet.given
    assert probes.holds(permit)


def test_a_call_waits_for_a_probe_of_the_fleet(bank: CircuitBreaker, fleet: FakeFleet) -> None:
    bank.half_open()
    fleet.missing_probes = 1
    bank.acquire()
    assert fleet.missing_probes == 0


def test_a_call_that_needs_no_probe_does_not_wait_for_one(
    bank: CircuitBreaker, fleet: FakeFleet
) -> None:
    fleet.missing_probes = 1
    bank.acquire()
    assert fleet.missing_probes == 1


# Changes of other workers


def test_a_change_of_another_worker_began_when_it_was_made_there(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(100)
    change = Transition(OPEN, "down", lasts=30, age=10, openings=4, remote=True)
    assert bank._follow(change, bank._generation) is bank._generation
    assert bank._generation.transition.openings == 4
    snapshot = bank.snapshot()
    age = datetime.now(UTC) - snapshot.changed_at
    assert (round(age.total_seconds()), snapshot.retry_after) == (10, 20)
    with pytest.raises(CircuitBreakerError) as rejected:
        bank.acquire()
    assert (rejected.value.reason, rejected.value.retry_after) == ("down", 20)


def test_the_openings_of_other_workers_are_counted_on(clock: FakeClock) -> None:
    bank = CircuitBreaker(fail_max=1, timeout_duration=5, backoff=2, clock=clock)
    bank._follow(Transition(OPEN, "down", lasts=5, openings=3, remote=True), bank._generation)
    bank._follow(Transition(HALF_OPEN, "probing", remote=True), bank._generation)
    bank.acquire().failure()
    assert bank.snapshot().retry_after == 40
    bank._follow(Transition(HALF_OPEN, "probing", openings=1, remote=True), bank._generation)
    bank.acquire().failure()
    assert bank.snapshot().retry_after == 10


def test_a_change_by_hand_made_here_meanwhile_outlasts_one_of_another_worker(
    bank: CircuitBreaker,
) -> None:
    expected = bank._generation
    bank.force_open()
    assert bank._follow(Transition(CLOSED, "the probes succeeded", remote=True), expected) is None
    assert bank.state is FORCED_OPEN


def test_a_change_by_itself_made_here_meanwhile_gives_way_to_one_of_another_worker(
    bank: CircuitBreaker,
) -> None:
    expected = bank._generation
    for _ in range(3):
        bank.acquire().failure()
    assert bank.state is OPEN
    bank._follow(Transition(CLOSED, "the probes succeeded", remote=True), expected)
    assert bank.state is CLOSED


def test_a_change_that_the_fleet_has_found_due_names_the_last_failure_of_this_generation(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    change = Transition(OPEN, "down", by_failures=True)
    assert bank._explained(change) == change
    bank.acquire().failure(ConnectionError())
    assert bank._explained(change).reason == "down: ConnectionError"
    assert bank._explained(Transition(OPEN, "slow")).reason == "slow"
    clock.advance(1)
    bank.reset()
    assert bank._explained(change) == change
    bank.acquire().failure()
    assert bank._explained(change) == change
    bank.acquire().failure(because="status 503")
    assert bank._explained(change).reason == "down: status 503"


def test_a_change_of_another_worker_is_notified(bank: CircuitBreaker) -> None:
    changes: list[tuple[str, str]] = []

    class Changes:
        def state_change(self, _breaker: CircuitBreaker, old: str, new: str) -> None:
            changes.append((old, new))

    bank.add_listener(Changes())
    bank._follow(Transition(OPEN, "down", lasts=30, remote=True), bank._generation)
    assert changes == [("closed", "open")]


def test_a_snapshot_has_the_fleets_number_of_a_generation(
    bank: CircuitBreaker, fleet: FakeFleet
) -> None:
    bank.open()
    assert bank.snapshot().generation == 1
    fleet.number = 40
    assert bank.snapshot().generation == 41
