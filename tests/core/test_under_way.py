"""Slow calls while they run: one that takes too long counts at once, and once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextvars import copy_context
from typing import Any

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerError, CountWindow, Permit, TimeWindow
from breaker_asgi.testing import FakeClock

SLOW = 2.0
"""The `slow_call_duration` of the breakers here."""


class DownError(Exception):
    """Failure of the dependency."""


class CallerLeftError(BaseException):
    """Exception that is ignored."""


@pytest.fixture(params=[CountWindow(20), TimeWindow(60)], ids=["count", "time"])
def window(request: pytest.FixtureRequest) -> CountWindow | TimeWindow:
    kind: CountWindow | TimeWindow = request.param
    return kind


@pytest.fixture
def bank(clock: FakeClock, window: CountWindow | TimeWindow) -> CircuitBreaker:
    """A breaker that opens when half of the calls are slow, of four at least."""
    return CircuitBreaker(
        name="bank",
        slow_call_rate=0.5,
        slow_call_duration=SLOW,
        window=window,
        minimum_calls=4,
        timeout_duration=10,
        half_open_calls=2,
        clock=clock,
    )


def patient(clock: FakeClock, **settings: Any) -> CircuitBreaker:
    """Return a breaker that takes notice of slow calls, and does not open by them."""
    defaults = {"slow_call_rate": 1, "slow_call_duration": SLOW, "minimum_calls": 20}
    return CircuitBreaker(**(defaults | settings), clock=clock)


def under_way(breaker: CircuitBreaker) -> tuple[int | None, int | None]:
    """Return the calls under way, and the slow ones of them."""
    snapshot = breaker.snapshot()
    return snapshot.calls_under_way, snapshot.slow_calls_under_way


def recorded(breaker: CircuitBreaker) -> tuple[int, int, int]:
    """Return the calls in the window, the failures and the slow ones."""
    record: Any = breaker._generation.record
    record.advance(breaker.config.clock())
    return record.calls, record.failures, record.slow_calls


def quick(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().success()


def hang(breaker: CircuitBreaker, clock: FakeClock, times: int = 1) -> list[Permit]:
    """Return the permits of calls that have been running for too long, and were counted."""
    permits = [breaker.acquire() for _ in range(times)]
    clock.advance(SLOW + 1)
    quick(breaker)
    return permits


# When it counts


def test_calls_that_hang_open_a_breaker_before_they_end(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    hanging = [bank.acquire() for _ in range(4)]
    clock.advance(SLOW + 1)
    with pytest.raises(CircuitBreakerError):
        bank.acquire()
    assert bank.snapshot().reason == "slow-call rate 100% of 4 calls, limit 50%"
    assert not any(permit.settled for permit in hanging)


def test_a_call_that_ends_counts_those_that_hang(bank: CircuitBreaker, clock: FakeClock) -> None:
    hanging = [bank.acquire() for _ in range(3)]
    clock.advance(SLOW)
    quickest = bank.acquire()
    clock.advance(1)
    quickest.success()
    assert bank.snapshot().reason == "slow-call rate 75% of 4 calls, limit 50%"
    assert not any(permit.settled for permit in hanging)


def test_a_call_is_not_slow_before_its_time(bank: CircuitBreaker, clock: FakeClock) -> None:
    hanging = [bank.acquire() for _ in range(4)]
    clock.advance(SLOW)
    quick(bank)
    assert recorded(bank) == (1, 0, 0)
    assert under_way(bank) == (len(hanging), 0)


def test_a_call_counts_as_slow_a_slot_after_its_time_at_the_latest(clock: FakeClock) -> None:
    breaker = patient(clock)
    hanging = breaker.acquire()
    clock.advance(SLOW + SLOW / 100 + 0.001)
    quick(breaker)
    assert breaker.slow_calls == 1
    assert not hanging.settled


def test_while_nobody_calls_none_is_counted(bank: CircuitBreaker, clock: FakeClock) -> None:
    hanging = [bank.acquire() for _ in range(4)]
    clock.advance(3600)
    assert bank.state == "closed"
    assert under_way(bank) == (len(hanging), 4)


def test_a_call_that_hangs_is_counted_once(clock: FakeClock) -> None:
    breaker = patient(clock)
    hanging = hang(breaker, clock)
    for _ in range(5):
        clock.advance(SLOW + 1)
        quick(breaker)
    assert breaker.slow_calls == 1
    assert recorded(breaker) == (7, 0, 1)
    assert len(hanging) == 1


def test_only_the_calls_that_began_early_enough_are_slow(clock: FakeClock) -> None:
    breaker = patient(clock)
    permits = []
    for _ in range(4):
        permits.append(breaker.acquire())
        clock.advance(1)
    quick(breaker)
    assert under_way(breaker) == (4, 2)
    assert [permit.settled for permit in permits] == [False] * 4


def test_a_breaker_in_metrics_only_counts_them_and_stays(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    bank.metrics_only()
    hang(bank, clock, 9)
    assert recorded(bank) == (10, 0, 9)
    assert bank.state == "metrics_only"


# What becomes of it


def test_a_slow_call_that_succeeds_stays_slow(
    clock: FakeClock, window: CountWindow | TimeWindow
) -> None:
    breaker = patient(clock, window=window)
    [permit] = hang(breaker, clock)
    permit.success()
    assert recorded(breaker) == (2, 0, 1)
    assert (breaker.successes, breaker.slow_calls) == (2, 1)


def test_a_slow_call_that_fails_is_slow_and_failed(
    clock: FakeClock, window: CountWindow | TimeWindow
) -> None:
    breaker = patient(clock, window=window)
    [permit] = hang(breaker, clock)
    permit.failure(DownError())
    assert recorded(breaker) == (2, 1, 1)
    assert (breaker.successes, breaker.failures, breaker.slow_calls) == (1, 1, 1)


def test_slow_calls_that_fail_are_failures_in_a_row(
    clock: FakeClock, window: CountWindow | TimeWindow
) -> None:
    breaker = patient(clock, fail_max=3, window=window)
    permits = hang(breaker, clock, 3)
    for permit in permits[:2]:
        permit.failure(DownError())
    assert (breaker.fail_counter, breaker.state) == (2, "closed")
    permits[2].failure(DownError())
    assert breaker.snapshot().reason == "3 failures in a row: DownError"


def test_a_slow_call_that_succeeds_ends_a_row_of_failures(
    clock: FakeClock, window: CountWindow | TimeWindow
) -> None:
    breaker = patient(clock, fail_max=3, window=window)
    [permit] = hang(breaker, clock)
    for _ in range(2):
        breaker.acquire().failure(DownError())
    permit.success()
    assert breaker.fail_counter == 0


def test_a_call_that_only_runs_ends_no_row_of_failures(
    clock: FakeClock, window: CountWindow | TimeWindow
) -> None:
    breaker = patient(clock, fail_max=3, window=window)
    breaker.acquire().failure(DownError())
    hanging = breaker.acquire()
    clock.advance(SLOW + 1)
    breaker.acquire().ignore()
    assert (breaker.slow_calls, breaker.fail_counter) == (1, 1)
    assert not hanging.settled


def test_slow_calls_that_fail_are_a_share_of_failures(
    clock: FakeClock, window: CountWindow | TimeWindow
) -> None:
    breaker = patient(clock, failure_rate=0.5, minimum_calls=4, window=window)
    permits = hang(breaker, clock, 3)
    permits[0].failure(DownError())
    assert breaker.state == "closed"
    permits[1].failure(DownError())
    assert breaker.snapshot().reason == "failure rate 50% of 4 calls, limit 50%: DownError"


@pytest.mark.parametrize("ends", ["ignore", "_hand_back"])
def test_a_slow_call_that_is_no_evidence_stays_slow(
    ends: str, clock: FakeClock, window: CountWindow | TimeWindow
) -> None:
    breaker = patient(clock, window=window)
    [permit] = hang(breaker, clock)
    getattr(permit, ends)()
    assert recorded(breaker) == (2, 0, 1)
    assert under_way(breaker) == (0, 0)


def test_a_slow_call_that_is_dropped_stays_slow(clock: FakeClock) -> None:
    breaker = patient(clock)
    permits = hang(breaker, clock)
    permits.clear()
    gc.collect()
    assert recorded(breaker) == (2, 0, 1)
    assert under_way(breaker) == (0, 0)


def test_a_call_that_ends_too_late_is_slow_though_none_came_meanwhile(clock: FakeClock) -> None:
    breaker = patient(clock)
    permit = breaker.acquire()
    clock.advance(SLOW + 1)
    permit.failure(DownError())
    assert recorded(breaker) == (1, 1, 1)
    assert breaker.slow_calls == 1


def test_a_slow_call_is_settled_once(clock: FakeClock) -> None:
    breaker = patient(clock)
    [permit] = hang(breaker, clock)
    permit.failure(DownError())
    permit.failure(DownError())
    permit.answered()
    assert recorded(breaker) == (2, 1, 1)
    assert under_way(breaker) == (0, 0)


def test_the_last_calls_keep_a_slow_one_until_others_take_its_place(clock: FakeClock) -> None:
    breaker = patient(clock, window=CountWindow(4), minimum_calls=4)
    [permit] = hang(breaker, clock)
    quick(breaker, 3)
    assert recorded(breaker) == (4, 0, 0)
    permit.failure(DownError())
    assert recorded(breaker) == (4, 0, 0)
    assert (breaker.failures, breaker.fail_counter) == (1, 1)


def test_of_the_last_calls_a_failure_is_the_first_that_runs(clock: FakeClock) -> None:
    breaker = patient(clock, window=CountWindow(5), minimum_calls=5)
    first, second = hang(breaker, clock, 2)
    second.failure(DownError())
    assert recorded(breaker) == (3, 1, 2)
    quick(breaker, 3)
    assert recorded(breaker) == (5, 0, 1)
    first.failure(DownError())
    assert recorded(breaker) == (5, 1, 1)


def test_the_ring_of_the_last_calls_is_searched_from_its_oldest(clock: FakeClock) -> None:
    breaker = patient(clock, window=CountWindow(4), minimum_calls=4)
    quick(breaker, 3)
    older = breaker.acquire()
    clock.advance(SLOW + 1)
    newer = breaker.acquire()  # counts the older one, in the last place of the ring
    clock.advance(SLOW + 1)
    breaker.acquire().ignore()  # counts the newer one, in the first
    older.failure(DownError())
    quick(breaker, 2)
    assert recorded(breaker) == (4, 1, 2)
    quick(breaker)
    assert recorded(breaker) == (4, 0, 1)
    assert not newer.settled


def test_a_window_of_time_has_a_failure_in_the_second_that_found_it_slow(
    clock: FakeClock,
) -> None:
    breaker = patient(clock, window=TimeWindow(10))
    [permit] = hang(breaker, clock)
    clock.advance(8)
    permit.failure(DownError())
    assert recorded(breaker) == (2, 1, 1)
    clock.advance(1)
    assert recorded(breaker) == (2, 1, 1)
    clock.advance(1)
    assert recorded(breaker) == (0, 0, 0)


def test_a_window_of_time_forgets_a_slow_call_with_its_second(clock: FakeClock) -> None:
    breaker = patient(clock, window=TimeWindow(10))
    [permit] = hang(breaker, clock)
    clock.advance(10)
    quick(breaker)
    permit.failure(DownError())
    assert recorded(breaker) == (1, 0, 0)
    assert (breaker.failures, breaker.fail_counter) == (1, 1)


# After a change of state


@pytest.mark.parametrize("outcome", ["success", "failure", "ignore"])
def test_a_call_that_hangs_beyond_a_change_counts_in_the_totals_only(
    outcome: str, bank: CircuitBreaker, clock: FakeClock
) -> None:
    late = bank.acquire()
    bank.reset()
    quick(bank)
    clock.advance(SLOW + 1)
    quick(bank)
    assert (bank.slow_calls, recorded(bank)) == (1, (2, 0, 0))
    getattr(late, outcome)()
    assert (bank.slow_calls, recorded(bank)) == (1, (2, 0, 0))
    assert under_way(bank) == (0, 0)


@pytest.mark.parametrize("outcome", ["success", "failure", "ignore"])
def test_a_call_that_was_slow_before_a_change_counts_no_more_after_it(
    outcome: str, bank: CircuitBreaker, clock: FakeClock
) -> None:
    [late] = hang(bank, clock)
    bank.reset()
    quick(bank)
    getattr(late, outcome)()
    assert (bank.slow_calls, recorded(bank)) == (1, (1, 0, 0))


def test_an_open_breaker_counts_the_calls_that_still_hang(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    early, late = bank.acquire(), bank.acquire()
    bank.open()
    clock.advance(SLOW + 1)
    early.success()
    assert (bank.slow_calls, under_way(bank)) == (2, (1, 1))
    late.success()
    assert (bank.slow_calls, under_way(bank)) == (2, (0, 0))
    assert bank.state == "open"


def test_a_disabled_breaker_has_no_calls_under_way(bank: CircuitBreaker, clock: FakeClock) -> None:
    bank.disable()
    permit = bank.acquire()
    clock.advance(SLOW + 1)
    quick(bank)
    assert under_way(bank) == (0, 0)
    assert bank.slow_calls == 0
    assert permit.settled


class InterruptedClock(FakeClock):
    """A clock at whose next reading another thread is quicker."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[], object]] = []

    def __call__(self) -> float:
        while self.meanwhile:
            self.meanwhile.pop()()
        return self.now


