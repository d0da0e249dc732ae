"""Results that are only the beginning of a call: awaitables, context managers, futures."""

from __future__ import annotations

import asyncio
import gc
import inspect
import types
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from contextlib import (
    AbstractContextManager,
    ContextDecorator,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from io import StringIO
from typing import Any

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerError
from breaker_asgi._core import results


@pytest.fixture
def bank() -> CircuitBreaker:
    return CircuitBreaker(fail_max=3)


def totals(bank: CircuitBreaker) -> tuple[int, int, int]:
    return bank.successes, bank.failures, bank.ignored


# Context managers of contextlib


async def test_an_async_context_manager_is_guarded_from_enter_to_exit(
    bank: CircuitBreaker,
) -> None:
    @bank
    @asynccontextmanager
    async def connection() -> AsyncIterator[int]:
        yield 1

    async with connection() as number:
        assert (number, totals(bank)) == (1, (0, 0, 0))
    assert totals(bank) == (1, 0, 0)


async def test_a_context_manager_that_can_not_be_entered_opens(bank: CircuitBreaker) -> None:
    @bank
    @asynccontextmanager
    async def connection() -> AsyncIterator[int]:
        raise ConnectionError
        yield

    for _ in range(3):
        with pytest.raises(ConnectionError):
            async with connection():
                pass
    with pytest.raises(CircuitBreakerError):
        connection()


def test_an_exception_of_the_block_counts(bank: CircuitBreaker) -> None:
    @bank
    @contextmanager
    def session() -> Iterator[None]:
        yield

    with pytest.raises(ConnectionError), session():
        raise ConnectionError
    assert totals(bank) == (0, 1, 0)


def test_a_context_manager_may_swallow_what_the_block_raises(bank: CircuitBreaker) -> None:
    @bank
    @contextmanager
    def session() -> Iterator[None]:
        with suppress(ValueError):
            yield

    with session():
        raise ValueError
    assert bank.calls == 1


def test_a_context_manager_that_fails_at_its_exit_is_a_failure(bank: CircuitBreaker) -> None:
    @bank
    @contextmanager
    def session() -> Iterator[None]:
        yield
        raise ConnectionError

    with pytest.raises(ConnectionError), session():
        pass
    assert totals(bank) == (0, 1, 0)


def test_a_plain_function_may_return_a_context_manager(bank: CircuitBreaker) -> None:
    closed = []

    class File:
        def close(self) -> None:
            closed.append(1)

    @bank
    def file() -> closing[File]:
        return closing(File())

    with file() as opened:
        assert isinstance(opened, File)
        assert totals(bank) == (0, 0, 0)
    assert (closed, totals(bank)) == ([1], (1, 0, 0))


class Session(nullcontext[int]):
    """A context manager that records what it is left with."""

    def __init__(self) -> None:
        super().__init__(1)
        self.left: list[tuple[object, ...]] = []

    def __exit__(self, *raised: object) -> None:
        self.left.append(raised)

    async def __aexit__(self, *raised: object) -> None:
        self.left.append(raised)


def test_the_exit_of_a_result_gets_the_exception_of_the_block(bank: CircuitBreaker) -> None:
    session = Session()
    with pytest.raises(ConnectionError) as caught, bank(lambda: session)():
        raise ConnectionError
    with bank(lambda: session)():
        pass
    [(kind, error, trace), without] = session.left
    assert (kind, error) == (ConnectionError, caught.value)
    assert isinstance(trace, types.TracebackType)
    assert without == (None, None, None)


async def test_the_async_exit_of_a_result_gets_the_exception_of_the_block(
    bank: CircuitBreaker,
) -> None:
    session = Session()
    with pytest.raises(ConnectionError) as caught:
        async with bank(lambda: session)():
            raise ConnectionError
    async with bank(lambda: session)():
        pass
    [(kind, error, trace), without] = session.left
    assert (kind, error) == (ConnectionError, caught.value)
    assert isinstance(trace, types.TracebackType)
    assert without == (None, None, None)
    assert totals(bank) == (1, 1, 0)


def test_a_result_can_be_entered_by_a_stack(bank: CircuitBreaker) -> None:
    @bank
    @contextmanager
    def session() -> Iterator[int]:
        yield 1

    with ExitStack() as stack:
        assert stack.enter_context(session()) == 1
    assert totals(bank) == (1, 0, 0)


def test_a_context_manager_that_is_not_entered_is_ignored(bank: CircuitBreaker) -> None:
    @bank
    @contextmanager
    def session() -> Iterator[int]:
        yield 1

    bank.half_open()
    manager = session()
    del manager
    gc.collect()
    bank.acquire().success()
    assert bank.state == "closed"


@pytest.mark.parametrize("base", [object, AbstractContextManager, ContextDecorator])
def test_other_objects_that_can_be_entered_are_results_like_any_other(
    base: Any, bank: CircuitBreaker
) -> None:
    class Lock(base):  # type: ignore[misc]
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    def make_lock() -> Lock:
        return Lock()

    assert type(bank(make_lock)()) is Lock
    assert totals(bank) == (1, 0, 0)


# Awaitables that are more


class Request:
    """An awaitable that can be entered as well, and has methods: as aiohttp's are."""

    url = "http://bank.example"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def _send(self) -> str:
        if self.error:
            raise self.error
        return "sent"

    def __await__(self) -> Generator[Any, Any, str]:
        return self._send().__await__()

    async def __aenter__(self) -> str:
        return await self._send()

    async def __aexit__(self, *_: object) -> None: ...

    async def __aiter__(self) -> AsyncIterator[str]:
        yield await self._send()

    def __len__(self) -> int:
        return 7

    def __getitem__(self, header: str) -> str:
        return header.upper()

    def __call__(self, *, url: str) -> str:
        return url

    def with_url(self, url: str) -> str:
        return url


def get() -> Any:
    return Request()


async def test_an_awaitable_keeps_its_own_protocol(bank: CircuitBreaker) -> None:
    request: Any = bank(get)()
    assert isinstance(request, Request)
    assert (request.url, request.with_url("/"), len(request)) == (Request.url, "/", 7)
    assert (request["etag"], request(url="/")) == ("ETAG", "/")
    assert await request == "sent"
    assert totals(bank) == (1, 0, 0)


async def test_an_awaitable_that_is_entered_is_guarded_until_it_is_left(
    bank: CircuitBreaker,
) -> None:
    async with bank(get)() as answer:
        assert (answer, totals(bank)) == ("sent", (0, 0, 0))
    assert totals(bank) == (1, 0, 0)


async def test_an_awaitable_that_is_iterated_is_guarded_until_its_end(
    bank: CircuitBreaker,
) -> None:
    assert [item async for item in bank(get)()] == ["sent"]
    assert totals(bank) == (1, 0, 0)


async def test_an_awaitable_that_fails_is_a_failure_however_it_is_used(
    bank: CircuitBreaker,
) -> None:
    fail: Any = bank(lambda: Request(ConnectionError()))
    with pytest.raises(ConnectionError):
        await fail()
    with pytest.raises(ConnectionError):
        async with fail():
            pass
    with pytest.raises(ConnectionError):
        [item async for item in fail()]
    assert totals(bank) == (0, 3, 0)


async def wait(request: Any) -> None:
    assert await request == "sent"


async def enter(request: Any) -> None:
    async with request as entered:
        assert entered == "sent"


async def iterate(request: Any) -> None:
    assert [item async for item in request] == ["sent"]


@pytest.mark.parametrize("use", [wait, enter, iterate])
async def test_an_awaitable_is_a_call_each_time_that_it_is_used(
    use: Callable[[Any], Awaitable[None]], bank: CircuitBreaker
) -> None:
    request = bank(get)()
    bank.open()
    await use(request)  # it was admitted before
    with pytest.raises(CircuitBreakerError):
        await use(request)
    bank.close()
    await use(request)
    assert (totals(bank), bank.rejected) == ((2, 0, 0), 1)


async def as_a_task(request: Any) -> None:
    await asyncio.create_task(request)


async def gather(request: Any) -> None:
    answers = await asyncio.gather(request, return_exceptions=True)
    raise answers[0]


@pytest.mark.parametrize("use", [wait, enter, iterate, as_a_task, gather])
async def test_a_function_of_awaitables_raises_its_rejection_where_they_are_used(
    use: Callable[[Any], Awaitable[None]], bank: CircuitBreaker
) -> None:
    request = bank(get)
    await request()
    bank.open()
    rejected = request()
    with pytest.raises(CircuitBreakerError):
        await use(rejected)


async def test_a_rejection_that_is_not_awaited_can_be_closed_or_cancelled(
    bank: CircuitBreaker,
) -> None:
    request = bank(get)
    await request()
    bank.open()
    request().close()
    task = asyncio.create_task(request())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_context_manager_is_a_call_each_time_that_it_is_entered(bank: CircuitBreaker) -> None:
    session = bank(lambda: Session())()  # noqa: PLW0108 - not a class
    bank.open()
    with session:  # it was admitted before
        pass
    with pytest.raises(CircuitBreakerError), session:
        pass
    bank.close()
    with session:
        pass
    assert (totals(bank), bank.rejected) == ((2, 0, 0), 1)


async def test_a_coroutine_stays_a_coroutine(bank: CircuitBreaker) -> None:
    async def ask() -> int:
        return 1

    def begin() -> Any:
        return ask()

    call = bank(begin)()
    assert inspect.iscoroutine(call)
    assert await call == 1


async def test_a_marked_generator_is_awaited(bank: CircuitBreaker) -> None:
    @bank
    @types.coroutine
    def ask() -> Generator[None, None, int]:
        yield
        return 1

    assert await ask() == 1
    assert totals(bank) == (1, 0, 0)


async def test_a_marked_generator_that_a_function_returns_is_awaited(bank: CircuitBreaker) -> None:
    @types.coroutine
    def ask() -> Generator[None, None, int]:
        yield
        return 1

    assert await bank(lambda: ask())() == 1  # noqa: PLW0108 - not marked
    assert totals(bank) == (1, 0, 0)


async def test_an_async_generator_belongs_to_the_call_that_returned_it(
    bank: CircuitBreaker,
) -> None:
    async def rates() -> AsyncIterator[int]:
        yield 1

    items: Any = bank(lambda: rates())()  # noqa: PLW0108 - not a generator function
    bank.open()
    assert [item async for item in items] == [1]
    assert totals(bank) == (1, 0, 0)


# Tasks


async def test_the_failure_of_a_task_is_the_reason_of_a_trip(bank: CircuitBreaker) -> None:
    async def work() -> None:
        raise ConnectionError

    for _ in range(3):
        await asyncio.wait([bank(lambda: asyncio.create_task(work()))()])
    assert bank.snapshot().reason == "3 failures in a row: ConnectionError"


async def test_the_error_of_an_unawaited_task_is_still_reported(
    bank: CircuitBreaker,
) -> None:
    async def work() -> None:
        raise RuntimeError

    reported: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["message"]))
    task = bank(lambda: asyncio.create_task(work()))()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    del task
    gc.collect()
    assert reported == ["Task exception was never retrieved"]
    assert totals(bank) == (0, 1, 0)


