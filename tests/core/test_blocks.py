"""Blocks: each is left by the permit that it was entered with."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from breaker_asgi import CircuitBreaker, Permit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from breaker_asgi.testing import FakeClock


@pytest.fixture
def bank(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(fail_max=1, timeout_duration=5, clock=clock)


@asynccontextmanager
async def by_exit_stack(bank: CircuitBreaker) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bank)
        yield


@asynccontextmanager
async def by_plain_exit_stack(bank: CircuitBreaker) -> AsyncIterator[None]:
    with ExitStack() as stack:
        stack.enter_context(bank)
        yield


class Wrapper:
    """An object with an enter and an exit of its own."""

    def __init__(self, bank: CircuitBreaker) -> None:
        self.bank = bank

    async def __aenter__(self) -> Permit:
        return await self.bank.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.bank.__aexit__(kind, error, trace)


class Subclass(CircuitBreaker):
    """A breaker that does something more when it is entered."""

    async def __aenter__(self) -> Permit:
        return await super().__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await super().__aexit__(kind, error, trace)


WAYS: list[Callable[[CircuitBreaker], Any]] = [
    lambda bank: bank,
    by_exit_stack,
    by_plain_exit_stack,
    Wrapper,
]


async def use(block: Any, go: asyncio.Event, error: Exception | None = None) -> None:
    async with block:
        await go.wait()
        if error:
            raise error


async def start(block: Any, error: Exception | None = None) -> tuple[asyncio.Event, Any]:
    go = asyncio.Event()
    task = asyncio.create_task(use(block, go, error))
    await asyncio.sleep(0)
    return go, task


@pytest.mark.parametrize("way", WAYS, ids=["itself", "AsyncExitStack", "ExitStack", "wrapper"])
async def test_a_late_success_of_another_task_does_not_close_it(
    way: Any, bank: CircuitBreaker, clock: FakeClock
) -> None:
    go, late = await start(way(bank))
    bank.acquire().failure()
    clock.advance(6)
    probe_goes, probe = await start(way(bank), ConnectionError())
    go.set()
    await late
    assert bank.state == "half_open"
    probe_goes.set()
    with pytest.raises(ConnectionError):
        await probe
    assert bank.state == "open"


async def test_a_subclass_that_overrides_enter_and_exit_settles_its_own_permit(
    clock: FakeClock,
) -> None:
    bank = Subclass(fail_max=1, timeout_duration=5, clock=clock)
    go, late = await start(bank)
    bank.acquire().failure()
    clock.advance(6)
    probe_goes, probe = await start(bank, ConnectionError())
    go.set()
    await late
    assert bank.state == "half_open"
    probe_goes.set()
    with pytest.raises(ConnectionError):
        await probe
    assert bank.state == "open"


async def test_two_tasks_may_share_a_wrapper(bank: CircuitBreaker, clock: FakeClock) -> None:
    shared = Wrapper(bank)
    go, late = await start(shared)
    bank.acquire().failure()
    clock.advance(6)
    probe_goes, probe = await start(shared)
    go.set()
    await late
    assert bank.state == "half_open"
    probe_goes.set()
    await probe
    assert bank.state == "closed"


def test_threads_do_not_swap_permits(bank: CircuitBreaker, clock: FakeClock) -> None:
    entered, leave = threading.Event(), threading.Event()

    def late() -> None:
        with ExitStack() as stack:
            stack.enter_context(bank)
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=late)
    thread.start()
    entered.wait(10)
    bank.acquire().failure()
    clock.advance(6)
    with ExitStack() as stack:
        stack.enter_context(bank)
        leave.set()
        thread.join(10)
        assert bank.state == "half_open"
    assert bank.state == "closed"


def test_a_stack_that_enters_twice_leaves_in_the_opposite_order(bank: CircuitBreaker) -> None:
    with ExitStack() as stack:
        first, second = stack.enter_context(bank), stack.enter_context(bank)
        stack.callback(lambda: order.append((first.settled, second.settled)))
        order: list[tuple[bool, bool]] = []
        stack.enter_context(bank)
    assert order == [(False, False)]
    assert bank.successes == 3


def test_a_stack_may_hand_its_blocks_to_another(bank: CircuitBreaker) -> None:
    with ExitStack() as stack:
        stack.enter_context(bank)
        others = stack.pop_all()
    assert bank.successes == 0
    others.close()
    assert bank.successes == 1


async def test_a_wrapper_leaves_its_own_block_first_where_another_was_entered_later(
    bank: CircuitBreaker,
) -> None:
    wrappers = Wrapper(bank), Wrapper(bank)
    first, second = [await wrapper.__aenter__() for wrapper in wrappers]
    await wrappers[0].__aexit__(None, None, None)
    assert (first.settled, second.settled) == (True, False)
    await wrappers[1].__aexit__(None, None, None)
    assert second.settled


@pytest.mark.parametrize("kind", [CircuitBreaker, Subclass])
async def test_blocks_of_several_generators_are_left_in_any_order(
    kind: type[CircuitBreaker], clock: FakeClock
) -> None:
    async def permits(bank: CircuitBreaker) -> AsyncIterator[Permit]:
        async with bank as permit:
            yield permit

    bank = kind(clock=clock)
    generators = permits(bank), permits(bank), permits(bank)
    first, second, third = [await anext(generator) for generator in generators]
    assert await anext(generators[1], None) is None
    assert (first.settled, second.settled, third.settled) == (False, True, False)
    assert await anext(generators[0], None) is None
    assert (first.settled, third.settled) == (True, False)
    assert await anext(generators[2], None) is None
    assert third.settled


def test_functions_without_arguments_may_enter_a_block_and_leave_it() -> None:
    bank = CircuitBreaker()

    def enter() -> None:
        bank.__enter__()

    def leave() -> None:
        bank.__exit__(None, None, None)

    enter()
    assert bank.successes == 0
    leave()
    assert bank.successes == 1


def test_a_block_of_a_breaker_with_a_fallback_is_doubted_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rates = CircuitBreaker(name="rates", fallback=1.0)
    for _ in range(2):
        with rates:
            pass
    assert [record.message for record in caplog.records] == [
        (
            "breaker 'rates' has a fallback, and guards a block by `with`: a block that is "
            "rejected can't return it, so the CircuitBreakerError is raised. Guard a function "
            "instead"
        )
    ]
