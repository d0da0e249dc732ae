"""The counts of all workers together, and the quorum of workers with failures."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest

from breaker_asgi import (
    BreakerConfigError,
    BreakerRegistry,
    CircuitBreaker,
    CountWindow,
    TimeWindow,
)
from breaker_asgi._fleet.synchroniser import COMPARE
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import Counts
from tests.stores.place import OPEN_TIME, Place, record_in

RATE: Any = {"failure_rate": 0.5, "minimum_calls": 8, "window": TimeWindow(10)}


class TestEvidence:
    def test_failures_in_a_row_add_up_over_workers(self, place: Place) -> None:
        one, other = place.two()
        one.fails(3)
        place.later()
        other.fails(2)
        place.later()
        assert (one.state, other.state) == ("open", "open")

    def test_success_in_any_worker_ends_the_streak(self, place: Place) -> None:
        one, other = place.two()
        one.fails(3)
        place.later()
        other.succeeds()
        place.later()
        other.fails(2)
        place.later()
        assert (one.state, place.record().streak) == ("closed", 2)

    def test_a_failure_rate_is_judged_on_the_calls_of_all(self, place: Place) -> None:
        one, other = place.two(failure_rate=0.5, minimum_calls=10, window=TimeWindow(60))
        one.fails(5)
        other.succeeds(5)
        place.later()
        assert one.state == other.state == "open"
        assert place.record().reason == "failure rate 50% of 10 calls, limit 50%"

    def test_calls_that_have_left_the_window_count_no_more(self, place: Place) -> None:
        one, other = place.two(failure_rate=0.5, minimum_calls=10, window=TimeWindow(5))
        one.fails(5)
        place.later()
        place.later(6)
        other.succeeds(5)
        place.later()
        assert place.record().state == "closed"

    def test_each_worker_applies_its_own_window(self, place: Place) -> None:
        long = place.worker(failure_rate=0.5, minimum_calls=4, window=TimeWindow(60))
        short = place.worker(failure_rate=0.5, minimum_calls=4, window=TimeWindow(5))
        long.fails(2)
        place.later()
        place.clock.advance(10)
        short.fails(2)
        short.step()
        assert (short.state, place.record().state) == ("closed", "closed")
        long.succeeds()
        long.step()
        assert place.record().reason == "failure rate 80% of 5 calls, limit 50%"

    def test_a_report_whose_answer_was_lost_counts_once(self, place: Place) -> None:
        one = place.worker()
        one.fails(2)
        one.line.loses_answers = True
        place.later()
        place.later()
        one.line.loses_answers = False
        place.later()
        assert place.record().streak == 2

    def test_nothing_is_reported_where_nothing_was_called(self, place: Place) -> None:
        one = place.worker()
        one.succeeds()
        place.later()
        before = one.line.operations["batches"]
        for _ in range(8):
            place.later()
        assert one.line.operations["batches"] == before

    def test_reports_do_not_grow_with_calls(self, place: Place) -> None:
        one = place.worker()
        place.later()
        before = one.line.operations["batches"]
        one.succeeds(10_000)
        place.later()
        assert one.line.operations["batches"] == before + 1

    def test_many_breakers_are_reported_in_portions(self, place: Place) -> None:
        one = place.worker()
        for number in range(1_200):
            one.registry.get(f"{number}").acquire().failure()
        one.step()
        before = one.line.operations["batches"]
        place.later()
        assert one.line.operations["batches"] == before + 3
        assert {place.record(f"{number}").streak for number in range(1_200)} == {1}

    def test_calls_during_an_outage_count_at_their_own_time(self, place: Place) -> None:
        one, other = place.two(**RATE)
        one.line.is_out = True
        one.step()
        one.fails(3)
        for _ in range(11):
            place.later(1)
        one.line.is_out = False
        other.fails(5)
        place.later()
        assert place.record().counts == Counts(5, 5)
        assert (one.state, other.state) == ("closed", "closed")

    def test_late_report_counts_at_the_time_it_was_made(self, place: Place) -> None:
        one = place.worker(**RATE)
        one.line.is_out = True
        one.fails(3)
        place.later()
        place.clock.advance(5)
        one.line.is_out = False
        one.step()
        assert place.record().counts == Counts(3, 3)
        place.clock.advance(5)
        assert record_in(place.store, window=10).counts == Counts()

    def test_two_breakers_of_one_name_are_reported_together(self, place: Place) -> None:
        one = place.worker(**RATE)
        twin = CircuitBreaker.from_config(one.breaker.config, "payments")
        one.fleet.join(twin)
        one.step()
        one.breaker.acquire().success()
        twin.acquire().failure()
        place.later()
        assert place.record().counts == Counts(2, 1)


class TestQuorum:
    def test_below_the_quorum_only_the_failing_worker_opens(self, place: Place) -> None:
        sick, well = place.two(quorum=2)
        sick.fails(5)
        place.later()
        assert (sick.state, well.state, place.record().state) == ("open", "closed", "closed")

    def test_quorum_is_reached_with_failures_in_a_second_worker(self, place: Place) -> None:
        one, other = place.two(quorum=2)
        idle = place.worker(quorum=2)
        one.fails(5)
        place.later()
        other.fails(5)
        place.later()
        assert [worker.state for worker in (one, other, idle)] == ["open"] * 3

    def test_locally_open_worker_recovers_with_its_own_probes(self, place: Place) -> None:
        sick, _ = place.two(quorum=2)
        sick.fails(5)
        place.later(OPEN_TIME + 1)
        sick.succeeds()
        place.later()
        assert (sick.state, place.record().generation) == ("closed", 0)
        sick.fails(5)
        place.later()
        assert (sick.state, place.record().witnesses) == ("open", 1)

    def test_reconnected_worker_keeps_its_half_open_state_local(self, place: Place) -> None:
        sick, well = place.two(quorum=2)
        sick.line.is_out = True
        sick.fails(5)
        place.later(OPEN_TIME + 1)
        probe = sick.breaker.acquire()
        sick.line.is_out = False
        place.later()
        assert (sick.state, well.state, place.record().generation) == ("half_open", "closed", 0)
        probe.success()
        assert sick.state == "closed"

    def test_locally_open_worker_stays_a_witness_while_its_probes_fail(self, place: Place) -> None:
        sick, well = place.two(quorum=2)
        idle = place.worker(quorum=2)
        sick.fails(5)
        for _ in range(8):
            place.later(OPEN_TIME + 1)
            sick.fails()
        place.later()
        assert (sick.state, well.state) == ("open", "closed")
        well.fails(5)
        place.later()
        assert [worker.state for worker in (sick, well, idle)] == ["open"] * 3

    def test_successful_probes_of_a_locally_open_worker_end_the_streak(self, place: Place) -> None:
        sick, well = place.two(quorum=2, half_open_calls=2)
        sick.fails(5)
        place.later(OPEN_TIME + 1)
        sick.succeeds()
        place.later()
        assert (sick.state, place.record().streak) == ("half_open", 0)
        assert well.state == "closed"

    def test_rate_that_the_fleet_does_not_reach_opens_only_locally(self, place: Place) -> None:
        sick, *others = (place.worker(quorum=2, **RATE) for _ in range(4))
        for worker in others:
            worker.fails()
            worker.succeeds(20)
        place.later()
        sick.fails(8)
        for _ in range(3):
            for worker in others:
                worker.succeeds(3)
            place.later()
        assert sick.state == "open"
        assert {worker.state for worker in others} == {"closed"}

    def test_count_windows_open_by_the_number_of_witnesses(self, place: Place) -> None:
        settings: Any = {"failure_rate": 0.5, "minimum_calls": 4, "window": CountWindow(8)}
        one, other = place.two(quorum=2, **settings)
        one.fails()
        place.later()
        other.fails(4)
        place.later()
        assert (one.state, other.state) == ("open", "open")

    def test_fraction_keeps_the_worker_count_after_the_store_was_emptied(
        self, place: Place
    ) -> None:
        for name in "abcd":
            place.store.sync(name, 0, 0, [])
        one, other = place.two(quorum=0.5)
        one.fails()
        place.later(COMPARE)
        place.store.__init__(clock=place.clock)  # type: ignore[misc]
        place.later(COMPARE)
        other.fails(5)
        place.later()
        assert (one.state, other.state) == ("closed", "open")

    def test_quorum_may_be_a_fraction_of_the_workers(self, place: Place) -> None:
        for name in "ab":
            place.store.sync(name, 0, 0, [])
        one, other = place.two(quorum=0.5)
        one.fails(5)
        place.later()
        assert (one.state, other.state) == ("open", "closed")
        other.fails(5)
        place.later()
        assert (one.state, other.state, place.record().state) == ("open", "open", "open")

    def test_workers_that_have_tripped_alone_are_a_quorum_though_the_others_succeed(
        self, place: Place
    ) -> None:
        workers = [place.worker(quorum=0.5, **RATE) for _ in range(8)]
        for healthy in workers[5:]:
            healthy.succeeds(40)
        place.later()
        for worker in workers[:5]:
            worker.fails(8)
        place.later()
        assert {worker.state for worker in workers} == {"open"}

    def test_fraction_of_a_single_worker_is_that_worker(self, place: Place) -> None:
        one = place.worker(quorum=0.5)
        one.fails(5)
        place.later()
        assert place.record().state == "open"

    @pytest.mark.parametrize("quorum", [0, -1, True, 0.0, 1.5, -0.5, math.nan, "2", None])
    def test_invalid_quorum_is_refused(self, quorum: Any) -> None:
        with pytest.raises(BreakerConfigError, match=r"quorum=.*a fraction above 0 and up to 1\.0"):
            BreakerRegistry(store=cast("Any", MemoryStore()), quorum=quorum)
