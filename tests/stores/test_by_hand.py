"""What a person does reaches all, lasts, and is lost neither by an outage nor by a flush."""

from __future__ import annotations

import pytest

from breaker_asgi._fleet.poller import COMPARE
from breaker_asgi.stores.protocol import Change
from breaker_asgi.stores.record import Record
from tests.stores.place import OPEN_TIME, Place, Worker

HOUR = 3600


def flush(place: Place) -> None:
    """The store has forgotten everything."""
    place.store.__init__(clock=place.clock)  # type: ignore[misc]


class TestByHand:
    def test_it_reaches_all_with_who_and_why_and_its_end(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.force_open(for_=60, who="anna", why="a move")
        place.later(0)
        made = other.breaker._generation.transition
        assert (made.state, made.who) == ("forced_open", "anna")
        assert made.reason == "forced open by hand: a move"
        place.later(61)
        other.succeeds()
        place.later()
        assert one.state == other.state == "closed"

    @pytest.mark.parametrize("do", ["force_open", "disable", "metrics_only", "open", "reset"])
    def test_every_change_does(self, place: Place, do: str) -> None:
        one, other = place.two()
        getattr(one.breaker, do)(who="anna")
        place.later(0)
        assert other.state == one.state
        assert place.known().who == other.breaker._generation.transition.who == "anna"

    def test_it_is_not_lost_where_the_fleet_has_moved_on(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        one.step()
        other.breaker.disable()
        place.later(0)
        assert (one.state, other.state) == ("disabled", "disabled")

    def test_one_that_is_set_anew_is_the_later_one_in_all(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.force_open(who="anna")
        place.later(0)
        other.breaker.force_open(for_=600, who="bert")
        place.later(0)
        assert {each.breaker.snapshot().reason for each in (one, other)} == {"forced open by hand"}
        assert one.breaker._generation.transition.who == "bert"

    def test_of_two_that_were_set_while_the_store_was_out_the_later_one_holds(
        self, place: Place
    ) -> None:
        one, other = place.two()
        one.line.is_out = True
        one.breaker.disable(who="anna")
        place.later(HOUR)
        other.breaker.force_open(who="bert")
        place.later()
        one.line.is_out = False
        place.later()
        assert (one.state, other.state, place.known().who) == ("forced_open", "forced_open", "bert")

    def test_a_reset_of_long_ago_does_not_close_what_has_opened_since(self, place: Place) -> None:
        one, other = place.two()
        one.line.is_out = True
        one.breaker.reset()
        place.later(60)
        other.fails(5)
        place.later()
        one.line.is_out = False
        place.later()
        assert (one.state, other.state) == ("open", "open")

    def test_a_reset_of_just_now_closes_what_opens_at_that_moment(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.reset()
        place.clock.advance(0.01)
        other.fails(5)
        other.step()
        place.later(0)
        assert (one.state, other.state) == ("closed", "closed")

    def test_one_of_before_sharing_holds_over_what_came_by_itself(self, place: Place) -> None:
        one = place.worker()
        one.fails(5)
        one.step()
        late = Worker(place.store, place.clock, 1, {})
        late.registry.fleet = None
        late.breaker.disable(who="anna")
        late.fleet.join(late.breaker)
        late.step()
        place.later(0)
        assert (late.state, one.state, place.known().who) == ("disabled", "disabled", "anna")

    def test_it_is_not_lost_while_the_store_is_out(self, place: Place) -> None:
        one, other = place.two()
        one.line.is_out = True
        one.breaker.force_open()
        place.later()
        other.fails(5)
        place.later()
        one.line.is_out = False
        place.later()
        assert (one.state, other.state) == ("forced_open", "forced_open")


class TestStoreThatHasForgotten:
    def test_what_it_has_forgotten_is_told_to_it(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        place.later(4)
        flush(place)
        place.later(0)
        shared = place.known()
        assert (shared.state, shared.generation) == ("open", 1)
        assert (shared.lasts, shared.age) == (OPEN_TIME, 4)
        assert one.state == other.state == "open"

    def test_what_it_has_forgotten_unnoticed_is_told_to_it_in_a_while(self, place: Place) -> None:
        one = place.worker()
        one.breaker.force_open(who="anna")
        place.later()
        place.store._records["payments"] = Record()
        place.later(COMPARE)
        assert (place.known().state, place.known().who) == ("forced_open", "anna")

    @pytest.mark.parametrize("before", [0, 3])
    def test_what_a_person_has_set_holds_over_what_came_by_itself(
        self, place: Place, before: int
    ) -> None:
        one = place.worker()
        for _ in range(before):
            one.breaker.reset()
            place.later()
        one.breaker.force_open(who="anna")
        place.later(100)
        flush(place)
        late = place.worker()
        late.fails(5)
        late.step()
        assert place.known().state == "open"
        place.later(COMPARE)
        assert (one.state, late.state, place.known().who) == ("forced_open", "forced_open", "anna")

    def test_what_another_person_has_set_since_holds(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.force_open(for_=60, who="anna")
        place.later(5)
        flush(place)
        other.breaker.force_open(for_=600, who="bert")
        place.later(COMPARE)
        ends = {round(each.breaker._generation.until) for each in (one, other)}
        assert ends == {(1000 + 5 + 600)}
        assert place.known().who == "bert"

    def test_what_has_another_end_is_not_the_same(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.force_open(for_=60)
        place.later(5)
        flush(place)
        other.breaker.force_open(for_=600)
        place.later(COMPARE)
        assert one.breaker._generation.until == pytest.approx(1000 + 5 + 600, abs=1)

    def test_two_states_of_one_number_are_told_apart(self, place: Place) -> None:
        one = place.worker()
        one.breaker.force_open()
        place.later()
        flush(place)
        closed = place.known().state
        change = Change(name="payments", expected=0, state=closed, reason="anew", by_hand=True)
        place.store.change(change)
        place.later(COMPARE)
        assert one.state == "closed"
