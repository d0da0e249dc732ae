"""Outages of a fleet: all workers have the same one, and it survives a restart of all of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from breaker_asgi import CircuitBreakerError, Outage, TimeWindow
from breaker_asgi._fleet.synchroniser import COMPARE
from breaker_asgi.stores import outages
from breaker_asgi.stores.protocol import Counts, SharedOutage
from breaker_asgi.stores.sqlite import SQLiteStore
from tests.stores.place import OPEN_TIME, Place, Worker

EPOCH = datetime.fromtimestamp(0, UTC)
RATE: Any = {"failure_rate": 0.5, "minimum_calls": 8, "window": TimeWindow(10)}
RAMP: Any = {"ramp": timedelta(seconds=30)}


def outage(worker: Worker) -> Outage:
    last = worker.breaker.snapshot().outage
    assert last
    return last


def began(worker: Worker) -> float:
    """Return when the outage began, by the clock of the place."""
    course = worker.breaker._generation.transition.outage
    assert course
    return course.began


def rejects(worker: Worker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(CircuitBreakerError):
            worker.breaker.acquire()


def fail_probe(place: Place, worker: Worker) -> None:
    place.later(OPEN_TIME * 2)
    permit = worker.probe()
    assert permit
    permit.failure(TimeoutError())
    place.later()


def recover(place: Place, worker: Worker) -> None:
    place.later(OPEN_TIME * 2)
    permit = worker.probe()
    assert permit
    permit.success()
    place.later()


def trip(place: Place, worker: Worker) -> None:
    for _ in range(5):
        worker.breaker.acquire().failure(ConnectionError())
    place.later()


def restart(place: Place) -> Worker:
    place.workers.clear()
    return place.worker()


def plain(last: Outage) -> Outage:
    """Return the outage without its moments, which each worker measures."""
    ended_at, last_probe_at = last.ended_at and EPOCH, last.last_probe_at and EPOCH
    return replace(last, began_at=EPOCH, ended_at=ended_at, last_probe_at=last_probe_at)


def record(place: Place) -> SharedOutage:
    kept = place.record().outage
    assert kept
    return kept


class TestAllWorkers:
    def test_all_workers_have_the_outage_of_the_worker_that_opened(self, place: Place) -> None:
        one, other = place.two()
        trip(place, one)
        assert outage(other).failure_type == "ConnectionError"
        assert outage(other).consecutive_failures == 5
        assert plain(outage(one)) == plain(outage(other))
        assert began(one) == pytest.approx(began(other), abs=0.1)

    def test_a_worker_that_starts_later_has_it_too(self, place: Place) -> None:
        one = place.worker()
        trip(place, one)
        fail_probe(place, one)
        late = place.worker()
        assert outage(late).probes_failed == 1
        assert plain(outage(one)) == plain(outage(late))
        assert began(one) == pytest.approx(began(late), abs=0.1)

    def test_failed_probes_leave_beginning_and_reason(self, place: Place) -> None:
        one, other = place.two()
        trip(place, one)
        reason, since = outage(one).reason, began(one)
        fail_probe(place, other)
        for worker in (one, other):
            assert began(worker) == pytest.approx(since, abs=0.1)
            assert outage(worker).reason == reason
            assert outage(worker).probes_failed == 1

    def test_rejected_calls_of_all_workers_add_up(self, place: Place) -> None:
        one, other = place.two()
        trip(place, one)
        rejects(one, 3)
        rejects(other, 4)
        place.later()
        place.later(COMPARE)
        assert [outage(worker).rejected for worker in (one, other)] == [7, 7]
        assert record(place).rejected == 7

    def test_the_counts_are_those_of_all_workers(self, place: Place) -> None:
        one, other = place.two(**RATE)
        one.fails(4)
        other.succeeds(4)
        place.later()
        for worker in (one, other):
            assert (outage(worker).calls, outage(worker).failure_rate) == (8, 0.5)
        assert record(place).counts == Counts(8, 4)

    def test_the_end_is_that_of_all_workers(self, place: Place) -> None:
        one, other = place.two()
        trip(place, one)
        rejects(one, 2)
        recover(place, other)
        place.later(COMPARE)
        assert outage(one).ended_at
        assert outage(one).rejected == one.breaker.rejected + other.breaker.rejected
        assert plain(outage(one)) == plain(outage(other))
        assert began(one) == pytest.approx(began(other), abs=0.1)

    def test_moments_do_not_change_with_each_exchange(self, place: Place) -> None:
        one, _ = place.two()
        trip(place, one)
        before = began(one)
        for _ in range(3):
            rejects(one, 1)
            place.later()
        assert began(one) == before

    def test_a_relapse_out_of_closing_takes_the_end_back(self, place: Place) -> None:
        one, other = place.two(**RAMP)
        trip(place, one)
        before = outage(one)
        recover(place, one)
        assert outage(other).ended_at
        while other.state == "closing":
            with suppress(CircuitBreakerError):
                other.fails()
        place.later()
        for worker in (one, other):
            assert worker.state == "open"
            assert (outage(worker).ended_at, outage(worker).reason) == (None, before.reason)
            assert outage(worker).probes_failed == 1

    def test_an_operators_outage_is_by_hand(self, place: Place) -> None:
        one, other = place.two()
        one.breaker.force_open(who="ada", why="migration")
        place.later()
        assert (outage(other).by_hand, outage(other).who) == (True, "ada")
        assert outage(other).reason == outage(one).reason


class TestThisWorkerOnly:
    def test_an_outage_of_one_worker_is_none_of_the_fleet(self, place: Place) -> None:
        one, other = place.two(quorum=2)
        trip(place, one)
        rejects(one, 3)
        place.later()
        assert (outage(one).rejected, outage(one).ended_at) == (3, None)
        assert other.breaker.snapshot().outage is None
        assert place.record().outage is None

    def test_its_rejected_calls_count_once_it_is_for_all(self, place: Place) -> None:
        one, other = place.two(quorum=2)
        trip(place, one)
        rejects(one, 3)
        trip(place, other)
        place.later(COMPARE)
        assert place.record().state == "open"
        assert [outage(worker).rejected for worker in (one, other)] == [3, 3]

    def test_its_rejected_calls_are_dropped_when_it_closes(self, place: Place) -> None:
        one, other = place.two(quorum=2)
        trip(place, one)
        rejects(one, 3)
        recover(place, one)
        other.breaker.open()
        place.later()
        place.later()
        assert record(place).rejected == 0


class TestRestart:
    def test_an_outage_survives_the_restart_of_all_workers(self, place: Place) -> None:
        one = place.worker()
        trip(place, one)
        rejects(one, 3)
        fail_probe(place, one)
        before, since = outage(one), began(one)
        place.later(60)
        new = restart(place)
        assert (outage(new).probes_failed, outage(new).rejected) == (1, one.breaker.rejected)
        assert plain(outage(new)) == plain(before)
        assert began(new) == pytest.approx(since, abs=0.1)

    def test_an_outage_survives_in_a_file(self, place: Place, path: Path) -> None:
        place.store = cast("Any", SQLiteStore(path, clock=place.clock))
        one = place.worker()
        trip(place, one)
        rejects(one, 3)
        fail_probe(place, one)
        before = outage(one)
        place.store.close()
        place.store = cast("Any", SQLiteStore(path, clock=place.clock))
        assert plain(outage(restart(place))) == plain(before)
        place.store.close()

    def test_one_that_has_ended_survives_it_too(self, place: Place) -> None:
        one = place.worker()
        trip(place, one)
        recover(place, one)
        place.later(60)
        after = outage(restart(place))
        assert after.ended_at
        assert after.failure_type == "ConnectionError"

    def test_the_workers_write_it_again_where_the_store_has_lost_it(self, place: Place) -> None:
        one = place.worker()
        trip(place, one)
        rejects(one, 3)
        fail_probe(place, one)
        before = record(place)
        place.store._records.clear()
        place.store._points.clear()
        place.store._point = 0
        place.later(COMPARE)
        place.later()
        after = record(place)
        assert (after.reason, after.failure_type) == (before.reason, before.failure_type)
        assert (after.probes_failed, after.rejected) == (1, one.breaker.rejected)
        assert after.age > before.age

    def test_calls_rejected_just_before_the_end_count(self, place: Place) -> None:
        one, other = place.two()
        trip(place, one)
        place.clock.advance(OPEN_TIME * 2)
        permit = one.probe()
        assert permit
        rejects(one, 2)
        permit.success()
        place.later()
        assert one.state == "closed"
        assert record(place).rejected == one.breaker.rejected == 3
        place.later(COMPARE)
        assert outage(other).rejected == 3


class TestTraffic:
    def test_rejected_calls_are_one_report_a_second(self, place: Place) -> None:
        one = place.worker()
        trip(place, one)
        before = one.line.operations["report"]
        for _ in range(3):
            rejects(one, 100)
            one.step()
        place.later()
        assert one.line.operations["report"] == before + 1

    def test_nothing_is_reported_where_nothing_was_rejected(self, place: Place) -> None:
        one = place.worker()
        trip(place, one)
        place.later()
        before = one.line.operations["batches"]
        for _ in range(4):
            place.later()
        assert one.line.operations["batches"] == before

    def test_a_report_whose_answer_was_lost_counts_once(self, place: Place) -> None:
        one = place.worker()
        trip(place, one)
        rejects(one, 3)
        one.line.loses_answers = True
        place.later()
        place.later()
        one.line.loses_answers = False
        place.later()
        assert record(place).rejected == 3


class TestStoreWithoutOutages:
    def test_a_workers_own_outage_holds(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outages, "after", lambda *_: None)
        one, other = place.two()
        trip(place, one)
        rejects(one, 3)
        place.later()
        assert place.record().outage is None
        assert (outage(one).rejected, outage(other).rejected) == (3, 0)
        assert outage(other).reason == outage(one).reason
