"""Manual changes reach all workers, last, and survive an outage and a flush of the store."""

from __future__ import annotations

import pytest

from breaker_asgi._fleet.synchroniser import COMPARE
from breaker_asgi.stores.protocol import Change, Command, Entry
from breaker_asgi.stores.record import Record
from tests.stores.place import OPEN_TIME, Place, Worker

HOUR = 3600


def flush(place: Place) -> None:
    """Empty the store."""
    place.store.__init__(clock=place.clock)  # type: ignore[misc]


class TestByHand:
    def test_manual_change_reaches_all_with_operator_reason_and_end(self, place: Place) -> None:
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
    def test_every_manual_change_reaches_all(self, place: Place, do: str) -> None:
        one, other = place.two()
        getattr(one.breaker, do)(who="anna")
        place.later(0)
        assert other.state == one.state
        assert place.record().who == other.breaker._generation.transition.who == "anna"

    def test_manual_change_survives_a_newer_automatic_one(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        one.step()
        other.breaker.disable()
        place.later(0)
        assert (one.state, other.state) == ("disabled", "disabled")

    def test_later_manual_change_replaces_the_earlier_one(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.force_open(who="anna")
        place.later(0)
        other.breaker.force_open(for_=600, who="bert")
        place.later(0)
        assert {worker.breaker.snapshot().reason for worker in (one, other)} == {
            "forced open by hand"
        }
        assert one.breaker._generation.transition.who == "bert"

    def test_later_of_two_manual_changes_during_an_outage_wins(self, place: Place) -> None:
        one, other = place.two()
        one.line.is_out = True
        one.breaker.disable(who="anna")
        place.later(HOUR)
        other.breaker.force_open(who="bert")
        place.later()
        one.line.is_out = False
        place.later()
        assert (one.state, other.state, place.record().who) == (
            "forced_open",
            "forced_open",
            "bert",
        )

    def test_old_reset_does_not_close_a_newer_opening(self, place: Place) -> None:
        one, other = place.two()
        one.line.is_out = True
        one.breaker.reset()
        place.later(60)
        other.fails(5)
        place.later()
        one.line.is_out = False
        place.later()
        assert (one.state, other.state) == ("open", "open")

    def test_recent_reset_closes_a_simultaneous_opening(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.reset()
        place.clock.advance(0.01)
        other.fails(5)
        other.step()
        place.later(0)
        assert (one.state, other.state) == ("closed", "closed")

    def test_manual_change_before_sharing_overrides_an_automatic_one(self, place: Place) -> None:
        one = place.worker()
        one.fails(5)
        one.step()
        late = Worker(place.store, place.clock, 1, {})
        late.registry.fleet = None
        late.breaker.disable(who="anna")
        late.fleet.join(late.breaker)
        late.step()
        place.later(0)
        assert (late.state, one.state, place.record().who) == ("disabled", "disabled", "anna")

    def test_manual_change_survives_an_outage(self, place: Place) -> None:
        one, other = place.two()
        one.line.is_out = True
        one.breaker.force_open()
        place.later()
        other.fails(5)
        place.later()
        one.line.is_out = False
        place.later()
        assert (one.state, other.state) == ("forced_open", "forced_open")


class TestLostRecords:
    def test_lost_record_is_restored(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        place.later(4)
        flush(place)
        place.later(0)
        shared = place.record()
        assert (shared.state, shared.generation) == ("open", 1)
        assert (shared.lasts, shared.age) == (OPEN_TIME, 4)
        assert one.state == other.state == "open"

    def test_record_lost_unnoticed_is_restored_at_the_next_comparison(self, place: Place) -> None:
        one = place.worker()
        one.breaker.force_open(who="anna")
        place.later()
        place.store._records["payments"] = Record()
        place.later(COMPARE)
        assert (place.record().state, place.record().who) == ("forced_open", "anna")

    @pytest.mark.parametrize("before", [0, 3])
    def test_manual_state_overrides_an_automatic_change(self, place: Place, before: int) -> None:
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
        assert place.record().state == "open"
        place.later(COMPARE)
        assert (one.state, late.state, place.record().who) == ("forced_open", "forced_open", "anna")

    def test_newer_manual_state_wins_over_a_lost_one(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.force_open(for_=60, who="anna")
        place.later(5)
        flush(place)
        other.breaker.force_open(for_=600, who="bert")
        place.later(COMPARE)
        ends = {round(worker.breaker._generation.until) for worker in (one, other)}
        assert ends == {(1000 + 5 + 600)}
        assert place.record().who == "bert"

    def test_changes_with_different_durations_are_not_equal(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.force_open(for_=60)
        place.later(5)
        flush(place)
        other.breaker.force_open(for_=600)
        place.later(COMPARE)
        assert one.breaker._generation.until == pytest.approx(1000 + 5 + 600, abs=1)

    def test_two_states_of_one_generation_are_distinguished(self, place: Place) -> None:
        one = place.worker()
        one.breaker.force_open()
        place.later()
        flush(place)
        closed = place.record().state
        change = Change(
            id="anew", state=closed, reason="anew", by_hand=True, command=Command("anew", 0)
        )
        place.store.sync("other", 0, 0, [Entry(name="payments", change=change)])
        place.later(COMPARE)
        assert one.state == "closed"
