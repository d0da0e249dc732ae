"""Slow calls of a fleet, while they run: all workers count them, and each counts once."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import Permit, TimeWindow
from tests.stores.place import OPEN_TIME, Place, Worker

SLOW = 2


def two(place: Place, **settings: Any) -> tuple[Worker, Worker]:
    defaults: dict[str, Any] = {
        "slow_call_rate": 0.5,
        "slow_call_duration": SLOW,
        "window": TimeWindow(60),
        "minimum_calls": 8,
    }
    return place.two(**(defaults | settings))


def hang(worker: Worker, times: int) -> list[Permit]:
    return [worker.breaker.acquire() for _ in range(times)]


def test_calls_that_hang_in_several_workers_open_all(place: Place) -> None:
    one, other = two(place)
    hanging = [*hang(one, 4), *hang(other, 4)]
    place.clock.advance(SLOW + 1)
    for worker in (one, other):
        worker.succeeds()
        assert worker.state == "closed"
    place.later()
    assert (one.state, other.state) == ("open", "open")
    assert "slow-call rate 80% of 10 calls" in place.record().reason
    assert not any(permit.settled for permit in hanging)


@pytest.mark.parametrize(("outcome", "failures"), [("success", 0), ("failure", 1), ("ignore", 0)])
def test_a_call_that_is_slow_and_ends_later_is_reported_once(
    outcome: str, failures: int, place: Place
) -> None:
    one, _ = two(place)
    [permit] = hang(one, 1)
    place.clock.advance(SLOW + 1)
    one.succeeds()
    place.later()
    assert place.record().counts == (2, 0, 1)
    getattr(permit, outcome)()
    place.later()
    assert place.record().counts == (2, failures, 1)


@pytest.mark.parametrize("outcome", ["success", "failure", "ignore"])
def test_a_call_of_an_earlier_generation_that_hangs_is_not_reported(
    outcome: str, place: Place
) -> None:
    one, _ = two(place)
    [late] = hang(one, 1)
    one.breaker.reset()
    place.later(0)
    place.clock.advance(SLOW + 1)
    one.succeeds()
    assert one.breaker.slow_calls == 1
    getattr(late, outcome)()
    place.later()
    assert place.record().counts == (1, 0, 0)


def half_open(place: Place, **settings: Any) -> tuple[Worker, Worker, Permit]:
    """Return two workers and a probe of the first one that hangs."""
    one, other = two(place, half_open_calls=2, **settings)
    one.breaker.open()
    place.later(0)
    place.clock.advance(OPEN_TIME + 1)
    hanging = one.probe()
    assert hanging is not None
    return one, other, hanging


def test_a_probe_that_hangs_is_under_way(place: Place) -> None:
    one, _, _ = half_open(place)
    assert one.breaker.snapshot().calls_under_way == 1


def test_a_probe_that_hangs_is_slow_for_all_before_it_ends(place: Place) -> None:
    one, other, hanging = half_open(place)
    place.clock.advance(SLOW + 1)
    well = one.probe()
    assert well is not None
    well.success()
    place.later()
    assert (one.state, other.state) == ("open", "open")
    assert "slow-call rate 50% of 2 calls" in place.record().reason
    assert not hanging.settled
    assert one.breaker.snapshot().slow_calls_under_way == 1


def test_a_probe_that_was_slow_is_settled_once(place: Place) -> None:
    one, other, hanging = half_open(place, slow_call_rate=1)
    place.clock.advance(SLOW + 1)
    well = one.probe()
    hanging.failure()
    assert well is not None
    well.success()
    place.later()
    assert (one.state, other.state) == ("closed", "closed")
    assert one.breaker.snapshot().calls_under_way == 0


def test_a_probe_whose_answer_has_begun_is_not_slow(place: Place) -> None:
    one, other, answered = half_open(place)
    answered.answered()
    place.clock.advance(SLOW + 1)
    well = one.probe()
    assert well is not None
    well.success()
    answered.success()
    place.later()
    assert (one.state, other.state) == ("closed", "closed")
    assert one.breaker.slow_calls == 0