def test_a_call_whose_breaker_is_disabled_as_it_begins_is_slow_by_its_end_only() -> None:
    clock = InterruptedClock()
    breaker = patient(clock)
    other = breaker.acquire()

    @breaker
    def charge() -> None:
        clock.advance(SLOW + 1)
        breaker.close()
        quick(breaker)
        assert breaker.slow_calls == 0

    clock.meanwhile = [other.success, breaker.disable]
    charge()
    assert (breaker.slow_calls, recorded(breaker)) == (1, (1, 0, 0))


# Half-open


def test_a_probe_that_hangs_counts_as_slow_at_the_next_call(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    bank.half_open()
    hanging = [bank.acquire(), bank.acquire()]
    clock.advance(SLOW + 1)
    with pytest.raises(CircuitBreakerError):
        bank.acquire()
    assert bank.snapshot().reason == "slow-call rate 100% of 2 calls, limit 50%"
    assert under_way(bank) == (len(hanging), 2)


def test_a_probe_that_was_counted_as_slow_is_not_counted_again(
    clock: FakeClock, window: CountWindow | TimeWindow
) -> None:
    breaker = patient(clock, minimum_calls=3, half_open_calls=3, window=window)
    breaker.half_open()
    hanging = breaker.acquire()
    clock.advance(SLOW + 1)
    other = breaker.acquire()
    assert (under_way(breaker), recorded(breaker)) == ((2, 1), (1, 0, 1))
    hanging.success()
    assert (under_way(breaker), recorded(breaker)) == ((1, 0), (1, 0, 1))
    other.success()
    quick(breaker)
    assert breaker.state == "closed"
    assert (breaker.successes, breaker.slow_calls) == (3, 1)


def test_a_probe_that_fails_after_it_was_slow_opens_a_breaker_that_trips_by_a_streak(
    clock: FakeClock,
) -> None:
    breaker = patient(clock, fail_max=5, half_open_calls=3)
    breaker.half_open()
    hanging = breaker.acquire()
    clock.advance(SLOW + 1)
    quick(breaker)
    assert breaker.state == "half_open"
    hanging.failure(DownError())
    assert breaker.snapshot().reason == "a probe failed: DownError"


@pytest.mark.parametrize("ends", ["ignore", "_hand_back"])
def test_a_slow_probe_that_is_no_evidence_has_ended_all_the_same(
    ends: str, clock: FakeClock
) -> None:
    breaker = patient(clock, half_open_calls=3)
    breaker.half_open()
    hanging = breaker.acquire()
    clock.advance(SLOW + 1)
    quick(breaker)
    getattr(hanging, ends)()
    assert recorded(breaker) == (2, 0, 1)
    assert under_way(breaker) == (0, 0)
    quick(breaker)
    assert breaker.state == "closed"


def test_a_probe_whose_answer_has_begun_is_not_slow(clock: FakeClock) -> None:
    breaker = patient(clock, half_open_calls=2)
    breaker.half_open()
    answered = breaker.acquire()
    clock.advance(SLOW)
    answered.answered()
    clock.advance(SLOW)
    quick(breaker)
    assert breaker.slow_calls == 0
    answered.success()
    assert breaker.state == "closed"


def test_a_probe_that_was_slow_before_its_answer_began_stays_so(clock: FakeClock) -> None:
    breaker = patient(clock, half_open_calls=2)
    breaker.half_open()
    hanging = breaker.acquire()
    clock.advance(SLOW + 1)
    quick(breaker)
    hanging.answered()
    hanging.success()
    assert (breaker.slow_calls, under_way(breaker)) == (1, (0, 0))


def test_without_a_slow_call_duration_no_probe_is_slow(clock: FakeClock) -> None:
    breaker = CircuitBreaker(half_open_timeout=60, half_open_calls=2, clock=clock)
    breaker.half_open()
    hanging = breaker.acquire()
    hanging.answered()
    clock.advance(50)
    quick(breaker)
    hanging.success()
    assert (breaker.state, under_way(breaker)) == ("closed", (None, None))


# The answer


def test_a_call_whose_answer_has_begun_is_not_under_way(clock: FakeClock) -> None:
    breaker = patient(clock)
    permit = breaker.acquire()
    clock.advance(SLOW)
    permit.answered()
    assert under_way(breaker) == (0, 0)
    clock.advance(SLOW)
    quick(breaker)
    permit.success()
    assert (breaker.successes, breaker.slow_calls) == (2, 0)


def test_a_call_whose_answer_begins_too_late_is_slow(clock: FakeClock) -> None:
    breaker = patient(clock)
    permit = breaker.acquire()
    clock.advance(SLOW + 1)
    permit.answered()
    assert under_way(breaker) == (1, 1)
    permit.success()
    assert (breaker.slow_calls, under_way(breaker)) == (1, (0, 0))


def test_a_call_that_was_slow_before_its_answer_began_stays_so(clock: FakeClock) -> None:
    breaker = patient(clock)
    [permit] = hang(breaker, clock)
    permit.answered()
    permit.success()
    assert (breaker.slow_calls, recorded(breaker)) == (1, (2, 0, 1))


# Every kind of call


def steps(function: Callable[..., Any]) -> Generator[Any, Any, None]:
    """Run a coroutine function by hand: up to where it waits, and then to its end."""
    coroutine = function()
    coroutine.send(None)
    yield
    with contextlib.suppress(StopIteration):
        coroutine.send(None)


class Wait:
    """An awaitable that waits for one step."""

    def __await__(self) -> Generator[Any, Any, Any]:
        yield


async def ask() -> None:
    await Wait()


def rows() -> Iterator[int]:
    yield 1


def an_async_function(breaker: CircuitBreaker) -> Iterator[None]:
    return steps(breaker(ask))


def a_call_async(breaker: CircuitBreaker) -> Iterator[None]:
    return steps(lambda: breaker.call_async(ask))


def a_call_of_an_async_function(breaker: CircuitBreaker) -> Iterator[None]:
    return steps(lambda: breaker.call(ask))


def a_plain_function_that_returns_a_coroutine(breaker: CircuitBreaker) -> Iterator[None]:
    def begin() -> Awaitable[None]:
        return ask()

    return steps(breaker(begin))


def a_plain_function_that_returns_an_awaitable(breaker: CircuitBreaker) -> Iterator[None]:
    @breaker
    def begin() -> Wait:
        return Wait()

    async def wait() -> None:
        await begin()

    return steps(wait)


def a_plain_function_that_returns_a_future(breaker: CircuitBreaker) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    future: asyncio.Future[None] = loop.create_future()
    breaker(lambda: future)()
    yield
    future.set_result(None)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def a_plain_function_that_returns_a_generator(breaker: CircuitBreaker) -> Iterator[None]:
    def begin() -> Iterator[int]:
        return rows()

    items = breaker(begin)()
    next(items)
    yield
    assert [*items] == []


def a_generator(breaker: CircuitBreaker) -> Iterator[None]:
    items = breaker(rows)()
    next(items)
    yield
    assert [*items] == []


def an_async_generator(breaker: CircuitBreaker) -> Iterator[None]:
    @breaker
    async def messages() -> AsyncIterator[int]:
        await Wait()
        yield 1

    async def read() -> None:
        assert [message async for message in messages()] == [1]

    return steps(read)


def a_block(breaker: CircuitBreaker) -> Iterator[None]:
    with breaker:
        yield


def an_async_block(breaker: CircuitBreaker) -> Iterator[None]:
    async def block() -> None:
        async with breaker:
            await Wait()

    return steps(block)


def a_context_manager(breaker: CircuitBreaker) -> Iterator[None]:
    @breaker
    @contextlib.contextmanager
    def session() -> Iterator[None]:
        yield

    with session():
        yield


def a_permit(breaker: CircuitBreaker) -> Iterator[None]:
    permit = breaker.acquire()
    yield
    permit.success()


KINDS = [
    an_async_function,
    a_call_async,
    a_call_of_an_async_function,
    a_plain_function_that_returns_a_coroutine,
    a_plain_function_that_returns_an_awaitable,
    a_plain_function_that_returns_a_future,
    a_plain_function_that_returns_a_generator,
    a_generator,
    an_async_generator,
    a_block,
    an_async_block,
    a_context_manager,
    a_permit,
]


@pytest.mark.parametrize("state", ["closed", "half_open", "metrics_only"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_call_of_any_kind_is_slow_while_it_runs(
    kind: Callable[[CircuitBreaker], Iterator[None]], state: str, clock: FakeClock
) -> None:
    breaker = patient(clock, half_open_calls=3)
    if state != "closed":
        getattr(breaker, state)()
    call, context = kind(breaker), copy_context()
    context.run(next, call)
    assert under_way(breaker) == (1, 0)
    clock.advance(SLOW + 1)
    quick(breaker)
    assert (under_way(breaker), recorded(breaker)) == ((1, 1), (2, 0, 1))
    context.run(next, call, None)
    assert (under_way(breaker), recorded(breaker)) == ((0, 0), (2, 0, 1))
    assert (breaker.successes, breaker.slow_calls) == (2, 1)


def test_a_probe_that_hangs_is_shown_as_slow_before_another_call_counts_it(
    clock: FakeClock,
) -> None:
    bank = CircuitBreaker(
        slow_call_rate=1, slow_call_duration=1, half_open_calls=2, timeout_duration=1, clock=clock
    )
    bank.open()
    clock.advance(1.5)
    probe = bank.acquire()
    clock.advance(1.5)
    snapshot = bank.snapshot()
    assert (snapshot.calls_under_way, snapshot.slow_calls_under_way) == (1, 1)
    probe.success()
    assert bank.snapshot().calls_under_way == 0
