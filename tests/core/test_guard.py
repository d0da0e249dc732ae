"""A guarded callable behaves like the bare one, and each kind of call is judged."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import traceback
import typing
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, ForwardRef

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from breaker_asgi import (
    BreakerConfigError,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerState,
    CountWindow,
    TimeWindow,
)
from breaker_asgi._core.awaitables import awaited_of
from breaker_asgi.stores import MemoryStore
from breaker_asgi.testing import FakeClock

OPEN = CircuitBreakerState.OPEN
HALF_OPEN = CircuitBreakerState.HALF_OPEN
CLOSED = CircuitBreakerState.CLOSED


class DownError(Exception):
    """The dependency failed."""


def totals(breaker: CircuitBreaker) -> tuple[int, int, int, int]:
    return breaker.successes, breaker.failures, breaker.ignored, breaker.rejected


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(fail_max=100)


BREAKERS: dict[str, Callable[[], CircuitBreaker]] = {
    "in a row": CircuitBreaker,
    "rate": lambda: CircuitBreaker(failure_rate=0.5),
    "rate over time": lambda: CircuitBreaker(failure_rate=0.5, window=TimeWindow(60)),
    "slow calls": lambda: CircuitBreaker(slow_call_rate=0.5, slow_call_duration=60),
    "slow calls over time": lambda: CircuitBreaker(
        slow_call_rate=0.5, slow_call_duration=60, window=TimeWindow(60)
    ),
    "results": lambda: CircuitBreaker(is_failure=lambda result: False),
    "disabled": CircuitBreaker,
}
"""A guarded function is made differently for each of these."""


@pytest.fixture(params=BREAKERS)
def any_breaker(request: pytest.FixtureRequest) -> CircuitBreaker:
    breaker = BREAKERS[request.param]()
    if request.param == "disabled":
        breaker.disable()
    return breaker


shared = CircuitBreaker(name="guard tests")


@shared
def at_module_level(number: int) -> int:
    return number + 1


def increment(number: int, by: int = 1) -> int:
    """Add to a number."""
    if by == 0:
        raise DownError
    return number + by


def start_increment(by: int) -> Awaitable[int]:
    return increment_later(1, by)


async def increment_later(number: int, by: int = 1) -> int:
    """Add to a number, in a while."""
    await asyncio.sleep(0)
    return increment(number, by)


def echo(count: int) -> Generator[int, str, str]:
    """Yield numbers, and return what was sent."""
    sent = ""
    for number in range(count):
        sent += (yield number) or ""
    return sent


async def echo_later(count: int) -> AsyncIterator[Any]:
    """Yield numbers and what was sent."""
    sent = None
    for number in range(count):
        sent = yield number, sent


FUNCTIONS = [increment, increment_later, echo, echo_later]


# Every kind of callable


def test_a_plain_function(any_breaker: CircuitBreaker) -> None:
    guarded = any_breaker(increment)
    assert guarded(1) == 2
    assert guarded(1, by=2) == 3
    with pytest.raises(DownError):
        guarded(1, 0)


async def test_an_async_function(any_breaker: CircuitBreaker) -> None:
    guarded = any_breaker(increment_later)
    assert await guarded(1) == 2
    assert await guarded(1, by=2) == 3
    with pytest.raises(DownError):
        await guarded(1, 0)


def test_a_call_is_judged(breaker: CircuitBreaker) -> None:
    guarded = breaker(increment)
    guarded(1)
    assert totals(breaker) == (1, 0, 0, 0)
    with pytest.raises(DownError):
        guarded(1, 0)
    assert totals(breaker) == (1, 1, 0, 0)


async def test_an_async_call_is_judged(breaker: CircuitBreaker) -> None:
    guarded = breaker(increment_later)
    await guarded(1)
    assert totals(breaker) == (1, 0, 0, 0)
    with pytest.raises(DownError):
        await guarded(1, 0)
    assert totals(breaker) == (1, 1, 0, 0)


async def test_an_async_call_that_is_never_awaited_is_no_call(breaker: CircuitBreaker) -> None:
    breaker(increment_later)(1).close()
    assert totals(breaker) == (0, 0, 0, 0)


async def test_an_async_call_that_is_cancelled_is_ignored(breaker: CircuitBreaker) -> None:
    task = asyncio.ensure_future(breaker(increment_later)(1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert totals(breaker) == (0, 0, 1, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_that_is_not_an_error_is_ignored(
    error: type[BaseException], breaker: CircuitBreaker
) -> None:
    def stop() -> None:
        raise error

    with pytest.raises(error):
        breaker(stop)()
    assert totals(breaker) == (0, 0, 1, 0)


@pytest.mark.parametrize("arguments", [{}, {"ignore_on_call": True}, {"ignore_on_call": False}])
def test_the_decorator_may_have_arguments(
    arguments: dict[str, bool], breaker: CircuitBreaker
) -> None:
    @breaker(**arguments)
    def guarded() -> int:
        return 5

    assert guarded() == 5
    assert breaker.successes == 1


def test_a_lambda(breaker: CircuitBreaker) -> None:
    assert breaker(lambda number: number + 1)(1) == 2
    assert breaker.successes == 1


def test_a_builtin(breaker: CircuitBreaker) -> None:
    guarded = breaker(ord)
    assert guarded("a") == 97
    with pytest.raises(ValueError, match="substring"):
        breaker("abc".index)("d")
    assert guarded.__name__ == "ord"
    assert totals(breaker) == (1, 1, 0, 0)


def test_a_bound_method(breaker: CircuitBreaker) -> None:
    assert breaker("a b".split)() == ["a", "b"]
    assert breaker.successes == 1


def test_a_partial(breaker: CircuitBreaker) -> None:
    assert breaker(functools.partial(increment, by=5))(1) == 6
    assert breaker.successes == 1


async def test_a_partial_of_an_async_function(breaker: CircuitBreaker) -> None:
    guarded = breaker(functools.partial(increment_later, by=5))
    assert inspect.iscoroutinefunction(guarded)
    assert await guarded(1) == 6
    with pytest.raises(DownError):
        await guarded(1, by=0)
    assert totals(breaker) == (1, 1, 0, 0)


def test_a_partial_of_a_generator_function(breaker: CircuitBreaker) -> None:
    guarded = breaker(functools.partial(echo, 2))
    assert inspect.isgeneratorfunction(guarded)
    assert list(guarded()) == [0, 1]
    assert breaker.successes == 1


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, by: int = 1) -> int:
        self.count += by
        return self.count


class AsyncCounter(Counter):
    async def __call__(self, by: int = 1) -> int:  # type: ignore[override]
        return super().__call__(by)


def test_a_callable_object(breaker: CircuitBreaker) -> None:
    guarded = breaker(Counter())
    assert [guarded(), guarded(by=2)] == [1, 3]
    assert breaker.successes == 2


async def test_an_object_with_an_async_call(breaker: CircuitBreaker) -> None:
    guarded = breaker(AsyncCounter())
    assert inspect.iscoroutinefunction(guarded)
    assert await guarded() == 1
    with pytest.raises(TypeError):
        await guarded(by="1")  # type: ignore[arg-type]
    assert totals(breaker) == (1, 1, 0, 0)


def test_a_class_with_call_guards_its_instances(breaker: CircuitBreaker) -> None:
    @breaker
    class Client:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def __call__(self, number: int) -> int:
            return number * self.factor

    assert inspect.isclass(Client)
    assert totals(breaker) == (0, 0, 0, 0)
    assert Client(3)(4) == 12
    assert breaker.successes == 1
    assert isinstance(Client(3), Client)


async def test_a_class_with_an_async_call(breaker: CircuitBreaker) -> None:
    @breaker()
    class Client:
        async def __call__(self) -> int:
            return 5

    assert await Client()() == 5
    assert breaker.successes == 1


def test_a_class_with_an_inherited_call_leaves_its_base_alone(breaker: CircuitBreaker) -> None:
    @breaker
    class Client(Counter):
        pass

    assert Client()() == 1
    assert breaker.successes == 1
    Counter()()
    assert breaker.successes == 1


def test_a_method(breaker: CircuitBreaker) -> None:
    class Client:
        factor = 3

        @breaker
        def scale(self, number: int) -> int:
            return number * self.factor

    assert Client().scale(2) == 6
    assert Client.scale(Client(), number=2) == 6
    assert breaker.successes == 2


async def test_an_async_method(breaker: CircuitBreaker) -> None:
    class Client:
        @breaker
        async def scale(self, number: int) -> int:
            return number * 3

    assert await Client().scale(2) == 6
    assert inspect.iscoroutinefunction(Client().scale)


class Base:
    factor = 3


def test_a_classmethod_on_either_side(breaker: CircuitBreaker) -> None:
    class Client(Base):
        @breaker
        @classmethod
        def above(cls, number: int) -> int:
            return number * cls.factor

        @classmethod
        @breaker
        def below(cls, number: int) -> int:
            return number * cls.factor

    assert Client.above(2) == Client.below(2) == Client().above(2) == Client().below(2) == 6
    assert breaker.successes == 4


def test_a_staticmethod_on_either_side(breaker: CircuitBreaker) -> None:
    class Client:
        @breaker
        @staticmethod
        def above(number: int) -> int:
            return number + 1

        @staticmethod
        @breaker
        def below(number: int) -> int:
            return number + 1

    assert Client.above(2) == Client.below(2) == Client().above(2) == Client().below(2) == 3
    assert breaker.successes == 4


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_a_guarded_staticmethod_is_not_guarded_again_by_call(kind: Any) -> None:
    own, other = CircuitBreaker(), CircuitBreaker()

    class Client:
        ask = own(kind(lambda *args: 5))

    assert other.call(Client.ask) == 5
    assert totals(other) == (0, 0, 0, 0)


def test_a_guarded_method_is_not_guarded_again_by_call() -> None:
    own, other = CircuitBreaker(), CircuitBreaker()

    class Client:
        @own
        def ask(self) -> int:
            return 5

    assert other.call(Client().ask) == 5
    assert totals(other) == (0, 0, 0, 0)


def test_a_property_over_a_guarded_method(breaker: CircuitBreaker) -> None:
    class Client:
        @property
        @breaker
        def answer(self) -> int:
            return 5

    assert Client().answer == 5
    assert breaker.successes == 1


def test_several_breakers_around_one_function() -> None:
    inner, outer = CircuitBreaker(), CircuitBreaker()
    guarded = outer(inner(increment))
    guarded(1)
    assert (inner.successes, outer.successes) == (1, 1)
    inner.open()
    with pytest.raises(CircuitBreakerError):
        guarded(1)
    assert totals(outer) == (1, 0, 1, 0)


def test_a_guarded_function_may_call_itself(breaker: CircuitBreaker) -> None:
    @breaker
    def count_down(number: int) -> int:
        return count_down(number - 1) if number else 0

    breaker.half_open()
    assert count_down(3) == 0
    assert breaker.state is CLOSED


# Functions that return an awaitable


async def test_the_call_of_a_function_that_returns_a_coroutine_is_what_that_does(
    breaker: CircuitBreaker,
) -> None:
    guarded = breaker(start_increment)
    assert await guarded(2) == 3
    waiting = guarded(0)
    assert totals(breaker) == (1, 0, 0, 0)
    with pytest.raises(DownError):
        await waiting
    assert totals(breaker) == (1, 1, 0, 0)


async def test_the_call_of_a_function_that_returns_a_future_is_what_that_does(
    breaker: CircuitBreaker,
) -> None:
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(3)]
    guarded = breaker(futures.__getitem__)
    done, failed, cancelled = (guarded(index) for index in range(3))
    done.set_result(5)
    failed.set_exception(DownError())
    cancelled.cancel()
    assert await done == 5
    with pytest.raises(DownError):
        await failed
    await asyncio.sleep(0)
    assert totals(breaker) == (1, 1, 1, 0)


async def test_a_task_that_a_function_returns_stays_a_task(breaker: CircuitBreaker) -> None:
    @breaker
    def start(by: int) -> asyncio.Task[int]:
        return asyncio.create_task(increment_later(1, by))

    assert isinstance(start(1), asyncio.Task)
    with pytest.raises(DownError):
        await start(0)


async def test_an_awaitable_object_that_a_function_returns_can_be_awaited(
    breaker: CircuitBreaker,
) -> None:
    class Later:
        def __await__(self) -> Generator[Any, Any, int]:
            return increment_later(1, 0).__await__()

    with pytest.raises(DownError):
        await breaker(lambda: Later())()  # noqa: PLW0108
    assert totals(breaker) == (0, 1, 0, 0)


async def test_an_awaitable_is_judged_in_half_open_too(breaker: CircuitBreaker) -> None:
    guarded = breaker(start_increment)
    breaker.half_open()
    assert await guarded(1) == 2
    assert breaker.state is CLOSED


async def test_an_awaitable_of_a_call_that_is_late_changes_nothing(
    breaker: CircuitBreaker,
) -> None:
    def begin() -> Awaitable[int]:
        breaker.half_open()
        return increment_later(1)

    assert await breaker(begin)() == 2
    assert breaker.state is HALF_OPEN


async def test_a_function_that_has_returned_an_awaitable_is_rejected_where_that_is_awaited(
    any_breaker: CircuitBreaker,
) -> None:
    def start(number: int) -> Any:
        return increment_later(number) if number else None

    guarded = any_breaker(start)
    any_breaker.open()
    with pytest.raises(CircuitBreakerError):
        guarded(1)
    any_breaker.close()
    assert await guarded(1) == 2
    assert guarded(0) is None
    any_breaker.open()
    for waiting in (guarded(1), any_breaker.call(start, 1)):
        with pytest.raises(CircuitBreakerError):
            await waiting


@pytest.mark.parametrize(
    "annotation",
    [
        Awaitable[int],
        Coroutine[Any, Any, int],
        asyncio.Future,
        Awaitable,
        "Awaitable[int]",
        "asyncio.Task[int]",
        "typing.Coroutine[Any, Any, int]",
    ],
    ids=str,
)
async def test_a_function_that_is_annotated_so_is_rejected_where_it_is_awaited(
    annotation: object, breaker: CircuitBreaker
) -> None:
    def start() -> Any: ...

    start.__annotations__["return"] = annotation
    breaker.open()
    rejected = (breaker(start)(), breaker.call(start), breaker(functools.partial(start))())
    for waiting in rejected:
        with pytest.raises(CircuitBreakerError):
            await waiting


async def test_a_method_that_has_returned_an_awaitable_is_rejected_where_that_is_awaited(
    breaker: CircuitBreaker,
) -> None:
    class Client:
        def start(self) -> Any:
            return increment_later(1)

    assert await breaker.call(Client().start) == 2
    breaker.open()
    waiting = breaker.call(Client().start)
    with pytest.raises(CircuitBreakerError):
        await waiting


@pytest.mark.parametrize(
    "annotation", [int, list[Awaitable[int]], "Tasks", "dict[str, Future]", None], ids=str
)
def test_a_function_that_returns_no_awaitable_is_rejected_where_it_is_called(
    annotation: object, breaker: CircuitBreaker
) -> None:
    def start() -> Any: ...

    start.__annotations__["return"] = annotation
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        breaker(start)()
    with pytest.raises(CircuitBreakerError):
        breaker.call(start)


async def test_an_awaitable_that_is_late_changes_nothing(breaker: CircuitBreaker) -> None:
    guarded = breaker(start_increment)
    waiting = guarded(1)
    breaker.half_open()
    await waiting
    assert breaker.state is HALF_OPEN


# Generators


def test_a_generator_passes_everything_through(breaker: CircuitBreaker) -> None:
    def collect(function: Callable[[int], Generator[int, str, str]]) -> list[object]:
        generator = function(3)
        items: list[object] = [next(generator), generator.send("a"), generator.send("b")]
        try:
            generator.send("c")
        except StopIteration as stop:
            items.append(stop.value)
        return items

    assert collect(breaker(echo)) == collect(echo) == [0, 1, 2, "abc"]


def test_a_generator_is_judged_by_its_whole_run(breaker: CircuitBreaker) -> None:
    generator = breaker(echo)(2)
    next(generator)
    next(generator)
    assert totals(breaker) == (0, 0, 0, 0)
    assert list(generator) == []
    assert totals(breaker) == (1, 0, 0, 0)


def test_a_generator_that_raises_is_a_failure(breaker: CircuitBreaker) -> None:
    @breaker
    def broken() -> Iterator[int]:
        yield 1
        raise DownError

    with pytest.raises(DownError):
        list(broken())
    assert totals(breaker) == (0, 1, 0, 0)


def test_a_generator_sees_what_is_thrown_into_it(breaker: CircuitBreaker) -> None:
    @breaker
    def catching() -> Iterator[str]:
        try:
            yield "first"
        except DownError:
            yield "caught"

    generator: Any = catching()
    next(generator)
    assert generator.throw(DownError()) == "caught"
    assert list(generator) == []
    assert totals(breaker) == (1, 0, 0, 0)


def test_a_generator_that_is_closed_early_is_ignored(breaker: CircuitBreaker) -> None:
    generator = breaker(echo)(2)
    next(generator)
    generator.close()
    assert totals(breaker) == (0, 0, 1, 0)


def test_a_generator_that_is_collected_early_is_ignored(breaker: CircuitBreaker) -> None:
    generator = breaker(echo)(2)
    next(generator)
    del generator
    gc.collect()
    assert totals(breaker) == (0, 0, 1, 0)


def test_a_generator_that_is_never_started_takes_no_permit(breaker: CircuitBreaker) -> None:
    breaker.half_open()
    _never_started = breaker(echo)(2)
    breaker(echo)(2).close()
    assert breaker.acquire().state is HALF_OPEN


def test_a_generator_closes_the_one_it_guards(breaker: CircuitBreaker) -> None:
    closed: list[bool] = []

    @breaker
    def careful() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    generator: Any = careful()
    next(generator)
    generator.close()
    assert closed == [True]


def test_a_rejected_generator_raises_when_it_is_started(breaker: CircuitBreaker) -> None:
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        next(breaker(echo)(2))


def test_a_call_inside_a_probing_generator_is_part_of_the_probe(breaker: CircuitBreaker) -> None:
    guarded = breaker(increment)

    @breaker
    def pages() -> Iterator[int]:
        yield guarded(1)
        yield guarded(2)

    breaker.half_open()
    assert list(pages()) == [2, 3]
    assert breaker.state is CLOSED


# Async generators


async def test_an_async_generator_passes_everything_through(breaker: CircuitBreaker) -> None:
    async def collect(function: Callable[[int], Any]) -> list[object]:
        generator = function(3)
        items = [await anext(generator), await generator.asend("a"), await generator.asend("b")]
        return [*items, await anext(generator, "end")]

    expected = [(0, None), (1, "a"), (2, "b"), "end"]
    assert await collect(breaker(echo_later)) == await collect(echo_later) == expected


async def test_an_async_generator_is_judged_by_its_whole_run(breaker: CircuitBreaker) -> None:
    generator = breaker(echo_later)(2)
    await anext(generator)
    await anext(generator)
    assert totals(breaker) == (0, 0, 0, 0)
    assert [item async for item in generator] == []
    assert totals(breaker) == (1, 0, 0, 0)


async def test_an_async_generator_that_raises_is_a_failure(breaker: CircuitBreaker) -> None:
    @breaker
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise DownError

    with pytest.raises(DownError):
        [number async for number in broken()]
    assert totals(breaker) == (0, 1, 0, 0)


async def test_an_async_generator_sees_what_is_thrown_into_it(breaker: CircuitBreaker) -> None:
    @breaker
    async def catching() -> AsyncIterator[str]:
        try:
            yield "first"
        except DownError:
            yield "caught"

    generator: Any = catching()
    await anext(generator)
    assert await generator.athrow(DownError()) == "caught"
    assert [item async for item in generator] == []
    assert totals(breaker) == (1, 0, 0, 0)


async def test_an_exception_that_an_async_generator_does_not_catch_comes_back(
    breaker: CircuitBreaker,
) -> None:
    generator: Any = breaker(echo_later)(2)
    await anext(generator)
    with pytest.raises(DownError):
        await generator.athrow(DownError())
    assert totals(breaker) == (0, 1, 0, 0)


async def test_an_async_generator_that_is_closed_early_is_ignored(breaker: CircuitBreaker) -> None:
    closed: list[bool] = []

    @breaker
    async def careful() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    generator: Any = careful()
    await anext(generator)
    await generator.aclose()
    assert closed == [True]
    assert totals(breaker) == (0, 0, 1, 0)


async def test_an_async_generator_that_is_cancelled_is_ignored(breaker: CircuitBreaker) -> None:
    @breaker
    async def hanging() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in hanging():
            pass

    task = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert totals(breaker) == (0, 0, 1, 0)


async def test_an_async_generator_that_is_never_started_takes_no_permit(
    breaker: CircuitBreaker,
) -> None:
    breaker.half_open()
    generator: Any = breaker(echo_later)(2)
    await generator.aclose()
    assert breaker.acquire().state is HALF_OPEN


async def test_a_rejected_async_generator_raises_when_it_is_started(
    breaker: CircuitBreaker,
) -> None:
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        await anext(breaker(echo_later)(2))


async def test_a_call_inside_a_probing_async_generator_is_part_of_the_probe(
    breaker: CircuitBreaker,
) -> None:
    guarded = breaker(increment_later)

    @breaker
    async def pages() -> AsyncIterator[int]:
        yield await guarded(1)
        yield await guarded(2)

    breaker.half_open()
    assert [page async for page in pages()] == [2, 3]
    assert breaker.state is CLOSED


# Objects that can't be guarded


class Plain:
    """Instances can't be called."""


