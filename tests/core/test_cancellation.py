"""A call that is cancelled says nothing of the dependency, wherever it is cancelled."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from itertools import product
from typing import Any

import anyio
import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerState
from breaker_asgi.testing import FakeClock

CLOSED = CircuitBreakerState.CLOSED
HALF_OPEN = CircuitBreakerState.HALF_OPEN
OPEN = CircuitBreakerState.OPEN

STEPS = 5


class Pause:
    """Something to wait for that only the test can end."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def five_steps() -> str:
    for _ in range(STEPS):
        await Pause()
    return "done"


async def five_items() -> AsyncIterator[int]:
    for number in range(STEPS):
        await Pause()
        yield number


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def half_open(clock: FakeClock) -> CircuitBreaker:
    """Return a half-open breaker, with one probe to give."""
    breaker = CircuitBreaker(fail_max=1, half_open_timeout=30, clock=clock)
    breaker.half_open()
    return breaker


@pytest.fixture
def breaker(clock: FakeClock) -> CircuitBreaker:
    return half_open(clock)


def has_its_probe_back(breaker: CircuitBreaker) -> bool:
    """Return True if the half-open breaker admits a probe, which then closes it."""
    if breaker.state is not HALF_OPEN:
        return False
    breaker.acquire().success()
    return breaker.state is CLOSED


async def by_decoration(breaker: CircuitBreaker) -> None:
    await breaker(five_steps)()


async def by_call_async(breaker: CircuitBreaker) -> None:
    await breaker.call_async(five_steps)


async def by_call(breaker: CircuitBreaker) -> None:
    await breaker.call(five_steps)


async def by_a_function_that_returns_an_awaitable(breaker: CircuitBreaker) -> None:
    await breaker(lambda: five_steps())()  # noqa: PLW0108 - not a coroutine function


async def by_async_with(breaker: CircuitBreaker) -> None:
    async with breaker:
        await five_steps()


async def by_with(breaker: CircuitBreaker) -> None:
    with breaker:
        await five_steps()


async def by_permit(breaker: CircuitBreaker) -> None:
    with breaker.acquire():
        await five_steps()


async def by_an_async_generator(breaker: CircuitBreaker) -> None:
    async for _ in breaker(five_items)():
        pass


Way = Callable[[CircuitBreaker], Awaitable[None]]

WAYS = [
    by_decoration,
    by_call_async,
    by_call,
    by_a_function_that_returns_an_awaitable,
    by_async_with,
    by_with,
    by_permit,
    by_an_async_generator,
]


def run_to(step: int, way: Way, breaker: CircuitBreaker) -> Any:
    """A call that waits at its `step`-th await."""
    coroutine: Any = way(breaker)
    for _ in range(step):
        coroutine.send(None)
    return coroutine


INTERRUPTIONS = [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit]


@pytest.mark.parametrize("way", WAYS)
def test_a_probe_that_is_interrupted_at_any_await_hands_its_permit_back(way: Way) -> None:
    for step, interruption in product(range(1, STEPS + 1), INTERRUPTIONS):
        where = f"{interruption.__name__} at await {step}"
        breaker = half_open(FakeClock())
        coroutine = run_to(step, way, breaker)
        try:
            coroutine.throw(interruption())
        except interruption:
            pass
        else:
            pytest.fail(f"{where} did not come through")
        assert (breaker.successes, breaker.failures, breaker.ignored) == (0, 0, 1), where
        assert has_its_probe_back(breaker), where


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_breaker_counts_an_interrupted_call_for_nothing(way: Way) -> None:
    for step in range(1, STEPS + 1):
        breaker = CircuitBreaker(fail_max=1)
        coroutine = run_to(step, way, breaker)
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
        where = f"cancelled at await {step}"
        assert breaker.state is CLOSED, where
        assert (breaker.successes, breaker.failures, breaker.ignored) == (0, 0, 1), where


