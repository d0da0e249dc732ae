"""How often a worker uses the store: more rarely in a large fleet, and not for its own changes."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from breaker_asgi import TimeWindow
from breaker_asgi._fleet.reports import BUDGET, INTERVAL
from breaker_asgi._fleet.threads import ListenerThread
from tests.stores.place import OPEN_TIME, Place, Worker

RATE: Any = {"failure_rate": 0.5, "minimum_calls": 100, "window": TimeWindow(30)}


@pytest.fixture
def place() -> Place:
    return Place()


def use(worker: Worker, breakers: int) -> None:
    for number in range(breakers):
        worker.registry.get(f"{number}").acquire().success()


def pace_of(place: Place, workers: int, breakers: int) -> float:
    """Return the pace of a worker with so many breakers in a fleet of so many workers."""
    worker = place.worker(**RATE)
    use(worker, breakers)
    place.later()
    for number in range(workers - 1):
        place.store.sync(f"{number}", 0, 0, [])
    use(worker, breakers)
    place.later()
    return worker.fleet.pace


def test_a_small_fleet_reports_each_second(place: Place) -> None:
    assert pace_of(place, 8, 50) == 1


def test_a_large_fleet_reports_more_rarely_and_keeps_to_the_budget(place: Place) -> None:
    pace = pace_of(place, 1000, 50)
    assert pace == pytest.approx(1000 * 50 / BUDGET)
    assert 1000 * 50 / (pace * INTERVAL) <= BUDGET


def test_calls_between_two_reports_are_all_in_the_next_one(place: Place) -> None:
    pace = pace_of(place, 1000, 50)
    worker = place.workers[0]
    before = place.record("0").counts.calls
    for _ in range(3):
        use(worker, 50)
        place.later(1)
    assert place.record("0").counts.calls == before
    place.later(pace)
    assert place.record("0").counts.calls == before + 3


def test_a_worker_that_trips_in_a_large_fleet_opens_for_all_at_once(place: Place) -> None:
    pace_of(place, 1000, 50)
    worker, other = place.workers[0], place.worker(**RATE)
    worker.registry.get("bank", fail_max=1).acquire().failure()
    worker.step()
    other.step()
    assert other.registry.get("bank").state == "open"


def test_a_worker_does_not_read_back_its_own_change(place: Place) -> None:
    one, other = place.two()
    listener = one.fleet._listener = ListenerThread(one.fleet)
    one.step()
    listener._point = one.fleet.cursor
    one.fails(5)
    one.step()
    before = one.line.operations["sync"]
    listener._point, listener._is_fetched = place.store.wait(0, 0), False  # its own change
    one.step()
    assert one.line.operations["sync"] == before
    other.breaker.force_open()
    other.step()
    listener._point, listener._is_fetched = place.store.wait(0, 0), False
    one.step()
    assert one.state == "forced_open"


def test_a_change_to_half_open_and_its_probe_are_one_exchange(place: Place) -> None:
    one = place.worker()
    one.fails(5)
    place.later(OPEN_TIME + 1)
    before = one.line.operations["batches"]
    assert one.probe()
    assert one.line.operations["batches"] == before + 1


def test_many_changes_are_one_exchange(place: Place) -> None:
    one = place.worker()
    breakers = [one.registry.get(f"{number}", fail_max=1) for number in range(200)]
    one.breaker.reset()
    one.step()
    before = one.line.operations["batches"]
    for breaker in breakers:
        breaker.acquire().failure()
    one.step()
    assert place.record("199").state == "open"
    assert one.line.operations["batches"] == before + 1


def test_a_slow_store_is_reported_once_until_it_is_fast_again(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "breaker_asgi")
    one = place.worker()
    one.line.on_use = lambda: place.clock.advance(0.6)
    for _ in range(8):
        one.step()
    assert one.fleet.trouble == "it is slow: half of the exchanges take more than 0.6 s"
    assert not one.fleet.is_out
    one.line.on_use = lambda: None
    for _ in range(8):
        one.step()
    assert one.fleet.trouble is None
    assert caplog.messages == [
        "the store line is slow: half of the last exchanges took more than 0.6 s",
        "the store line is fast enough again",
    ]


def test_one_slow_exchange_is_no_trouble(place: Place) -> None:
    one = place.worker()
    one.line.on_use = lambda: place.clock.advance(0.6)
    one.step()
    one.line.on_use = lambda: None
    one.step()
    assert one.fleet.trouble is None


def test_the_log_has_the_fleets_number_of_each_change(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "breaker_asgi")
    one, other = place.two()
    other.breaker.reset()
    place.later()
    late = place.worker()
    caplog.clear()
    one.fails(5)
    place.later()
    numbers = {
        vars(record)["generation"] for record in caplog.records if "-> open" in record.message
    }
    assert numbers == {2}
    assert {worker.breaker.snapshot().generation for worker in (one, other, late)} == {2}
