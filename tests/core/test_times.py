"""Sampled durations of calls, which cost the other calls nothing."""

from __future__ import annotations

import threading

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerError
from breaker_asgi._core.counters import TIMED, Recent
from breaker_asgi.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bank(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(name="bank", fail_max=2, clock=clock)


def call(breaker: CircuitBreaker, clock: FakeClock, seconds: float) -> None:
    breaker.call(clock.advance, seconds)


def test_no_call_is_timed_without_an_observer(bank: CircuitBreaker, clock: FakeClock) -> None:
    call(bank, clock, 1)
    assert bank.acquire().started is None
    assert bank._times.latest == ()


def test_as_many_calls_are_timed_as_were_requested(bank: CircuitBreaker, clock: FakeClock) -> None:
    bank._sample_next(2)
    for seconds in (1, 2, 3):
        call(bank, clock, seconds)
    assert bank._times.latest == (1, 2)


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_guarded_function_is_timed_and_then_takes_the_fast_path_again(
    bank: CircuitBreaker,
    clock: FakeClock,
    asynchronous: bool,  # noqa: FBT001
) -> None:
    @bank
    def work() -> None:
        clock.advance(3)

    @bank
    async def work_async() -> None:
        clock.advance(3)

    bank._sample_next(1)
    assert bank._fast_record is None
    for _ in range(2):
        await work_async() if asynchronous else work()
    assert bank._fast_record is not None
    assert bank._times.latest == (3,)
    assert bank.successes == 2


def test_failures_are_timed_and_ignored_calls_are_not(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    bank._sample_next(2)
    for settle in ("failure", "ignore"):
        permit = bank.acquire()
        clock.advance(4)
        getattr(permit, settle)()
    assert bank._times.latest == (4,)


def test_each_observer_gets_all_calls_that_were_timed(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    one = other = bank._sample_next(2).number
    call(bank, clock, 1)
    times = bank._sample_next(2)
    assert times.since(one) == (1,)
    one = times.number
    call(bank, clock, 2)
    assert bank._times.since(one) == (2,)
    assert bank._times.since(other) == (1, 2)


def test_only_the_latest_times_are_kept(bank: CircuitBreaker, clock: FakeClock) -> None:
    bank._sample_next(20)
    for seconds in range(20):
        call(bank, clock, seconds)
    times = bank._times
    assert times.number == 20
    assert times.since(0) == times.latest == tuple(range(4, 20))
    assert times.since(19) == (19,)
    assert times.since(20) == ()


def test_a_slow_call_keeps_its_place_while_quick_ones_come_and_go(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    bank._sample_next(2)
    slow = bank.acquire()
    for _ in range(5):
        call(bank, clock, 1)
    slow.success()
    assert bank._times.latest == (1, 5)


def test_a_rejected_call_takes_no_place(bank: CircuitBreaker, clock: FakeClock) -> None:
    bank.half_open()
    bank._sample_next(2)
    probe = bank.acquire()
    for _ in range(5):
        with pytest.raises(CircuitBreakerError):
            bank.acquire()
    clock.advance(3)
    probe.success()
    call(bank, clock, 1)
    assert bank._times.latest == (3, 1)


def test_timing_makes_no_call_slow(bank: CircuitBreaker, clock: FakeClock) -> None:
    bank._sample_next(1)
    call(bank, clock, 1e9)
    assert bank.slow_calls == 0


def test_a_breaker_that_opens_while_it_times_calls_rejects(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    bank._sample_next(5)
    for _ in range(2):
        bank.acquire().failure()
    with pytest.raises(CircuitBreakerError):
        call(bank, clock, 1)
    bank._sample_next(5)
    with pytest.raises(CircuitBreakerError):
        call(bank, clock, 1)


def test_slow_calls_are_counted_since_the_start(clock: FakeClock) -> None:
    bank = CircuitBreaker(
        slow_call_rate=1, slow_call_duration=1, minimum_calls=100, clock=clock, name="bank"
    )
    for seconds in (1, 1.5, 2):
        call(bank, clock, seconds)
    bank.reset()
    assert bank.slow_calls == bank.snapshot().slow_calls == 2


def test_an_answer_that_begins_in_time_ends_the_call(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(50)
    bank._sample_next(2)
    permit = bank.acquire()
    clock.advance(1)
    permit.answered()
    clock.advance(100)
    permit.success()
    assert bank._times.latest == (1,)


@pytest.mark.parametrize(("began", "slow_calls"), [(1, 0), (1.5, 1)])
def test_an_answer_that_begins_after_just_the_duration_is_not_slow(
    began: float, slow_calls: int, clock: FakeClock
) -> None:
    bank = CircuitBreaker(slow_call_rate=1, slow_call_duration=1, minimum_calls=9, clock=clock)
    permit = bank.acquire()
    clock.advance(began)
    permit.answered()
    clock.advance(100)
    permit.success()
    assert bank.slow_calls == slow_calls


def test_sampling_leaves_no_stale_fast_path_after_a_change(bank: CircuitBreaker) -> None:
    """One thread samples again and again while another opens and closes the breaker."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            bank._sample_next(1)
            bank._is_sampled()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(2_000):
            bank.force_open()
            assert bank._fast_record is None
            bank.close()
    finally:
        stop.set()
        asking.join()
    assert bank._fast_record is bank._generation.record


# Cursors of observers


def test_a_few_calls_between_two_observations_are_timed(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    recent = Recent()
    assert recent.take(bank) == ()
    for seconds in range(10):
        bank.call(clock.advance, seconds)
    assert recent.take(bank) == tuple(range(TIMED))
    assert recent.take(bank) == ()


def test_a_duration_sampled_for_another_observer_before_is_not_reported(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    bank._sample_next(1)
    bank.call(clock.advance, 7)
    assert Recent().take(bank) == ()


def test_two_observers_get_the_same_durations(bank: CircuitBreaker, clock: FakeClock) -> None:
    one, other = Recent(), Recent()
    for observer in (one, other):
        observer.take(bank)
    bank.call(clock.advance, 1)
    assert one.take(bank) == (1,)
    bank.call(clock.advance, 2)
    assert other.take(bank) == (1, 2)
    assert one.take(bank) == (2,)


def test_calls_are_timed_again_after_all_sampled_ones_were_ignored(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    recent = Recent()
    recent.take(bank)
    for _ in range(TIMED):
        bank.acquire().ignore()
    assert recent.take(bank) == ()
    call(bank, clock, 1)
    assert recent.take(bank) == (1,)


@pytest.mark.parametrize("ignored", [0, TIMED - 1])
def test_an_observer_takes_no_lock_while_calls_are_still_to_be_sampled(
    ignored: int, bank: CircuitBreaker
) -> None:
    recent = Recent()
    recent.take(bank)
    for _ in range(ignored):
        bank.acquire().ignore()
    with bank._lock:
        thread = threading.Thread(target=recent.take, args=[bank], daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
