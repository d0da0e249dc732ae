"""Calls that count as slow while they run, in a fleet: they are reported at once, and once."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import CircuitBreakerError, CountWindow, Permit, TimeWindow
from breaker_asgi.stores.protocol import Counts
from tests.stores.place import OPEN_TIME, Place, Worker

SLOW: Any = {
    "slow_call_rate": 0.5,
    "slow_call_duration": 1,
    "minimum_calls": 10,
    "window": TimeWindow(60),
}


def hang(place: Place, *workers: Worker, calls: int = 1) -> list[Permit]:
    """Return calls that have just become slow, as the next call of each worker notices."""
    permits = [worker.breaker.acquire() for worker in workers for _ in range(calls)]
    place.clock.advance(1.2)
    for worker in workers:
        worker.succeeds()
    return permits


def reopened(place: Place, worker: Worker) -> None:
    """Open for all, and close again."""
    worker.breaker.open()
    place.later()
    worker.breaker.close()
    place.later()


class TestSlowCalls:
    @pytest.mark.parametrize("window", [TimeWindow(60), CountWindow(20)])
    def test_calls_that_hang_in_several_workers_open_for_all(
        self, place: Place, window: object
    ) -> None:
        workers = [place.worker(**{**SLOW, "window": window}) for _ in range(4)]
        held = hang(place, *workers, calls=2)
        place.later()
        assert {worker.state for worker in workers} == {"open"}
        assert place.record().reason == "slow-call rate 67% of 12 calls, limit 50%"
        assert not any(permit.settled for permit in held)

    def test_below_the_quorum_only_the_worker_with_calls_that_hang_opens(
        self, place: Place
    ) -> None:
        sick, well = place.two(2, **SLOW)
        held = hang(place, sick, calls=9)
        well.succeeds(20)
        place.later()
        assert (sick.state, well.state, len(held)) == ("open", "closed", 9)

    @pytest.mark.parametrize(
        ("end", "counts"),
        [("success", (3, 0, 2)), ("failure", (3, 2, 2)), ("ignore", (3, 0, 2))],
    )
    def test_end_of_a_slow_call_adds_no_second_call(
        self, place: Place, end: str, counts: tuple[int, int, int]
    ) -> None:
        one = place.worker(**SLOW)
        held = hang(place, one, calls=2)
        place.later()
        assert place.record().counts == Counts(3, 0, 2)
        for permit in held:
            getattr(permit, end)()
        place.later()
        assert place.record().counts == Counts(*counts)

    def test_call_that_ends_before_the_report_counts_once(self, place: Place) -> None:
        one = place.worker(**SLOW)
        for permit in hang(place, one, calls=2):
            permit.failure()
        place.later()
        assert place.record().counts == Counts(3, 2, 2)

    def test_call_that_hangs_leaves_the_failures_in_a_row_as_they_are(self, place: Place) -> None:
        one, other = place.two(**SLOW, fail_max=3)
        held = other.breaker.acquire()
        one.fails(2)
        place.later(1.2)
        second = other.breaker.acquire()
        place.later()
        assert (place.record().streak, place.record().counts) == (2, Counts(3, 2, 1))
        second.failure()
        place.later()
        assert (one.state, held.settled) == ("open", False)

    def test_success_of_a_slow_call_ends_the_failures_in_a_row(self, place: Place) -> None:
        one, other = place.two(**SLOW, fail_max=3)
        held = hang(place, other)
        place.later()
        one.fails(2)
        place.later()
        held[0].success()
        place.later()
        assert place.record().streak == 0
        other.fails()
        place.later()
        assert (one.state, place.record().counts) == ("closed", Counts(5, 3, 1))

    def test_failure_of_a_slow_call_adds_to_the_failures_in_a_row(self, place: Place) -> None:
        one, other = place.two(**SLOW, fail_max=3)
        held = hang(place, other)
        place.later()
        one.fails(2)
        place.later()
        held[0].failure()
        place.later()
        assert one.state == other.state == "open"


class TestAfterAChange:
    def test_result_that_comes_with_the_change_is_of_no_state(self, place: Place) -> None:
        one, _ = place.two(2, **{**SLOW, "minimum_calls": 2})
        one.succeeds()
        hangs = one.breaker.acquire()
        place.clock.advance(0.5)
        fails = one.breaker.acquire()
        place.clock.advance(0.7)
        fails.failure()
        place.later()
        assert (one.state, hangs.settled) == ("open", False)
        assert place.record().counts == Counts(2, 0, 1)

    def test_slow_call_that_fails_after_a_change_does_not_count_again(self, place: Place) -> None:
        one = place.worker(**SLOW)
        held = hang(place, one, calls=2)
        place.later()
        reopened(place, one)
        held[0].failure()
        held[1].success()
        place.later()
        assert place.record().counts == Counts()

    def test_call_of_before_a_change_is_not_slow_evidence_after_it(self, place: Place) -> None:
        one = place.worker(**SLOW)
        held = one.breaker.acquire()
        reopened(place, one)
        one.succeeds()
        place.later()
        assert place.record().counts == Counts(1, 0, 0)
        held.failure()
        place.later()
        assert place.record().counts == Counts(1, 0, 0)
        assert (one.breaker.failures, one.breaker.slow_calls) == (1, 1)

    def test_success_of_an_earlier_state_is_not_the_end_of_a_call_of_this_one(
        self, place: Place
    ) -> None:
        one = place.worker(**SLOW)
        early = hang(place, one)
        reopened(place, one)
        hang(place, one)
        place.later()
        early[0].success()
        place.later()
        assert place.record().counts == Counts(2, 0, 1)


class TestProbes:
    def half_open(self, place: Place, **settings: Any) -> tuple[Worker, Worker, Permit]:
        """Open for all, and have one worker probe until the probe is slow."""
        one, other = place.two(**{**SLOW, **settings})
        one.breaker.open()
        place.later(OPEN_TIME + 1)
        probe = one.probe()
        assert probe is not None
        place.clock.advance(1.1)
        return one, other, probe

    def test_slow_probe_opens_for_all_while_it_runs(self, place: Place) -> None:
        one, other, probe = self.half_open(place)
        with pytest.raises(CircuitBreakerError):
            one.breaker.acquire()
        place.later(0)
        assert (one.state, other.state, probe.settled) == ("open", "open", False)
        assert place.record().reason == "slow-call rate 100% of 1 calls, limit 50%"

    def test_end_of_a_slow_probe_changes_nothing(self, place: Place) -> None:
        one, other, probe = self.half_open(place)
        with pytest.raises(CircuitBreakerError):
            one.breaker.acquire()
        place.later(0)
        opened = place.record().generation
        probe.success()
        place.later()
        assert (other.state, place.record().generation) == ("open", opened)

    def test_slow_probe_and_good_ones_of_other_workers_are_judged_together(
        self, place: Place
    ) -> None:
        one, other, probe = self.half_open(place, half_open_calls=3)
        for _ in range(2):
            good = other.probe()
            assert good is not None
            good.success()
        place.later(0)
        assert (place.record().settled, place.record().probes) == (Counts(2), 1)
        with pytest.raises(CircuitBreakerError):
            one.breaker.acquire()
        place.later(0)
        assert (one.state, other.state, probe.settled) == ("closed", "closed", False)

    def test_slow_probe_gives_its_lease_back_at_once(self, place: Place) -> None:
        one, other, probe = self.half_open(place, half_open_calls=2)
        another = one.probe()
        place.later(0)
        assert (place.record().settled, place.record().probes) == (Counts(1, 0, 1), 1)
        probe.failure()
        place.later(0)
        assert (another is not None, place.record().settled) == (True, Counts(1, 0, 1))
        assert other.state == "half_open"

    def test_probe_whose_answer_has_begun_is_not_slow(self, place: Place) -> None:
        one, other = place.two(**SLOW, half_open_calls=2)
        one.breaker.open()
        place.later(OPEN_TIME + 1)
        answered = one.probe()
        assert answered is not None
        answered.answered()
        place.clock.advance(1.1)
        another = one.probe()
        assert another is not None
        another.success()
        answered.success()
        place.later(0)
        assert (one.state, other.state, one.breaker.slow_calls) == ("closed", "closed", 0)
