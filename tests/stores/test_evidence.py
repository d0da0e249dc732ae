"""What all workers have seen together, and how many of them must have seen it."""

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
from breaker_asgi._fleet.poller import COMPARE
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import Counts, Second
from tests.stores.place import OPEN_TIME, Place

RATE: Any = {"failure_rate": 0.5, "minimum_calls": 8, "window": TimeWindow(10)}


class TestEvidence:
    def test_failures_in_a_row_add_up_over_workers(self, place: Place) -> None:
        one, other = place.two()
        one.fails(3)
        place.later()
        other.fails(2)
        place.later()
        assert (one.state, other.state) == ("open", "open")

    def test_a_success_anywhere_ends_the_row(self, place: Place) -> None:
        one, other = place.two()
        one.fails(3)
        place.later()
        other.succeeds()
        place.later()
        other.fails(2)
        place.later()
        assert (one.state, place.known().streak) == ("closed", 2)

    def test_a_failure_rate_is_judged_on_the_calls_of_all(self, place: Place) -> None:
        one, other = place.two(failure_rate=0.5, minimum_calls=10, window=TimeWindow(60))
        one.fails(5)
        other.succeeds(5)
        place.later()
        assert one.state == other.state == "open"
        assert place.known().reason == "failure rate 50% of 10 calls, limit 50%"

    def test_calls_that_have_left_the_window_count_no_more(self, place: Place) -> None:
        one, other = place.two(failure_rate=0.5, minimum_calls=10, window=TimeWindow(5))
        one.fails(5)
        place.later()
        place.later(6)
        other.succeeds(5)
        place.later()
        assert place.known().state == "closed"

    def test_each_judges_by_the_window_that_it_was_given(self, place: Place) -> None:
        long = place.worker(failure_rate=0.5, minimum_calls=4, window=TimeWindow(60))
        short = place.worker(failure_rate=0.5, minimum_calls=4, window=TimeWindow(5))
        long.fails(2)
        place.later()
        place.clock.advance(10)
        short.fails(2)
        short.step()
        assert (short.state, place.known().state) == ("closed", "closed")
        long.succeeds()
        long.step()
        assert place.known().reason == "failure rate 80% of 5 calls, limit 50%"

    def test_a_report_whose_answer_was_lost_counts_once(self, place: Place) -> None:
        one = place.worker()
        one.fails(2)
        one.line.loses_answers = True
        place.later()
        place.later()
        one.line.loses_answers = False
        place.later()
        assert place.known().streak == 2

    def test_nothing_is_reported_where_nothing_was_called(self, place: Place) -> None:
        one = place.worker()
        one.succeeds()
        place.later()
        asked = one.line.asked["exchange"]
        for _ in range(8):
            place.later()
        assert one.line.asked["exchange"] == asked

    def test_reports_do_not_grow_with_calls(self, place: Place) -> None:
        one = place.worker()
        place.later()
        asked = one.line.asked["exchange"]
        one.succeeds(10_000)
        place.later()
        assert one.line.asked["exchange"] == asked + 1

    def test_of_many_breakers_the_store_is_told_a_portion_at_a_time(self, place: Place) -> None:
        one = place.worker()
        for number in range(1_200):
            one.registry.get(f"{number}").acquire().failure()
        one.step()
        asked = one.line.asked["exchange"]
        place.later()
        assert one.line.asked["exchange"] == asked + 3
        known = place.store.exchange("onlooker", 0, (), [f"{each}" for each in range(1_200)])
        assert {each.streak for each in known.values()} == {1}

    def test_what_was_seen_while_the_store_was_out_counts_for_when_it_was_seen(
        self, place: Place
    ) -> None:
        one, other = place.two(**RATE)
        one.line.is_out = True
        one.step()
        one.fails(3)
        for _ in range(11):
            place.later(1)
        one.line.is_out = False
        other.fails(5)
        place.later()
        assert place.known().seconds == (Second(0, Counts(5, 5)),)
        assert (one.state, other.state) == ("closed", "closed")

    def test_a_report_that_arrives_late_counts_for_when_it_was_made(self, place: Place) -> None:
        one = place.worker(**RATE)
        one.line.is_out = True
        one.fails(3)
        place.later()
        place.clock.advance(5)
        one.line.is_out = False
        one.step()
        assert place.known().seconds == (Second(5, Counts(3, 3)),)

    def test_two_breakers_of_one_name_are_reported_together(self, place: Place) -> None:
        one = place.worker(**RATE)
        twin = CircuitBreaker.from_config(one.breaker.config, "payments")
        one.fleet.join(twin)
        one.step()
        one.breaker.acquire().success()
        twin.acquire().failure()
        place.later()
        assert [each.counts for each in place.known().seconds] == [(2, 1, 0)]