@pytest.mark.parametrize(
    "target",
    [5, None, "text", Plain, Plain(), int, property(increment), echo(1)],
    ids=["int", "None", "str", "class", "object", "builtin class", "property", "generator"],
)
@pytest.mark.parametrize("with_arguments", [False, True])
def test_an_object_that_can_not_be_guarded_is_refused_at_decoration(
    target: Any, *, with_arguments: bool, breaker: CircuitBreaker
) -> None:
    decorate: Any = breaker() if with_arguments else breaker
    with pytest.raises(TypeError) as raised:
        decorate(target)
    assert str(raised.value) == (
        f"{target!r} can't be guarded: give a function, a method, an object or a class with "
        "__call__; not what a call of it returned, nor a property"
    )


def test_a_coroutine_is_refused_at_decoration(breaker: CircuitBreaker) -> None:
    coroutine: Any = increment_later(1)
    with pytest.raises(TypeError, match="can't be guarded"):
        breaker(coroutine)
    coroutine.close()


def test_two_functions_at_once_are_refused_in_words(breaker: CircuitBreaker) -> None:
    with pytest.raises(TypeError, match=r"one function|can't be guarded"):
        breaker(increment, echo)  # type: ignore[call-overload]


async def sorry(error: CircuitBreakerError) -> str:
    return "sorry"


