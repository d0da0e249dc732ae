"""The ramp of a fleet: for the store the breaker is closed, and each worker ramps by its age."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from breaker_asgi import CircuitBreakerError, TimeWindow
from breaker_asgi.stores.memory import MemoryStore
from tests.stores.place import OPEN_TIME, Place, Worker

RAMP = 20


def gentle(place: Place, workers: int = 2, **settings: Any) -> list[Worker]:
    """Return workers that have opened, and whose first one has had a good probe."""
    made = [place.worker(ramp=RAMP, **settings) for _ in range(workers)]
    made[0].fails(5)
    place.later(0)
    place.clock.advance(OPEN_TIME + 1)
    probe = made[0].probe()
    assert probe is not None
    probe.success()
    place.later(0)
    return made


def admitted(worker: Worker, calls: int = 10) -> int:
    return sum(is_admitted(worker) for _ in range(calls))


def is_admitted(worker: Worker) -> bool:
    try:
        worker.succeeds()
    except CircuitBreakerError:
        return False
    return True


def relapse(worker: Worker) -> None:
    """Call until the breaker opens: each call that is admitted fails."""
    while worker.state == "closing":
        try:
            worker.fails()
        except CircuitBreakerError:
            continue


def changes(worker: Worker) -> int:
    """Return how many changes a worker has proposed to the store."""
    return worker.line.operations["change"]


def test_all_workers_ramp(place: Place) -> None:
    one, other = gentle(place)
    assert (one.state, other.state) == ("closing", "closing")
    place.clock.advance(RAMP / 2)
    assert (admitted(one), admitted(other)) == (5, 5)


def test_for_the_store_the_breaker_is_closed_and_the_row_goes_on(place: Place) -> None:
    gentle(place)
    record = place.record()
    assert (record.state, record.openings, record.lasts) == ("closed", 1, None)


def test_a_worker_that_learns_late_ramps_by_the_age_of_the_change(place: Place) -> None:
    one, other = (place.worker(ramp=RAMP) for _ in range(2))
    one.fails(5)
    place.later(0)
    place.clock.advance(OPEN_TIME + 1)
    probe = one.probe()
    assert probe is not None
    probe.success()
    one.step()
    place.clock.advance(RAMP / 2)
    other.step()
    assert other.breaker.snapshot().admitted_share == pytest.approx(0.5)
    assert other.breaker._generation.until == pytest.approx(one.breaker._generation.until)


def test_a_worker_that_starts_in_the_middle_of_a_ramp_ramps_too(place: Place) -> None:
    gentle(place)
    place.clock.advance(RAMP / 2)
    late = place.worker(ramp=RAMP)
    assert late.state == "closing"
    assert admitted(late) == 5
    place.clock.advance(RAMP / 2 + 0.1)
    assert admitted(late) == 10
    assert late.state == "closed"


def test_a_worker_that_starts_after_the_ramp_admits_all_calls(place: Place) -> None:
    gentle(place)
    place.clock.advance(RAMP + 1)
    late = place.worker(ramp=RAMP)
    assert (late.state, admitted(late)) == ("closed", 10)


def test_a_worker_whose_settings_have_no_ramp_admits_all_calls(place: Place) -> None:
    one, _ = gentle(place)
    other = place.worker()
    assert (one.state, other.state) == ("closing", "closed")
    place.later()
    assert (one.state, other.state) == ("closing", "closed")


def test_a_worker_ramps_by_its_own_settings(place: Place) -> None:
    gentle(place)
    place.clock.advance(RAMP / 2)
    other = place.worker(ramp=2 * RAMP)
    assert other.breaker.snapshot().admitted_share == pytest.approx(0.25)


def test_the_end_of_the_ramp_is_no_change_for_the_store(place: Place) -> None:
    one, other = gentle(place)
    before = place.record().generation, changes(one), changes(other)
    place.clock.advance(RAMP + 0.1)
    for worker in (one, other):
        assert admitted(worker) == 10
    for _ in range(3):
        place.later()
    assert (one.state, other.state) == ("closed", "closed")
    assert (place.record().generation, changes(one), changes(other)) == before


def test_the_calls_of_a_ramp_are_reported(place: Place) -> None:
    one, other = gentle(place, fail_max=5, failure_rate=1, window=TimeWindow(60))
    place.clock.advance(RAMP / 2)
    assert admitted(one) + admitted(other) == 10
    place.later()
    assert place.record().counts.calls == 10


def test_failures_in_a_row_add_up_over_the_end_of_the_ramp(place: Place) -> None:
    one, other = gentle(place)
    place.clock.advance(RAMP - 0.1)
    while one.breaker.fail_counter < 3:
        try:
            one.fails()
        except CircuitBreakerError:
            continue
    place.later()
    place.clock.advance(RAMP)
    other.fails(2)
    place.later()
    assert (one.state, other.state) == ("open", "open")


def test_a_relapse_in_one_worker_opens_all_and_the_row_goes_on(place: Place) -> None:
    one, other = gentle(place, backoff=2)
    relapse(other)
    place.later(0)
    assert (one.state, other.state) == ("open", "open")
    assert place.record().openings == 2
    assert one.breaker._generation.transition.openings == 2
    assert one.breaker.snapshot().retry_after == pytest.approx(2 * OPEN_TIME)


def test_workers_ramp_anew_after_a_relapse(place: Place) -> None:
    one, other = gentle(place, backoff=2)
    place.clock.advance(RAMP / 2)
    relapse(other)
    place.later(0)
    place.clock.advance(2 * OPEN_TIME + 1)
    probe = one.probe()
    assert probe is not None
    probe.success()
    place.later(0)
    assert (one.state, other.state, place.record().openings) == ("closing", "closing", 2)
    assert (admitted(one), admitted(other)) == (1, 1)


def test_an_opening_after_the_ramp_begins_a_new_row(place: Place) -> None:
    one, other = gentle(place, backoff=2)
    place.clock.advance(RAMP + 0.1)
    assert is_admitted(one)
    place.later()
    one.fails(5)
    place.later(0)
    assert (other.state, place.record().openings) == ("open", 1)


@pytest.mark.parametrize("command", ["reset", "close"])
def test_a_command_ends_the_ramp_of_all(command: str, place: Place) -> None:
    one, other = gentle(place)
    getattr(one.breaker, command)()
    place.later(0)
    assert (one.state, other.state, place.record().openings) == ("closed", "closed", 0)


def test_a_breaker_that_is_half_opened_by_hand_ramps_in_all_workers(place: Place) -> None:
    one, other = (place.worker(ramp=RAMP) for _ in range(2))
    one.breaker.half_open()
    place.later(0)
    probe = one.probe()
    assert probe is not None
    probe.success()
    place.later(0)
    assert (one.state, other.state) == ("closing", "closing")


# Below the quorum


def test_a_relapse_in_one_worker_below_the_quorum_opens_it_alone(place: Place) -> None:
    one, other = (place.worker(2, ramp=RAMP) for _ in range(2))
    one.breaker.open()
    place.later(0)
    place.clock.advance(OPEN_TIME + 1)
    probe = one.probe()
    assert probe is not None
    probe.success()
    place.later(0)
    assert (one.state, other.state) == ("closing", "closing")
    relapse(one)
    place.later()
    assert (one.state, other.state, place.record().state) == ("open", "closing", "closed")


# A store that is away, or that forgets


def test_a_worker_ramps_on_while_the_store_is_away(place: Place) -> None:
    one, other = gentle(place)
    other.line.is_out = True
    place.later(RAMP / 2)
    assert admitted(other) == 5
    place.later(RAMP / 2 + 0.1)
    assert (admitted(other), other.state) == (10, "closed")
    before = place.record().generation
    other.line.is_out = False
    place.later()
    place.later()
    assert (one.state, other.state) == ("closing", "closed")
    assert place.record().generation == before


def test_a_relapse_while_the_store_is_away_opens_all_when_it_is_back(place: Place) -> None:
    one, other = gentle(place, backoff=2)
    other.line.is_out = True
    place.later()
    relapse(other)
    assert (one.state, other.state) == ("closing", "open")
    other.line.is_out = False
    place.later(0)
    assert (one.state, place.record().openings) == ("open", 2)


def lose(place: Place) -> None:
    """Put an empty store in the place of the one that the workers use."""
    place.store = MemoryStore(clock=place.clock)
    for worker in place.workers:
        worker.line.store = place.store


def test_a_store_that_has_lost_its_records_gets_the_ramp_again(place: Place) -> None:
    one, other = gentle(place)
    place.clock.advance(RAMP / 2)
    lose(place)
    place.later(0)
    assert (one.state, other.state, place.record().openings) == ("closing", "closing", 1)
    late = place.worker(ramp=RAMP)
    assert late.breaker.snapshot().admitted_share == pytest.approx(0.5, abs=0.01)


def test_a_store_that_has_lost_its_records_after_the_ramp_needs_none(place: Place) -> None:
    one, other = gentle(place)
    place.clock.advance(RAMP + 0.1)
    assert is_admitted(one)
    assert is_admitted(other)
    place.later()
    lose(place)
    place.later()
    assert (one.state, other.state, place.record().generation) == ("closed", "closed", 0)


@pytest.mark.parametrize("work", [lambda _: None, is_admitted], ids=["idle", "busy"])
def test_a_worker_whose_ramp_is_over_meets_one_that_ramps(
    work: Callable[[Worker], object], place: Place
) -> None:
    quickest = place.worker(ramp=RAMP / 4)
    slowest, _ = gentle(place)
    place.later(RAMP / 2)
    work(quickest)
    place.later()
    assert admitted(quickest) == 10
    place.later()
    assert (quickest.state, slowest.state) == ("closed", "closing")
