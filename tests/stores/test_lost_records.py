"""A store that goes back to an earlier state: the later command holds, and the later change."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from breaker_asgi import CircuitBreakerError
from breaker_asgi._fleet.synchroniser import COMPARE
from tests.stores.place import OPEN_TIME, Place, Worker


@pytest.fixture
def place() -> Place:
    return Place()


def snapshot(place: Place) -> Callable[[], None]:
    """Save all records, and return a function that brings them back."""
    records, points = copy.deepcopy(place.store._records), place.store._points.copy()
    point = place.store._point

    def restore() -> None:
        place.store._records, place.store._points = copy.deepcopy(records), points.copy()
        place.store._point = point

    return restore


def trip_and_recover(place: Place, worker: Worker) -> None:
    worker.fails(5)
    place.later(OPEN_TIME + 1)
    probe = worker.probe()
    assert probe
    probe.success()
    place.later()
    assert worker.state == "closed"


def restart(place: Place) -> tuple[Worker, Worker]:
    """Replace all workers by new ones."""
    place.workers.clear()
    return place.two()


@pytest.mark.parametrize("since", ["nothing", "a trip", "a restart", "both"])
def test_a_lifted_force_open_does_not_come_back(place: Place, since: str) -> None:
    one, other = place.two()
    one.breaker.force_open(who="anna")
    place.later()
    restore = snapshot(place)
    one.breaker.close(who="anna")
    place.later()
    if since in {"a trip", "both"}:
        trip_and_recover(place, one)
    if since in {"a restart", "both"}:
        one, other = restart(place)
    restore()
    place.later(COMPARE)
    place.later()
    assert (one.state, other.state, place.record().state) == ("closed",) * 3


def test_a_force_open_holds_when_the_store_goes_back_to_an_earlier_state(place: Place) -> None:
    one, other = place.two()
    trip_and_recover(place, one)
    restore = snapshot(place)
    one.breaker.force_open(who="anna")
    place.later()
    restore()
    place.later(COMPARE)
    assert (one.state, other.state, place.record().state) == ("forced_open",) * 3
    assert place.record().who == "anna"


def test_an_opening_holds_when_the_store_goes_back_to_an_earlier_state(place: Place) -> None:
    one, other = place.two()
    one.breaker.reset()
    place.later()
    restore = snapshot(place)
    one.fails(5)
    place.later()
    generation = place.record().id
    restore()
    place.later(COMPARE)
    assert (one.state, other.state) == ("open", "open")
    assert place.record().id == generation, "it is the same opening"


def test_a_command_survives_the_changes_after_it(place: Place) -> None:
    one, _ = place.two()
    one.breaker.close(who="anna")
    place.later()
    command = place.record().command
    assert command
    trip_and_recover(place, one)
    after = place.record().command
    assert after
    assert (after.id, after.age > command.age) == (command.id, True)


def test_a_command_is_kept_that_the_breaker_has_left_before_it_was_stored(place: Place) -> None:
    one, _ = place.two()
    one.line.is_out = True
    one.breaker.close(who="anna")
    one.fails(5)
    one.line.is_out = False
    place.later()
    assert place.record().state == "open"
    assert place.record().command is not None


def test_a_worker_with_a_lost_command_follows_when_the_store_has_a_later_one(place: Place) -> None:
    one, other = place.two()
    one.breaker.force_open(who="anna")
    place.later()
    restore = snapshot(place)
    place.clock.advance(5)
    other.breaker.disable(who="bert")
    place.later()
    restore()
    late = place.worker()
    place.later(COMPARE)
    assert {worker.state for worker in (one, other, late)} == {"disabled"}


def test_a_record_that_the_first_version_has_rewritten_is_of_the_same_generation(
    place: Place,
) -> None:
    one, other = place.two()
    one.breaker.force_open(who="anna")
    place.later()
    record = place.store._records["payments"]
    for _ in range(3):
        record.id, record.command = "", None
        place.later(COMPARE)
    assert place.record().generation == 1
    late = place.worker()
    other.breaker.close()
    place.later()
    assert {worker.state for worker in (one, other, late)} == {"closed"}


def test_a_clock_that_was_set_forward_does_not_end_a_command_for_a_worker_that_starts(
    place: Place,
) -> None:
    one, other = place.two()
    one.breaker.force_open(for_=600)
    place.later()
    place.store._records["payments"].changed -= 500_000
    place.later(COMPARE)
    late = place.worker()
    place.later(300)
    for worker in (one, other, late):
        with pytest.raises(CircuitBreakerError):
            worker.breaker.acquire()
    place.later(300)
    late.breaker.acquire().success()
    place.later()
    assert {worker.state for worker in (one, other, late)} == {"closed"}
