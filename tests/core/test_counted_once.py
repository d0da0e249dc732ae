"""A breaker around itself: a failure that leaves two of its calls is one failure."""

from __future__ import annotations

import asyncio
import pickle
from contextvars import Context
from typing import Any

import httpx
import pytest

from breaker_asgi import CircuitBreaker
from breaker_asgi._core import process
from breaker_asgi._core.counted import note_response


@pytest.fixture
def bank() -> CircuitBreaker:
    return CircuitBreaker(fail_max=9)


def raises(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


def by_decoration(bank: CircuitBreaker, function: Any) -> Any:
    return bank(function)()


def by_call(bank: CircuitBreaker, function: Any) -> Any:
    return bank.call(function)


def by_block(bank: CircuitBreaker, function: Any) -> Any:
    with bank:
        return function()


def by_coroutine(bank: CircuitBreaker, function: Any) -> Any:
    async def call() -> Any:
        return function()

    return asyncio.run(bank(call)())


WAYS = [by_decoration, by_call, by_block, by_coroutine]


@pytest.mark.parametrize("inner", WAYS[:3])
@pytest.mark.parametrize("outer", WAYS)
def test_a_failure_that_leaves_two_calls_counts_once(
    outer: Any, inner: Any, bank: CircuitBreaker
) -> None:
    with pytest.raises(ConnectionError):
        outer(bank, lambda: inner(bank, raises(ConnectionError())))
    assert bank.failures == 1


@pytest.mark.parametrize("command", ["close", "half_open", "metrics_only"])
def test_a_failure_counts_once_in_every_state(command: str, bank: CircuitBreaker) -> None:
    getattr(bank, command)()
    with pytest.raises(ConnectionError):
        by_decoration(bank, lambda: by_call(bank, raises(ConnectionError())))
    assert bank.failures == 1


def test_a_breaker_opens_after_fail_max_failures() -> None:
    bank = CircuitBreaker(fail_max=4)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            by_decoration(bank, lambda: by_decoration(bank, raises(ConnectionError())))
    assert bank.state == "closed"


def test_a_function_that_calls_itself_fails_once(bank: CircuitBreaker) -> None:
    @bank
    def dig(depth: int) -> None:
        if depth == 0:
            raise ConnectionError
        dig(depth - 1)

    with pytest.raises(ConnectionError):
        dig(5)
    assert bank.failures == 1


def test_another_breaker_in_between_counts_its_own_failure(bank: CircuitBreaker) -> None:
    shop = CircuitBreaker()
    with pytest.raises(ConnectionError):
        by_decoration(
            bank,
            lambda: by_call(shop, lambda: by_decoration(bank, raises(ConnectionError()))),
        )
    assert (bank.failures, shop.failures) == (1, 1)


def test_a_breaker_that_has_failed_itself_counts_what_another_one_has_counted(
    bank: CircuitBreaker,
) -> None:
    shop = CircuitBreaker()

    def buy() -> None:
        shop.acquire().failure(TimeoutError())
        by_decoration(bank, raises(ConnectionError()))

    with pytest.raises(ConnectionError):
        by_decoration(shop, buy)
    assert (bank.failures, shop.failures) == (1, 2)


def test_a_probe_whose_failure_another_one_has_counted_gives_its_permit_back() -> None:
    bank = CircuitBreaker(failure_rate=1, half_open_calls=2)
    bank.half_open()
    with pytest.raises(ConnectionError), bank:
        Context().run(bank.call, raises(ConnectionError()))
    assert (bank.failures, bank.ignored) == (1, 1)
    bank.acquire().failure()
    assert bank.state == "open"


def test_an_exception_raised_from_a_counted_failure_is_counted(bank: CircuitBreaker) -> None:
    def pay() -> None:
        try:
            by_decoration(bank, raises(ConnectionError()))
        except ConnectionError as error:
            raise RuntimeError from error

    with pytest.raises(RuntimeError):
        by_decoration(bank, pay)
    assert bank.failures == 1


async def test_a_group_of_counted_failures_is_counted(bank: CircuitBreaker) -> None:
    async def ask() -> None:
        by_decoration(bank, raises(ConnectionError()))

    @bank
    async def pay() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
            tasks.create_task(ask())

    with pytest.raises(ExceptionGroup):
        await pay()
    assert bank.failures == 2


async def test_a_group_with_another_failure_counts_once_more(bank: CircuitBreaker) -> None:
    async def ask() -> None:
        by_decoration(bank, raises(ConnectionError()))

    async def fail() -> None:
        raise TimeoutError

    @bank
    async def pay() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
            tasks.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await pay()
    assert bank.failures == 2


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_that_is_raised_by_each_call_counts_each_time(
    way: Any, bank: CircuitBreaker
) -> None:
    always = ConnectionError()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            way(bank, raises(always))
    assert bank.failures == 3


def test_a_bad_response_counts_once_with_the_exception_made_of_it(bank: CircuitBreaker) -> None:
    request = httpx.Request("GET", "http://bank.example")
    response = httpx.Response(503, request=request)

    def pay() -> None:
        bank.acquire().failure()
        note_response(bank, response)
        response.raise_for_status()

    with pytest.raises(httpx.HTTPStatusError):
        by_decoration(bank, pay)
    assert bank.failures == 1


@pytest.mark.parametrize("offset", [0, 1 << 64], ids=["first process", "forked"])
def test_a_bad_response_that_was_not_counted_counts(
    offset: int, bank: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "offset", offset)
    request = httpx.Request("GET", "http://bank.example")

    def pay() -> None:
        bank.acquire().failure(ConnectionError())
        httpx.Response(503, request=request).raise_for_status()

    with pytest.raises(httpx.HTTPStatusError):
        by_decoration(bank, pay)
    assert bank.failures == 2


def test_a_response_that_can_not_be_noted_counts_again(bank: CircuitBreaker) -> None:
    def pay() -> None:
        bank.acquire().failure()
        note_response(bank, {"status": 503})
        raise ConnectionError

    with pytest.raises(ConnectionError):
        by_decoration(bank, pay)
    assert bank.failures == 2


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_that_an_earlier_call_has_counted_counts_again(
    way: Any, bank: CircuitBreaker
) -> None:
    always = ConnectionError()

    def pay() -> None:
        with pytest.raises(TimeoutError):
            by_call(bank, raises(TimeoutError()))
        raise always

    with pytest.raises(ConnectionError):
        by_call(bank, raises(always))
    with pytest.raises(ConnectionError):
        way(bank, pay)
    assert bank.failures == 3


def test_an_exception_can_be_pickled_after_it_was_counted(bank: CircuitBreaker) -> None:
    with pytest.raises(ConnectionError) as caught:
        by_decoration(bank, raises(ConnectionError("down")))
    assert pickle.loads(pickle.dumps(caught.value)).args == ("down",)


def test_dir_lists_the_attributes_of_an_exception_that_was_counted(bank: CircuitBreaker) -> None:
    with pytest.raises(ConnectionError) as caught:
        by_decoration(bank, raises(ConnectionError()))
    assert "args" in dir(caught.value)
