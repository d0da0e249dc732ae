"""One breaker, many threads and tasks: no count is lost, and no probe is too many."""

from __future__ import annotations

import asyncio
import contextlib
import random
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


# Slow calls while they run


class RacingClock:
    """A clock that every reading advances, by a tenth of the time that makes a call slow."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


WINDOWS: dict[str, CountWindow | TimeWindow] = {
    "count": CountWindow(THREADS * CALLS * 2),
    "time": TimeWindow(86_400),
}
"""Windows that no call of a test leaves."""


@pytest.fixture(params=WINDOWS)
def slow(request: pytest.FixtureRequest) -> CircuitBreaker:
    """A breaker most of whose calls become slow while they run, and that does not trip by them."""
    return CircuitBreaker(
        slow_call_rate=1,
        slow_call_duration=0.1,
        window=WINDOWS[request.param],
        minimum_calls=THREADS * CALLS * 2,
        clock=RacingClock(),
    )


def hang_by_functions(slow: CircuitBreaker, steps: random.Random) -> None:
    @slow
    def call(depth: int) -> None:
        if depth:
            with contextlib.suppress(DownError):
                call(depth - 1)
        if steps.random() < 0.25:
            raise DownError

    for _ in range(CALLS // 10):
        with contextlib.suppress(DownError):
            call(9)


def hang_by_permits(slow: CircuitBreaker, steps: random.Random) -> None:
    permits = []
    for number in range(CALLS):
        permits.append(slow.acquire())
        if len(permits) == 10:
            permit = permits.pop(steps.randrange(10))
            if answers(number):
                permit.success()
            else:
                permit.failure()
    for permit in permits:
        permit.success()


def answers(number: int) -> bool:
    return number % 4 != 3


@pytest.mark.parametrize("hang", [hang_by_functions, hang_by_permits])
def test_calls_that_hang_in_threads_are_counted_once(
    hang: Callable[[CircuitBreaker, random.Random], None], slow: CircuitBreaker
) -> None:
    in_threads(lambda number: hang(slow, random.Random(number)))
    record = slow._generation.record
    assert record is not None
    assert slow.successes + slow.failures == record.calls == slow.snapshot().calls
    assert slow.failures == record.failures
    assert slow.slow_calls == record.slow_calls > THREADS * CALLS // 10
    assert slow._under_way is not None
    assert slow._under_way.counts(slow.config.clock()) == (0, 0)
    assert slow._under_way.counted == 0


def test_calls_that_hang_amid_changes_leave_none_under_way(slow: CircuitBreaker) -> None:
    def work(number: int) -> None:
        for step in range(100):
            if number == 0:
                getattr(
                    slow, ("half_open", "close", "disable", "reset", "metrics_only")[step % 5]
                )()
            permits = []
            for _ in range(10):
                with contextlib.suppress(CircuitBreakerError):
                    permits.append(slow.acquire())
            for permit in permits:
                permit.success()

    in_threads(work)
    slow.reset()
    assert slow._under_way is not None
    assert slow._under_way.counts(slow.config.clock()) == (0, 0)