# Corners


async def test_a_task_of_a_probes_coroutine_is_a_probe() -> None:
    async def ask() -> int:
        await asyncio.sleep(0)
        return 1

    def begin() -> Coroutine[Any, Any, int]:
        return ask()

    bank = CircuitBreaker(fail_max=1)
    bank.half_open()
    assert await asyncio.create_task(bank(begin)()) == 1
    assert bank.current_state == "closed"


def test_a_probes_coroutine_gets_what_is_sent_to_it(bank: CircuitBreaker) -> None:
    @types.coroutine
    def question() -> Generator[str, int, int]:
        return (yield "how many?")

    async def ask() -> int:
        return await question()

    bank.half_open()
    call: Any = bank(lambda: ask())()  # noqa: PLW0108 - not a coroutine function
    assert call.send(None) == "how many?"
    with pytest.raises(StopIteration) as end:
        call.send(5)
    assert end.value.value == 5
    assert bank.current_state == "closed"


async def test_a_probes_task_that_is_cancelled_midway_gives_its_permit_back() -> None:
    bank = CircuitBreaker(fail_max=1)
    bank.half_open()
    task = asyncio.create_task(bank(lambda: asyncio.sleep(60, 1))())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bank.acquire().success()
    assert bank.current_state == "closed"


def test_a_context_manager_that_can_not_be_entered_is_a_failure(bank: CircuitBreaker) -> None:
    @bank
    @contextmanager
    def connection() -> Iterator[int]:
        raise ConnectionError
        yield

    with pytest.raises(ConnectionError), connection():
        pass
    assert totals(bank) == (0, 1, 0)


async def test_an_async_context_manager_that_fails_on_exit_is_a_failure(
    bank: CircuitBreaker,
) -> None:
    @bank
    @asynccontextmanager
    async def session() -> AsyncIterator[None]:
        yield
        raise ConnectionError

    with pytest.raises(ConnectionError):
        async with session():
            pass
    assert totals(bank) == (0, 1, 0)


def test_a_guarded_context_manager_has_the_repr_of_its_own(bank: CircuitBreaker) -> None:
    own = closing(StringIO())
    assert repr(bank(lambda: own)()) == repr(own)


def test_types_of_results_fill_no_memory(
    bank: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_MOST_PLAIN_TYPES", 3)
    make: Any = bank(lambda name: type(name, (), {})())
    for number in range(10):
        make(f"Result{number}")
        assert len(results.plain_types) <= 3
