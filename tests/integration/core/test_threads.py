"""One breaker, many threads and tasks: no count is lost, and no probe is too many."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from breaker_asgi import (
    BreakerConfig,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerState,
    CountWindow,
    TimeWindow,
)
from breaker_asgi.testing import FakeClock

CLOSED = CircuitBreakerState.CLOSED
OPEN = CircuitBreakerState.OPEN

# These tests start threads only, but the switches between them take longer than the second that a
# logic test may take when other processes use the same processors.
THREADS = 8
CALLS = 2_000


@pytest.fixture(autouse=True)
def _threads_switch_as_often_as_possible() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(work: Callable[[int], None]) -> None:
    """Run `work` in all threads at once, and raise the first exception of a thread."""
    start = threading.Barrier(THREADS)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run, args=[number]) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class DownError(Exception):
    pass


def answer(number: int) -> int:
    if number % 4 == 3:
        raise DownError
    return number


BREAKERS = {
    "streak": BreakerConfig(fail_max=999),
    "count": BreakerConfig(failure_rate=1, window=CountWindow(500), minimum_calls=500),
    "time": BreakerConfig(failure_rate=1, window=TimeWindow(60), clock=FakeClock()),
    "slow": BreakerConfig(slow_call_rate=1, slow_call_duration=60, window=CountWindow(500)),
}
"""A breaker with each kind of record; none of them trips here."""


@pytest.fixture(params=BREAKERS)
def breaker(request: pytest.FixtureRequest) -> CircuitBreaker:
    return CircuitBreaker.from_config(BREAKERS[request.param])


def test_guarded_functions_lose_no_count(breaker: CircuitBreaker) -> None:
    guarded = breaker(answer)

    def work(_: int) -> None:
        for number in range(CALLS):
            with contextlib.suppress(DownError):
                guarded(number)

    in_threads(work)
    assert breaker.failures == THREADS * CALLS // 4
    assert breaker.successes == THREADS * CALLS * 3 // 4


def test_permits_lose_no_count(breaker: CircuitBreaker) -> None:
    def work(_: int) -> None:
        for number in range(CALLS):
            permit = breaker.acquire()
            if number % 4 == 3:
                permit.failure()
            else:
                permit.success()

    in_threads(work)
    assert breaker.failures == THREADS * CALLS // 4
    assert breaker.successes == THREADS * CALLS * 3 // 4


def test_a_count_window_holds_the_last_calls_only() -> None:
    breaker = CircuitBreaker(failure_rate=1, window=CountWindow(50), minimum_calls=50)
    breaker.metrics_only()
    guarded = breaker(answer)

    def work(_: int) -> None:
        for number in range(CALLS):
            with contextlib.suppress(DownError):
                guarded(number)

    in_threads(work)
    for _ in range(50):
        guarded(0)
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.failure_rate) == (50, 0.0)


def test_a_streak_of_failures_trips_once_and_exactly(clock: FakeClock) -> None:
    breaker = CircuitBreaker(fail_max=THREADS * 10, clock=clock)

    def work(_: int) -> None:
        for _ in range(10):
            breaker.acquire().failure()

    in_threads(work)
    assert breaker.state is OPEN
    assert breaker.snapshot().generation == 1
    assert breaker.failures == THREADS * 10


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.mark.parametrize("probes", [1, 3])
def test_when_the_open_time_ends_no_more_threads_than_probes_are_admitted(
    probes: int, clock: FakeClock
) -> None:
    breaker = CircuitBreaker(timeout_duration=1, half_open_calls=probes, clock=clock)
    for _ in range(100):
        breaker.open()
        clock.advance(1000)
        admitted: list[object] = []

        def ask(_: int, admitted: list[object] = admitted) -> None:
            for _ in range(3):
                with contextlib.suppress(CircuitBreakerError):
                    admitted.append(breaker.acquire())

        in_threads(ask)
        assert len(admitted) == probes


async def test_when_the_open_time_ends_no_more_tasks_than_probes_are_admitted(
    clock: FakeClock,
) -> None:
    breaker = CircuitBreaker(timeout_duration=1, half_open_calls=2, clock=clock)
    answered = asyncio.Event()
    reached = 0

    @breaker
    async def charge() -> None:
        nonlocal reached
        reached += 1
        await answered.wait()

    breaker.open()
    clock.advance(1.5)
    callers = [asyncio.create_task(charge()) for _ in range(200)]
    await asyncio.sleep(0)
    assert reached == 2
    answered.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert sum(isinstance(result, CircuitBreakerError) for result in results) == 198
    assert breaker.state is CLOSED


def test_changes_by_hand_amid_calls_leave_a_working_breaker() -> None:
    breaker = CircuitBreaker(fail_max=1, timeout_duration=0.1, half_open_timeout=0.1)
    guarded = breaker(answer)

    def work(number: int) -> None:
        for step in range(200):
            if number == 0:
                getattr(breaker, ("open", "half_open", "close", "disable", "reset")[step % 5])()
            with contextlib.suppress(DownError, CircuitBreakerError):
                guarded(step)

    in_threads(work)
    breaker.reset()
    assert guarded(0) == 0
    assert breaker.state is CLOSED
    assert breaker.calls <= THREADS * 200 + 1


def test_a_permit_that_many_threads_settle_counts_once() -> None:
    breaker = CircuitBreaker(fail_max=999)
    for _ in range(200):
        permit = breaker.acquire()
        in_threads(lambda _, permit=permit: permit.success())  # type: ignore[misc]
    assert breaker.successes == 200
