"""The last calls of all workers together, over which a rate with a `CountWindow` is judged."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import CountWindow
from breaker_asgi.stores.protocol import Counts
from tests.stores.place import Place, Worker, record_in

RATE: Any = {"failure_rate": 0.5, "minimum_calls": 10, "window": CountWindow(10)}


def four(place: Place, quorum: float = 1) -> list[Worker]:
    return [place.worker(quorum, **RATE) for _ in range(4)]


def fail(workers: list[Worker], times: int) -> None:
    for worker in workers:
        worker.fails(times)


def states(workers: list[Worker]) -> set[str]:
    return {worker.state for worker in workers}


def make_busy(place: Place, workers: list[Worker], seconds: int = 5) -> None:
    """Have 400 good calls in each second."""
    for _ in range(seconds):
        for worker in workers:
            worker.succeeds(100)
        place.later()


def test_failures_that_are_spread_over_workers_open_for_all(place: Place) -> None:
    workers = four(place)
    fail(workers, 3)
    assert states(workers) == {"closed"}
    place.later()
    assert states(workers) == {"open"}
    assert place.record().reason == "failure rate 100% of 12 calls, limit 50%"


def test_good_calls_of_another_worker_keep_the_rate_down(place: Place) -> None:
    workers = four(place)
    fail(workers[:2], 4)
    workers[2].succeeds(9)
    place.later()
    assert states(workers) == {"closed"}


def test_in_a_surge_only_the_latest_seconds_count(place: Place) -> None:
    workers = four(place)
    make_busy(place, workers)
    place.later(3)
    fail(workers, 3)
    place.later()
    assert place.record().reason == "failure rate 100% of 12 calls, limit 50%"


def test_failures_among_many_good_calls_of_the_same_seconds_do_not_open(place: Place) -> None:
    workers = four(place)
    make_busy(place, workers)
    fail(workers, 3)
    make_busy(place, workers, 1)
    assert states(workers) == {"closed"}


def test_in_a_lull_after_a_surge_the_window_grows_until_it_holds_its_calls(place: Place) -> None:
    workers = four(place)
    make_busy(place, workers)
    place.later(60)
    for _ in range(3):
        fail(workers, 1)
        place.later(5)
    assert states(workers) == {"open"}


def test_new_worker_fits_its_window_by_its_first_report(place: Place) -> None:
    workers = four(place)
    make_busy(place, workers)
    late = place.worker(**RATE)
    late.succeeds()
    place.later()
    place.later(5)
    late.fails(4)
    fail(workers, 2)
    place.later()
    assert states([late, *workers]) == {"open"}


@pytest.mark.parametrize(("seconds", "state"), [(590, "open"), (601, "closed")])
def test_calls_older_than_ten_minutes_do_not_count(place: Place, seconds: int, state: str) -> None:
    workers = four(place)
    fail(workers, 2)
    place.later()
    place.later(seconds)
    fail(workers, 2)
    place.later()
    assert states(workers) == {state}


def test_workers_own_calls_count_however_old_they_are(place: Place) -> None:
    one, _ = place.two(**RATE)
    one.fails(5)
    place.later(3600)
    one.fails(5)
    assert one.state == "open"


def test_two_workers_that_fail_meet_a_quorum_if_the_calls_of_all_suffice(place: Place) -> None:
    workers = four(place, quorum=2)
    fail(workers[:2], 6)
    place.later()
    assert states(workers) == {"open"}


def test_one_sick_worker_of_eight_does_not_open_for_all(place: Place) -> None:
    sick, *others = (place.worker(2, **RATE) for _ in range(8))
    others[0].fails()
    sick.fails(10)
    for _ in range(5):
        for other in others:
            other.succeeds(20)
        place.later()
    assert (sick.state, states(others)) == ("open", {"closed"})


def test_calls_before_a_change_do_not_count_after_it(place: Place) -> None:
    workers = four(place)
    fail(workers, 2)
    place.later()
    workers[0].breaker.open()
    place.later()
    workers[0].breaker.close()
    place.later()
    fail(workers, 2)
    place.later()
    assert states(workers) == {"closed"}
    assert record_in(place.store, window=600).counts == Counts(8, 8)