class TestQuorum:
    def test_below_it_only_the_worker_opens_that_has_seen_the_failures(self, place: Place) -> None:
        sick, well = place.two(quorum=2)
        sick.fails(5)
        place.later()
        assert (sick.state, well.state, place.known().state) == ("open", "closed", "closed")

    def test_it_is_reached_when_a_second_one_sees_failures(self, place: Place) -> None:
        one, other = place.two(quorum=2)
        idle = place.worker(quorum=2)
        one.fails(5)
        place.later()
        other.fails(5)
        place.later()
        assert [each.state for each in (one, other, idle)] == ["open"] * 3

    def test_who_is_alone_finds_out_by_itself_when_it_is_well_again(self, place: Place) -> None:
        sick, _ = place.two(quorum=2)
        sick.fails(5)
        place.later(OPEN_TIME + 1)
        sick.succeeds()
        place.later()
        assert (sick.state, place.known().generation) == ("closed", 0)
        sick.fails(5)
        place.later()
        assert (sick.state, place.known().witnesses) == ("open", 1)

    def test_who_was_cut_off_does_not_bring_its_half_open_state_along(self, place: Place) -> None:
        sick, well = place.two(quorum=2)
        sick.line.is_out = True
        sick.fails(5)
        place.later(OPEN_TIME + 1)
        probe = sick.breaker.acquire()
        sick.line.is_out = False
        place.later()
        assert (sick.state, well.state, place.known().generation) == ("half_open", "closed", 0)
        probe.success()
        assert sick.state == "closed"

    def test_who_is_alone_stays_a_witness_while_its_probes_fail(self, place: Place) -> None:
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
        assert [each.state for each in (sick, well, idle)] == ["open"] * 3

    def test_probes_of_who_is_alone_that_succeed_end_the_row(self, place: Place) -> None:
        sick, well = place.two(quorum=2, half_open_calls=2)
        sick.fails(5)
        place.later(OPEN_TIME + 1)
        sick.succeeds()
        place.later()
        assert (sick.state, place.known().streak) == ("half_open", 0)
        assert well.state == "closed"

    def test_a_rate_that_all_together_do_not_have_opens_only_the_worker_that_has_it(
        self, place: Place
    ) -> None:
        sick, *others = (place.worker(quorum=2, **RATE) for _ in range(4))
        for each in others:
            each.fails()
            each.succeeds(20)
        place.later()
        sick.fails(8)
        for _ in range(3):
            for each in others:
                each.succeeds(3)
            place.later()
        assert sick.state == "open"
        assert {each.state for each in others} == {"closed"}

    def test_where_each_has_a_window_of_its_own_the_number_of_witnesses_decides(
        self, place: Place
    ) -> None:
        settings: Any = {"failure_rate": 0.5, "minimum_calls": 4, "window": CountWindow(8)}
        one, other = place.two(quorum=2, **settings)
        one.fails()
        place.later()
        other.fails(4)
        place.later()
        assert (one.state, other.state) == ("open", "open")

    def test_a_fraction_is_of_those_that_were_there_before_the_store_was_emptied(
        self, place: Place
    ) -> None:
        for name in "abcd":
            place.store.publish(name, "{}", 300)
        one, other = place.two(quorum=0.5)
        one.fails()
        place.later(COMPARE)
        place.store.__init__(clock=place.clock)  # type: ignore[misc]
        place.later(COMPARE)
        other.fails(5)
        place.later()
        assert (one.state, other.state) == ("closed", "open")

    def test_it_may_be_a_fraction_of_the_workers_that_show_themselves(self, place: Place) -> None:
        for name in "abcd":
            place.store.publish(name, "{}", 30)
        one, other = place.two(quorum=0.5)
        one.fails(5)
        place.later()
        assert (one.state, other.state) == ("open", "closed")
        other.fails(5)
        place.later()
        assert (one.state, other.state, place.known().state) == ("open", "open", "open")

    def test_a_fraction_of_a_lonely_worker_is_that_worker(self, place: Place) -> None:
        one = place.worker(quorum=0.5)
        one.fails(5)
        place.later()
        assert place.known().state == "open"

    @pytest.mark.parametrize("quorum", [0, -1, True, 0.0, 1.5, -0.5, math.nan, "2", None])
    def test_what_is_none_is_refused(self, quorum: Any) -> None:
        with pytest.raises(BreakerConfigError, match=r"quorum=.*a fraction above 0 and up to 1\.0"):
            BreakerRegistry(store=cast("Any", MemoryStore()), quorum=quorum)
