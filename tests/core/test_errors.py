"""`CircuitBreakerError`: its attributes, and the objects it does not keep."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import time
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import breaker_asgi.errors
from breaker_asgi import (
    BreakerConfigError,
    BreakerConfigWarning,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerState,
)
from breaker_asgi.testing import FakeClock

NOW = 1_800_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """One clock for the breaker and the wall: both stand still until it advances."""
    clock = FakeClock()
    monkeypatch.setattr(time, "time", lambda: NOW + clock.now)
    return clock


@pytest.fixture
def breaker(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(fail_max=3, timeout_duration=60, name="bank", clock=clock)


def rejection(breaker: CircuitBreaker) -> CircuitBreakerError:
    with pytest.raises(CircuitBreakerError) as raised:
        breaker.acquire()
    return raised.value


def trip(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        breaker.acquire().failure()


# The tree


def test_the_exceptions_form_the_documented_tree() -> None:
    assert CircuitBreakerError.__bases__ == (Exception,)
    assert BreakerConfigError.__bases__ == (ValueError,)
    assert BreakerConfigWarning.__bases__ == (UserWarning,)


def test_the_ancestors_path_leads_to_the_same_class() -> None:
    assert breaker_asgi.errors.CircuitBreakerError is CircuitBreakerError


# Attributes


def test_the_message_says_which_breaker_why_and_for_how_long(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    trip(breaker)
    clock.advance(12.5)
    error = rejection(breaker)
    expected = "breaker 'bank' is open (3 failures in a row); retry in 47.5 s"
    assert str(error) == error.message == expected


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"failure_rate": 0.5, "minimum_calls": 4}, "failure rate 75% of 4 calls, limit 50%"),
        (
            {"slow_call_rate": 1, "slow_call_duration": 1, "minimum_calls": 4},
            "slow-call rate 100% of 4 calls, limit 100%",
        ),
    ],
)
def test_the_reason_names_the_rate_that_was_exceeded(
    settings: dict[str, Any], reason: str, clock: FakeClock
) -> None:
    breaker = CircuitBreaker(**settings, clock=clock)
    permits = [breaker.acquire() for _ in range(4)]
    clock.advance(2)
    permits[0].success()
    for permit in permits[1:]:
        permit.failure()
    assert rejection(breaker).reason == reason


def test_the_reason_names_a_failed_probe(breaker: CircuitBreaker) -> None:
    breaker.half_open()
    breaker.acquire().failure()
    assert rejection(breaker).reason == "a probe failed"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("open", "breaker 'bank' is open (opened by hand); retry in 60 s"),
        ("force_open", "breaker 'bank' is forced open (forced open by hand); retry in 60 s"),
    ],
)
def test_the_reason_names_a_command(command: str, message: str, breaker: CircuitBreaker) -> None:
    getattr(breaker, command)()
    assert str(rejection(breaker)) == message


def test_while_probing_the_reason_is_that_of_the_last_trip(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    trip(breaker)
    clock.advance(61)
    _probe = breaker.acquire()
    expected = "breaker 'bank' is half-open (3 failures in a row); retry in 1 s"
    assert str(rejection(breaker)) == expected


def test_a_breaker_that_was_half_opened_by_hand_does_not_say_that_it_never_opened(
    breaker: CircuitBreaker,
) -> None:
    breaker.half_open()
    _probe = breaker.acquire()
    assert str(rejection(breaker)) == (
        "breaker 'bank' is half-open (half-opened by hand); retry in 1 s"
    )


def test_its_attributes_are_those_of_the_rejection(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    trip(breaker)
    clock.advance(20)
    error = rejection(breaker)
    assert error.name == "bank"
    assert error.state is CircuitBreakerState.OPEN
    assert error.reason == "3 failures in a row"
    assert error.retry_after == 40


def test_its_attributes_stay_when_the_breaker_changes(breaker: CircuitBreaker) -> None:
    trip(breaker)
    error = rejection(breaker)
    before = (error.state, error.reason, error.retry_after, str(error))
    breaker.reset()
    breaker.force_open()
    assert (error.state, error.reason, error.retry_after, str(error)) == before


# Times


def test_retry_after_is_counted_from_the_rejection(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    breaker.open()
    clock.advance(20)
    error = rejection(breaker)
    clock.advance(20)
    assert error.retry_after == 40


def test_time_remaining_runs_out(breaker: CircuitBreaker, clock: FakeClock) -> None:
    breaker.open()
    clock.advance(20)
    error = rejection(breaker)
    assert error.time_remaining == timedelta(seconds=40)
    clock.advance(15)
    assert error.time_remaining == timedelta(seconds=25)
    clock.advance(1000)
    assert error.time_remaining == timedelta(0)


def test_time_remaining_is_never_more_than_retry_after(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    breaker.open()
    error = rejection(breaker)
    clock.advance(-1000)
    assert error.time_remaining == timedelta(seconds=60)


def test_reopen_time_is_the_moment_in_utc(breaker: CircuitBreaker, clock: FakeClock) -> None:
    breaker.open()
    clock.advance(20)
    error = rejection(breaker)
    assert error.reopen_time == datetime.fromtimestamp(NOW + 60, UTC)
    assert error.reopen_time.tzinfo is UTC


def test_while_probing_a_caller_may_come_back_after_a_second(breaker: CircuitBreaker) -> None:
    breaker.half_open()
    _probe = breaker.acquire()
    assert rejection(breaker).retry_after == 1


def test_while_probing_a_caller_may_come_back_when_a_probe_loses_its_permit(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    breaker.half_open()
    _probe = breaker.acquire()
    clock.advance(29.75)
    assert rejection(breaker).retry_after == 0.25


def test_a_forced_open_breaker_names_its_timeout(breaker: CircuitBreaker, clock: FakeClock) -> None:
    breaker.force_open()
    clock.advance(1000)
    error = rejection(breaker)
    assert error.retry_after == 60
    assert error.reopen_time == datetime.fromtimestamp(NOW + 1060, UTC)


def test_a_breaker_that_is_forced_open_for_a_time_names_what_is_left_of_it(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(1000)
    breaker.force_open(for_=300)
    clock.advance(100)
    error = rejection(breaker)
    assert error.retry_after == 200
    assert error.reopen_time == datetime.fromtimestamp(NOW + 1300, UTC)


def test_a_breaker_that_was_forced_open_names_why_until_it_has_closed(
    breaker: CircuitBreaker,
) -> None:
    breaker.force_open(why="sale")
    assert rejection(breaker).reason == "forced open by hand: sale"
    breaker.half_open()
    _probe = breaker.acquire()
    assert rejection(breaker).reason == "forced open by hand: sale"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, KeyError, LookupError])
def test_a_call_that_trips_nothing_raises_its_own_exception_even_if_the_breaker_is_open_by_then(
    kind: type[BaseException],
) -> None:
    """One that is ignored, one that is a success, one that is a failure."""
    breaker = CircuitBreaker(1, 60, exclude=[KeyError], throw_new_error_on_trip=True)
    permit = breaker.acquire()
    breaker.open()
    with pytest.raises(kind), permit:
        raise kind


def test_a_permit_that_was_settled_in_its_block_leaves_the_exception_of_the_block_alone() -> None:
    breaker = CircuitBreaker(1, 60, throw_new_error_on_trip=True)
    with pytest.raises(LookupError), breaker.acquire() as permit:  # noqa: PT012
        permit.failure()
        raise LookupError


def test_a_probe_that_was_taken_back_raises_its_own_exception(
    clock: FakeClock,
) -> None:
    breaker = CircuitBreaker(1, 60, throw_new_error_on_trip=True, clock=clock)
    breaker.half_open()
    probe = breaker.acquire()
    clock.advance(31)
    breaker.acquire().failure()
    with pytest.raises(LookupError), probe:
        raise LookupError
    assert breaker.failures == 1


def test_a_failure_that_a_listener_has_opened_the_breaker_for_raises_its_own_exception() -> None:
    class Strict:
        def failure(self, breaker: CircuitBreaker, _exception: Exception | None) -> None:
            breaker.open()

    breaker = CircuitBreaker(1, 60, throw_new_error_on_trip=True, listeners=[Strict()])
    with pytest.raises(LookupError), breaker:
        raise LookupError


def test_the_call_that_trips_may_raise_it_with_the_whole_time(clock: FakeClock) -> None:
    breaker = CircuitBreaker(1, 60, name="bank", throw_new_error_on_trip=True, clock=clock)
    with pytest.raises(CircuitBreakerError) as raised, breaker:
        raise LookupError
    assert raised.value.retry_after == 60


async def test_sleep_until_open_sleeps_for_what_remains(
    breaker: CircuitBreaker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    breaker.open()
    error = rejection(breaker)
    clock.advance(15)
    await error.sleep_until_open()
    clock.advance(1000)
    await error.sleep_until_open()
    assert slept == [45, 0]


# The error as an object


@pytest.mark.parametrize(
    "duplicate",
    [
        *(lambda error, p=protocol: pickle.loads(pickle.dumps(error, p)) for protocol in range(6)),
        copy.copy,
        copy.deepcopy,
    ],
    ids=[*(f"pickle {protocol}" for protocol in range(6)), "copy", "deepcopy"],
)
def test_a_rejection_can_be_copied(duplicate: Any, breaker: CircuitBreaker) -> None:
    trip(breaker)
    error = rejection(breaker)
    twin = duplicate(error)
    assert type(twin) is CircuitBreakerError
    assert twin is not error
    for attribute in ("name", "state", "reason", "retry_after", "reopen_time", "message"):
        assert getattr(twin, attribute) == getattr(error, attribute)
    assert twin.state is CircuitBreakerState.OPEN


def guarded(breaker: CircuitBreaker) -> Any:
    return breaker(lambda: None)


def test_a_rejection_keeps_no_breaker_alive(clock: FakeClock) -> None:
    breaker = CircuitBreaker(name="bank", clock=clock)
    breaker.open()
    errors = [rejection(breaker).with_traceback(None)]
    with pytest.raises(CircuitBreakerError) as raised:
        guarded(breaker)()
    errors.append(raised.value.with_traceback(None))
    kept = weakref.ref(breaker)
    del breaker, raised
    gc.collect()
    assert kept() is None
    assert [error.name for error in errors] == ["bank", "bank"]


def test_each_rejection_raises_its_own(breaker: CircuitBreaker) -> None:
    breaker.open()
    call = guarded(breaker)
    errors = [rejection(breaker) for _ in range(2)]
    for _ in range(2):
        with pytest.raises(CircuitBreakerError) as raised:
            call()
        errors.append(raised.value)
    assert len({id(error) for error in errors}) == 4


def test_its_traceback_does_not_grow_from_rejection_to_rejection(breaker: CircuitBreaker) -> None:
    breaker.open()
    call = guarded(breaker)
    depths = []
    for _ in range(3):
        with pytest.raises(CircuitBreakerError) as raised:
            call()
        depths.append(len(raised.traceback))
    assert depths == [2, 2, 2]


def test_a_rejection_has_no_cause_and_no_context(breaker: CircuitBreaker) -> None:
    trip(breaker)
    error = rejection(breaker)
    assert (error.__cause__, error.__context__) == (None, None)


def test_a_rejection_shows_nothing_of_the_failures_text(clock: FakeClock) -> None:
    breaker = CircuitBreaker(1, name="bank", keep_messages=True, clock=clock)
    with pytest.raises(LookupError), breaker:
        raise LookupError("password")
    error = rejection(breaker)
    assert "password" not in str(error) + repr(error)


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("still open",),
        ("sorry",),
        (5,),
        (["bank", "open"],),
        ("still open", datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_one_that_is_made_by_hand_is_of_a_breaker_without_a_name(
    args: tuple[object, ...], clock: FakeClock
) -> None:
    error = CircuitBreakerError(*args)
    assert str(error) == error.message == error.reason == str(Exception(*args))
    assert (error.name, error.state) == ("unnamed", CircuitBreakerState.OPEN)
    assert (error.retry_after, error.time_remaining) == (0, timedelta(0))
    assert error.reopen_time == datetime.fromtimestamp(NOW + clock.now, UTC)
