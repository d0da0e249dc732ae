"""Probes: none is lost to a call that never starts, and a slow one counts all the same."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerError, Permit
from breaker_asgi.testing import FakeClock


@pytest.fixture
def bank(clock: FakeClock) -> CircuitBreaker:
    """Half-open, with one probe to give."""
    bank = CircuitBreaker(fail_max=1, timeout_duration=5, half_open_timeout=30, clock=clock)
    bank.half_open()
    return bank


async def ask() -> int:
    return 1


def rows() -> Iterator[int]:
    yield 1


def is_admitted(bank: CircuitBreaker) -> bool:
    try:
        bank.acquire().ignore()
    except CircuitBreakerError:
        return False
    return True


# A call that never starts


async def test_a_task_that_is_cancelled_before_its_first_step_gives_its_permit_back(
    bank: CircuitBreaker,
) -> None:
    task = asyncio.ensure_future(bank.call(ask))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_admitted(bank)
    assert bank.ignored == 2


def test_a_coroutine_that_is_closed_unbegun_gives_its_permit_back(bank: CircuitBreaker) -> None:
    call: Any = bank.call(ask)
    call.close()
    assert is_admitted(bank)


def test_a_generator_that_is_closed_unread_gives_its_permit_back(bank: CircuitBreaker) -> None:
    items: Any = bank.call(rows)
    items.close()
    assert is_admitted(bank)
    assert bank.ignored == 2


def test_a_permit_that_is_dropped_goes_back(bank: CircuitBreaker) -> None:
    permit = bank.acquire()
    del permit
    gc.collect()
    assert is_admitted(bank)


async def test_a_call_that_starts_late_is_a_probe_like_any_other(bank: CircuitBreaker) -> None:
    assert await bank.call(ask) == 1
    assert bank.state == "closed"


def test_a_generator_that_starts_late_is_a_probe_like_any_other(bank: CircuitBreaker) -> None:
    assert list(bank.call(rows)) == [1]
    assert bank.state == "closed"


def test_wrong_arguments_cost_no_probe(bank: CircuitBreaker) -> None:
    with pytest.raises(TypeError):
        bank.call(len, 1, 2)  # type: ignore[call-arg, arg-type]
    assert (bank.calls, is_admitted(bank)) == (0, True)


# A call that takes longer than `half_open_timeout`


def test_a_dependency_slower_than_the_time_limit_of_probes_recovers(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    slow = bank.acquire()
    clock.advance(31)
    second = bank.acquire()
    clock.advance(14)
    slow.success()
    assert bank.state == "closed"
    second.success()
    assert bank.successes == 2


def test_a_probe_keeps_its_permit_until_its_time_limit_has_passed(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    _slow = bank.acquire()
    clock.advance(30)
    assert not is_admitted(bank)
    clock.advance(0.001)
    assert is_admitted(bank)


def test_a_slow_probe_that_fails_opens(bank: CircuitBreaker, clock: FakeClock) -> None:
    slow = bank.acquire()
    clock.advance(31)
    bank.acquire()
    slow.failure(ConnectionError())
    assert bank.state == "open"


def test_a_slow_probe_that_is_ignored_frees_no_second_permit(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    slow = bank.acquire()
    clock.advance(31)
    second = bank.acquire()
    slow.ignore()
    assert not is_admitted(bank)
    second.success()
    assert (bank.state, bank.ignored) == ("closed", 0)


def test_a_probe_of_an_earlier_half_open_state_changes_nothing(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    slow = bank.acquire()
    clock.advance(31)
    bank.open()
    clock.advance(6)
    bank.half_open()
    slow.success()
    assert bank.state == "half_open"


def test_an_answer_that_takes_45_seconds_loses_a_minute_of_calls_and_not_an_hour(
    clock: FakeClock,
) -> None:
    llm = CircuitBreaker(timeout_duration=5, clock=clock)
    llm.open()
    clock.advance(6)
    under_way: list[tuple[int, Permit]] = []
    rejected = 0
    for second in range(3600):
        clock.advance(1)
        while under_way and under_way[0][0] <= second:
            under_way.pop(0)[1].success()
        try:
            under_way.append((second + 45, llm.acquire()))
        except CircuitBreakerError:
            rejected += 1
    assert (llm.state, rejected) == ("closed", 43)


# Calls inside of a probe


def test_a_call_inside_of_a_probe_needs_no_permit(bank: CircuitBreaker) -> None:
    with bank:
        assert bank.acquire().state == "half_open"
        assert bank.call(len, "abc") == 3
    assert (bank.state, bank.successes) == ("closed", 1)


def test_a_block_of_another_breaker_does_not_end_the_probe_around_it(
    bank: CircuitBreaker,
) -> None:
    with bank:
        with CircuitBreaker():
            pass
        assert bank.call(len, "abc") == 3
    assert bank.state == "closed"


def test_a_call_inside_of_a_probe_that_lost_its_permit_is_not_admitted(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    with bank:
        clock.advance(31)
        other = Context().run(bank.acquire)
        with pytest.raises(CircuitBreakerError):
            bank.call(len, "abc")
        other.ignore()


# Corners


def test_a_call_between_the_success_of_the_last_probe_and_the_change_is_rejected(
    bank: CircuitBreaker,
) -> None:
    class Hasty:
        retry_after: float | None = None

        def success(self, breaker: CircuitBreaker) -> None:
            with pytest.raises(CircuitBreakerError) as rejected:
                breaker.acquire()
            self.retry_after = rejected.value.retry_after

    hasty = Hasty()
    bank.add_listener(hasty)
    bank.acquire().success()
    assert (bank.state, hasty.retry_after) == ("closed", 1)


class TurningClock(FakeClock):
    """A clock that does something the next time it is read, as another thread may."""

    action: Callable[[], object] | None = None

    def __call__(self) -> float:
        action, self.action = self.action, None
        if action is not None:
            action()
        return self.now


def test_a_caller_that_another_one_has_closed_the_breaker_for_is_admitted() -> None:
    clock = TurningClock()
    bank = CircuitBreaker(fail_max=1, timeout_duration=5, clock=clock)
    bank.open()
    clock.advance(6)
    clock.action = bank.close
    assert bank.acquire().state == "closed"


def test_an_open_time_that_is_over_rejects_nothing_fast(clock: FakeClock) -> None:
    bank = CircuitBreaker(fail_max=1, timeout_duration=5, clock=clock)
    assert bank._reject_fast() is None
    bank.open()
    for wait in (5, 3, 0):
        assert bank._reject_fast() == wait
        clock.advance(2 if wait == 5 else 3)
    assert bank._reject_fast() is None
    assert bank.rejected == 3


def test_a_change_by_hand_just_when_the_time_set_by_hand_is_over_stays() -> None:
    clock = TurningClock()
    bank = CircuitBreaker(clock=clock)
    bank.disable(for_=5)
    clock.advance(6)
    clock.action = bank.force_open
    with pytest.raises(CircuitBreakerError):
        bank.acquire()
    assert bank.state == "forced_open"