@pytest.mark.parametrize("function", [increment, echo])
def test_an_async_fallback_of_a_plain_function_is_refused_at_decoration(
    function: Callable[..., Any],
) -> None:
    breaker = CircuitBreaker(fallback=sorry)
    with pytest.raises(TypeError) as raised:
        breaker(function)
    assert str(raised.value) == (
        f"fallback={sorry!r} is async, and {function!r} is not: its callers could not await what "
        "the fallback returns. Give a plain function as the fallback"
    )


# Signatures and attributes


@pytest.mark.parametrize("function", FUNCTIONS)
def test_names_and_documentation_stay(function: Any, breaker: CircuitBreaker) -> None:
    guarded = breaker(function)
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(guarded, attribute) == getattr(function, attribute)
    assert guarded.__wrapped__ is function


@pytest.mark.parametrize("function", FUNCTIONS)
def test_introspection_stays(function: Any, breaker: CircuitBreaker) -> None:
    guarded = breaker(function)
    for test in (
        inspect.isfunction,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        assert test(guarded) == test(function)
    assert inspect.signature(guarded) == inspect.signature(function)
    assert typing.get_type_hints(guarded) == typing.get_type_hints(function)
    assert inspect.getsource(guarded) == inspect.getsource(function)


def test_attributes_of_the_function_stay(breaker: CircuitBreaker) -> None:
    def marked() -> None: ...

    vars(marked)["mark"] = 5
    assert vars(breaker(marked))["mark"] == 5


def everything(
    a: int,
    b: str = "b",
    /,
    c: float = 0.5,
    *args: int,
    d: int,
    e: list[int] = [],  # noqa: B006
    **kwargs: int,
) -> tuple[object, ...]:
    return a, b, c, args, d, e, kwargs


def test_every_kind_of_parameter_arrives(any_breaker: CircuitBreaker) -> None:
    guarded = any_breaker(everything)
    assert guarded(1, d=4) == (1, "b", 0.5, (), 4, [], {})
    result = guarded(1, "x", 2, 3, 4, d=5, e=[6], b=7)
    assert result == (1, "x", 2, (3, 4), 5, [6], {"b": 7})


def test_every_kind_of_parameter_arrives_in_half_open(breaker: CircuitBreaker) -> None:
    guarded = breaker(everything)
    breaker.half_open()
    assert guarded(1, "x", 2, 3, d=5, f=7) == (1, "x", 2, (3,), 5, [], {"f": 7})


def test_defaults_stay_the_same_objects(breaker: CircuitBreaker) -> None:
    default: list[int] = []

    def append(item: int, items: list[int] = default, *, more: list[int] = default) -> None:
        items.append(item)
        more.append(item)

    guarded: Any = breaker(append)
    guarded(1)
    assert default == [1, 1]
    assert guarded.__defaults__ == (default,)
    assert guarded.__defaults__[0] is guarded.__kwdefaults__["more"] is default


NAMES = [
    "self",
    "engine",
    "function",
    "call",
    "settle",
    "record",
    "result",
    "error",
    "outcome",
    "now",
    "started",
    "shut",
    "plain",
    "clock",
    "guarded",
    "bind",
    "args",
    "kwargs",
    "Exception",
    "BaseException",
    "_",
    "__",
    "_engine",
    "_function",
    "_call",
    "_settle",
    "_outcome_of",
    "_record",
    "_result",
    "_error",
    "_outcome",
    "_now",
    "_started",
    "_fast_reject",
    "_plain",
    "_is_awaitable",
    "_clock",
    "_slow_after",
    "_Error",
    "_SUCCESS",
    "_settle_later",
]


def function_of(parameters: str, body: str = "return dict(locals())", define: str = "def") -> Any:
    namespace: dict[str, Any] = {}
    exec(f"{define} function({parameters}):\n    {body}", namespace)
    return namespace["function"]


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_may_have_any_name(name: str, breaker: CircuitBreaker) -> None:
    for form in ("{}", "{}=None", "*, {}", "*{}", "**{}"):
        function = function_of(form.format(name))
        guarded = breaker(function)
        args = () if form in {"*, {}", "**{}"} else (5,)
        kwargs = {} if args else {name: 5}
        assert inspect.signature(guarded) == inspect.signature(function)
        for command in (breaker.reset, breaker.half_open, breaker.disable):
            command()
            assert guarded(*args, **kwargs) == function(*args, **kwargs)


def test_a_parameter_that_is_private_to_a_class(breaker: CircuitBreaker) -> None:
    class Client:
        @breaker
        def ask(self, __question: str, *, __loud: bool = True) -> tuple[str, bool]:  # noqa: PYI063
            return __question, __loud

    assert Client().ask("why") == ("why", True)


def test_parameters_of_any_alphabet(breaker: CircuitBreaker) -> None:
    guarded = breaker(function_of("größe, ключ=1"))
    assert guarded(größe=2) == {"größe": 2, "ключ": 1}


def test_a_closure_and_its_cells(breaker: CircuitBreaker) -> None:
    count = 0

    @breaker
    def increase() -> int:
        nonlocal count
        count += 1
        return count

    assert [increase(), increase(), count] == [1, 2, 2]


def test_a_guarded_function_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level
    assert copy.deepcopy(at_module_level) is at_module_level


async def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Call a function of any kind, as far as its first step."""
    result = function(*args, **kwargs)
    if inspect.isasyncgen(result):
        await anext(result)
    elif inspect.isgenerator(result):
        next(result)
    else:
        await result


async def error_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(TypeError) as raised:
        await run(function, *args, **kwargs)
    return str(raised.value)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((), {"nonsense": 1}), ((1,), {"nonsense": 1})]
)
async def test_a_wrong_call_raises_the_bare_functions_error_and_is_not_counted(
    function: Any, args: tuple[int, ...], kwargs: dict[str, int], breaker: CircuitBreaker
) -> None:
    bare = await error_of(function, *args, **kwargs)
    assert await error_of(breaker(function), *args, **kwargs) == bare
    assert totals(breaker) == (0, 0, 0, 0)


# Tracebacks


@pytest.mark.parametrize("command", ["reset", "half_open", "disable"])
def test_a_traceback_shows_the_line_that_failed(command: str, breaker: CircuitBreaker) -> None:
    getattr(breaker, command)()
    with pytest.raises(DownError) as raised:
        breaker(increment)(1, by=0)
    frames = traceback.extract_tb(raised.value.__traceback__)
    assert (frames[-1].name, frames[-1].line) == ("increment", "raise DownError")
    assert all(frame.line for frame in frames)


def test_a_guard_adds_one_frame_while_closed(breaker: CircuitBreaker) -> None:
    with pytest.raises(DownError) as raised:
        breaker(increment)(1, by=0)
    frames = traceback.extract_tb(raised.value.__traceback__)
    assert len(frames) == 3
    assert "_function(number, by" in (frames[1].line or "")


def test_a_call_that_fails_leaves_no_cycle_behind(breaker: CircuitBreaker) -> None:
    guarded = breaker(increment)
    gc.collect()
    gc.disable()
    try:
        try:
            guarded(1, 0)
        except DownError as error:
            kept = weakref.ref(error)
        else:
            pytest.fail("it should have failed")
        assert kept() is None
    finally:
        gc.enable()


def test_a_dropped_wrapper_is_freed(breaker: CircuitBreaker) -> None:
    class Big: ...

    def hold(big: Big) -> None: ...

    big = Big()
    kept = weakref.ref(big)
    breaker(hold)(big)
    del big
    assert kept() is None


# Frameworks


def test_fastapi_sees_the_signature(breaker: CircuitBreaker) -> None:
    app = FastAPI()

    @app.get("/items/{number}")
    @breaker
    async def item(number: int, query: str = "none", *, strict: bool = False) -> dict[str, object]:
        return {"number": number, "query": query, "strict": strict}

    client = TestClient(app)
    response = client.get("/items/5", params={"query": "x", "strict": "true"})
    assert response.json() == {"number": 5, "query": "x", "strict": True}
    assert client.get("/items/five").status_code == 422
    assert breaker.successes == 1


def test_fastapi_runs_a_guarded_plain_handler(breaker: CircuitBreaker) -> None:
    app = FastAPI()

    @app.get("/items/{number}")
    @breaker
    def item(number: int) -> int:
        return number

    assert TestClient(app).get("/items/5").json() == 5
    assert breaker.successes == 1


# Any signature

NAME = st.sampled_from(["a", "b", "c", "d", "self", "args", "_", "_result", "record", "guarded"])
VALUE = st.integers(0, 9)


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """The text between the parentheses of a function."""
    names = draw(st.lists(NAME, unique=True, max_size=7))
    kinds = sorted(draw(st.lists(st.integers(0, 2), min_size=len(names), max_size=len(names))))
    optional_from = draw(st.integers(0, len(names)))
    parts: list[str] = []
    positional_only = kinds.count(0)
    keyword_from = positional_only + kinds.count(1)
    for index, name in enumerate(names):
        if index == keyword_from:
            parts.append(draw(st.sampled_from(["*", "*rest"])))
        is_keyword = index >= keyword_from
        optional = draw(st.booleans()) if is_keyword else index >= optional_from
        parts.append(f"{name}={index}" if optional else name)
        if index == positional_only - 1:
            parts.append("/")
    if keyword_from == len(names) and draw(st.booleans()):
        parts.append("*rest")
    if draw(st.booleans()):
        parts.append("**others")
    return ", ".join(parts)


def outcome(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> object:
    try:
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            try:
                result.send(None)
            except StopIteration as stop:
                return stop.value
        return list(result) if inspect.isgenerator(result) else result
    except TypeError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(
    parameters=signatures(),
    define=st.sampled_from(["def", "async def"]),
    args=st.lists(VALUE, max_size=5),
    kwargs=st.dictionaries(NAME, VALUE, max_size=4),
    half_open=st.booleans(),
)
def test_any_function_answers_any_call_as_if_it_were_bare(
    parameters: str, define: str, args: list[int], kwargs: dict[str, int], *, half_open: bool
) -> None:
    breaker = CircuitBreaker(fail_max=100)
    function = function_of(parameters, define=define)
    guarded = breaker(function)
    assert inspect.signature(guarded) == inspect.signature(function)
    for _ in range(2):
        if half_open:
            breaker.half_open()
        assert outcome(guarded, args, kwargs) == outcome(function, args, kwargs)


@settings(max_examples=50, deadline=None)
@given(
    parameters=signatures(),
    args=st.lists(VALUE, max_size=5),
    kwargs=st.dictionaries(NAME, VALUE, max_size=4),
)
def test_any_generator_answers_any_call_as_if_it_were_bare(
    parameters: str, args: list[int], kwargs: dict[str, int]
) -> None:
    function = function_of(parameters, "yield from sorted(locals())")
    guarded = CircuitBreaker()(function)
    assert inspect.signature(guarded) == inspect.signature(function)
    assert outcome(guarded, args, kwargs) == outcome(function, args, kwargs)


# Slow calls


@pytest.mark.parametrize(("window", "share"), [(CountWindow(4), 1 / 4), (TimeWindow(60), 1 / 5)])
async def test_a_slow_call_counts_after_a_window_of_good_calls(
    window: CountWindow | TimeWindow, share: float
) -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(
        slow_call_rate=1, slow_call_duration=0.1, window=window, minimum_calls=4, clock=clock
    )

    @breaker
    def work(seconds: float) -> None:
        clock.advance(seconds)

    @breaker
    async def work_later(seconds: float) -> None:
        clock.advance(seconds)

    for seconds in (0, 0, 0, 0, 0.2):
        work(seconds)
    assert breaker.snapshot().slow_call_rate == share
    breaker.reset()
    for seconds in (0, 0, 0, 0, 0.2):
        await work_later(seconds)
    assert breaker.snapshot().slow_call_rate == share


def test_a_callable_without_a_hash_is_guarded() -> None:
    class Ask:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> int:
            return 1

    breaker = CircuitBreaker()
    assert breaker.call(Ask()) == 1
    breaker.force_open()
    with pytest.raises(CircuitBreakerError):
        breaker.call(Ask())


@pytest.mark.parametrize(
    ("annotation", "is_awaited"),
    [
        ("Awaitable[int]", True),
        (ForwardRef("Awaitable[int]"), True),
        (Awaitable[int], True),
        ("int", False),
        (ForwardRef("int"), False),
        (int, False),
        (None, False),
    ],
)
def test_a_function_is_known_to_return_an_awaitable_by_its_annotation(
    annotation: Any, *, is_awaited: bool
) -> None:
    def charge() -> Any: ...

    charge.__annotations__ = {"return": annotation}
    assert awaited_of(charge).is_awaited is is_awaited


def test_a_fallback_without_a_signature_gets_the_error() -> None:
    class Answer:
        @property
        def __signature__(self) -> inspect.Signature:
            raise ValueError("no signature found")

        def __call__(self, error: CircuitBreakerError) -> str:
            return error.name

    breaker = CircuitBreaker(name="bank", fallback=Answer())
    breaker.force_open()
    result: object = breaker.call(int)
    assert result == "bank"


async def test_the_fallback_of_a_generator_gets_the_rejection() -> None:
    def names(error: CircuitBreakerError) -> list[str]:
        return [error.name]

    breaker = CircuitBreaker(name="bank", fallback=names)
    breaker.force_open()
    items: Any = [*breaker(echo)(1)]
    assert items == [item async for item in breaker(echo_later)(1)] == ["bank"]


async def test_an_async_fallback_of_an_async_generator_gives_its_items() -> None:
    async def no_rates(_: CircuitBreakerError) -> list[int]:
        return [1, 2]

    breaker = CircuitBreaker(fallback=no_rates)
    breaker.force_open()

    @breaker
    async def rates() -> AsyncIterator[int]:
        yield 3

    assert [rate async for rate in rates()] == [1, 2]


async def test_a_call_of_an_async_function_in_a_fleet_is_rejected() -> None:
    async def charge() -> None:
        pass

    store = MemoryStore()
    registry = BreakerRegistry(store=store)
    try:
        bank = registry.get("bank")
        bank.force_open()
        with pytest.raises(CircuitBreakerError):
            await bank(charge)()
    finally:
        assert registry.fleet is not None
        registry.fleet.stop()


class Lender:
    """A place in a fleet that has a probe to lend once it was waited for."""

    def __init__(self) -> None:
        self.waits: list[str] = []

    def lacks_a_probe(self) -> bool:
        return not self.waits

    def wait(self) -> None:
        self.waits.append("in a thread")

    async def ready(self) -> None:
        self.waits.append("on the loop")

    def ends(self, _: object) -> None: ...
    def changed_state(self, _before: object, _after: object) -> None: ...


def by_call(breaker: CircuitBreaker) -> None:
    assert breaker.call(increment, 1) == 2


async def by_call_async(breaker: CircuitBreaker) -> None:
    assert await breaker.call_async(increment_later, 1) == 2


async def by_an_async_function(breaker: CircuitBreaker) -> None:
    assert await breaker(increment_later)(1) == 2


async def by_an_async_generator(breaker: CircuitBreaker) -> None:
    assert [item async for item in breaker(echo_later)(1)] == [(0, None)]


@pytest.mark.parametrize(
    ("way", "where"),
    [
        (by_call, "in a thread"),
        (by_call_async, "on the loop"),
        (by_an_async_function, "on the loop"),
        (by_an_async_generator, "on the loop"),
    ],
)
async def test_an_async_call_waits_on_the_loop_for_a_probe_of_the_fleet(
    way: Callable[[CircuitBreaker], Awaitable[None] | None],
    where: str,
    breaker: CircuitBreaker,
) -> None:
    lender: Any = Lender()
    breaker.half_open()
    breaker._fleet = lender
    if awaited := way(breaker):
        await awaited
    assert (lender.waits, breaker.state) == ([where], CLOSED)


def test_a_partial_of_an_async_predicate_is_refused() -> None:
    async def is_bad(_: object) -> bool:
        return True

    with pytest.raises(BreakerConfigError, match="a plain function, not an async one"):
        CircuitBreaker(is_failure=functools.partial(is_bad))