@pytest.mark.parametrize("way", WAYS)
def test_a_probe_that_is_thrown_away_hands_its_permit_back(
    way: Way, breaker: CircuitBreaker
) -> None:
    coroutine = run_to(1, way, breaker)
    coroutine.close()
    del coroutine
    gc.collect()
    assert breaker.ignored == 1
    assert has_its_probe_back(breaker)


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_was_never_awaited_took_no_permit(way: Way, breaker: CircuitBreaker) -> None:
    coroutine: Any = way(breaker)
    coroutine.close()
    assert breaker.calls == 0
    assert has_its_probe_back(breaker)


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancelled_task_hands_its_permit_back(way: Way, breaker: CircuitBreaker) -> None:
    async def call() -> None:
        await way(breaker)

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert has_its_probe_back(breaker)


async def test_a_cancel_scope_hands_the_permit_back(breaker: CircuitBreaker) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await breaker(five_steps)()
    assert breaker.ignored == 1
    assert has_its_probe_back(breaker)


async def test_a_time_limit_outside_of_the_call_says_nothing(breaker: CircuitBreaker) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await breaker(anyio.sleep_forever)()
    assert has_its_probe_back(breaker)


async def test_a_time_limit_inside_of_the_call_is_a_failure(breaker: CircuitBreaker) -> None:
    @breaker
    async def charge() -> None:
        async with asyncio.timeout(0):
            await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        await charge()
    assert breaker.state is OPEN


async def test_a_call_that_withstands_its_cancellation_is_judged_by_its_end(
    breaker: CircuitBreaker,
) -> None:
    @breaker
    async def charge() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "charged all the same"
        return ""

    task = asyncio.create_task(charge())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "charged all the same"
    assert breaker.state is CLOSED


async def test_a_cancelled_future_hands_the_permit_back(breaker: CircuitBreaker) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = breaker.call(lambda: future)
    assert waiting is future
    future.cancel()
    await asyncio.sleep(0)
    assert has_its_probe_back(breaker)


async def test_a_caller_that_leaves_does_not_settle_the_probe_of_another(
    breaker: CircuitBreaker,
) -> None:
    probe = breaker.acquire()
    others = [asyncio.create_task(breaker.call_async(five_steps)) for _ in range(3)]
    await asyncio.sleep(0)
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    assert breaker.rejected == 3
    probe.success()
    assert breaker.state is CLOSED


def test_a_generator_that_is_closed_early_says_nothing(breaker: CircuitBreaker) -> None:
    @breaker
    def numbers() -> Iterator[int]:
        yield from range(STEPS)

    items: Any = numbers()
    next(items)
    items.close()
    assert breaker.ignored == 1
    assert has_its_probe_back(breaker)


def test_a_generator_that_nobody_reads_on_says_nothing(breaker: CircuitBreaker) -> None:
    @breaker
    def numbers() -> Iterator[int]:
        yield from range(STEPS)

    for number in numbers():
        assert number == 0
        break
    gc.collect()
    assert has_its_probe_back(breaker)


def test_a_generator_that_was_never_started_took_no_permit(breaker: CircuitBreaker) -> None:
    @breaker
    def numbers() -> Iterator[int]:
        yield from range(STEPS)

    numbers()
    assert has_its_probe_back(breaker)


async def test_an_async_generator_that_is_closed_early_says_nothing(
    breaker: CircuitBreaker,
) -> None:
    @breaker
    async def numbers() -> AsyncIterator[int]:
        for number in range(STEPS):
            yield number

    items: Any = numbers()
    assert await anext(items) == 0
    await items.aclose()
    assert breaker.ignored == 1
    assert has_its_probe_back(breaker)


def test_a_permit_that_was_lost_comes_back_in_time(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    breaker.acquire()
    clock.advance(31)
    assert has_its_probe_back(breaker)


def test_a_call_inside_a_probe_is_part_of_it_even_if_it_is_cancelled(
    breaker: CircuitBreaker,
) -> None:
    @breaker
    async def inner() -> None:
        await Pause()

    @breaker
    async def outer() -> None:
        await inner()

    coroutine = outer()
    coroutine.send(None)
    with pytest.raises(asyncio.CancelledError):
        coroutine.throw(asyncio.CancelledError())
    assert breaker.ignored == 1
    assert has_its_probe_back(breaker)
