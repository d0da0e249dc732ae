"""Failover: the first of several guarded functions whose breaker admits."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breaker_asgi import (
    BreakerConfigError,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerState,
    first_of,
)
from breaker_asgi.testing import FakeClock


class DownError(Exception):
    """A provider failed."""


class SDKError(Exception):
    """An SDK's own error."""


class Provider:
    """A guarded dependency, with a function of each kind that calls it."""

    def __init__(self, name: str, clock: FakeClock | None = None) -> None:
        self.name = name
        self.breaker = CircuitBreaker(name=name, fail_max=3, clock=clock or FakeClock())
        self.calls = 0
        self.closed = False
        self.error: BaseException | None = None
        self.cut: BaseException | None = None
        self.plain = self.breaker(self._plain)
        self.asynchronous = self.breaker(self._asynchronous)
        self.generator = self.breaker(self._generator)
        self.async_generator = self.breaker(self._async_generator)
        self.awaitable = self.breaker(self._awaitable)
        self.generator_of_a_function = self.breaker(self._generator_of_a_function)
        self.stream_of_a_function = self.breaker(self._stream_of_a_function)

    def _plain(self, question: str) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return f"{self.name}: {question}"

    async def _asynchronous(self, question: str) -> str:
        return self._plain(question)

    def _generator(self, question: str) -> Generator[str, str | None, str]:
        try:
            answer = self._plain(question)
            sent = yield answer
            if self.cut is not None:
                raise self.cut
            yield f"sent {sent}"
        except KeyError:
            yield "caught"
        finally:
            self.closed = True
        return "the end"

    async def _async_generator(self, question: str) -> AsyncGenerator[str, str | None]:
        try:
            answer = self._plain(question)
            sent = yield answer
            if self.cut is not None:
                raise self.cut
            yield f"sent {sent}"
        except KeyError:
            yield "caught"
        finally:
            self.closed = True

    def _awaitable(self, question: str) -> Awaitable[str]:
        return self._asynchronous(question)

    def _generator_of_a_function(self, question: str) -> Iterator[str]:
        return self._generator(question)

    def _stream_of_a_function(self, question: str) -> AsyncIterator[str]:
        return self._async_generator(question)

    def totals(self) -> tuple[int, int, int, int]:
        breaker = self.breaker
        return breaker.successes, breaker.failures, breaker.ignored, breaker.rejected


KINDS = {
    "plain": "plain",
    "asynchronous": "async",
    "generator": "generator",
    "async_generator": "async generator",
    "awaitable": "plain, returns an awaitable",
    "generator_of_a_function": "plain, returns a generator",
    "stream_of_a_function": "plain, returns an async iterator",
}
ASYNC_STREAMS = ["async_generator", "stream_of_a_function"]
SYNC_STREAMS = ["generator", "generator_of_a_function"]


async def first_answer(result: Any) -> Any:
    """Return the first answer of a call of any kind."""
    if inspect.isawaitable(result):
        return await result
    if hasattr(result, "__anext__"):
        try:
            return await anext(result)
        finally:
            await result.aclose()
    return next(result) if inspect.isgenerator(result) else result


def failover(kind: str, *providers: Provider, also_on: Any = ()) -> Callable[[str], Any]:
    functions = [getattr(provider, kind) for provider in providers]
    made: Callable[[str], Any] = first_of(*functions, also_on=also_on)
    return made


@pytest.fixture
def one() -> Provider:
    return Provider("one")


@pytest.fixture
def two() -> Provider:
    return Provider("two")


every_kind = pytest.mark.parametrize("kind", KINDS, ids=KINDS.values())


# Choice


@every_kind
async def test_the_first_is_called_while_its_breaker_admits(
    kind: str, one: Provider, two: Provider
) -> None:
    assert await first_answer(failover(kind, one, two)("why?")) == "one: why?"
    assert two.totals() == (0, 0, 0, 0)


@every_kind
async def test_the_second_is_called_while_the_first_is_open(
    kind: str, one: Provider, two: Provider
) -> None:
    one.breaker.open(60)
    assert await first_answer(failover(kind, one, two)("why?")) == "two: why?"
    assert one.calls == 0


@every_kind
async def test_a_failure_of_the_first_is_raised(kind: str, one: Provider, two: Provider) -> None:
    one.error = DownError()
    with pytest.raises(DownError):
        await first_answer(failover(kind, one, two)("why?"))
    assert (one.breaker.failures, two.calls) == (1, 0)


@every_kind
async def test_a_failure_that_also_on_names_moves_on_and_counts(
    kind: str, one: Provider, two: Provider
) -> None:
    one.error = DownError()
    answer = failover(kind, one, two, also_on=[DownError])
    assert await first_answer(answer("why?")) == "two: why?"
    assert one.totals() == (0, 1, 0, 0)


@every_kind
async def test_a_failure_that_also_on_does_not_name_is_raised(
    kind: str, one: Provider, two: Provider
) -> None:
    one.error = DownError()
    with pytest.raises(DownError):
        await first_answer(failover(kind, one, two, also_on=[TimeoutError])("why?"))
    assert two.calls == 0


@every_kind
async def test_a_rejection_that_an_sdk_has_wrapped_moves_on(
    kind: str, one: Provider, two: Provider
) -> None:
    one.error = SDKError("Connection error.")
    one.error.__cause__ = CircuitBreakerError("rejected further in")
    assert await first_answer(failover(kind, one, two)("why?")) == "two: why?"
    assert one.breaker.failures == 0


@every_kind
async def test_the_first_is_called_again_once_it_admits_a_probe(kind: str, two: Provider) -> None:
    clock = FakeClock()
    one = Provider("one", clock)
    one.breaker.open(60)
    answer = failover(kind, one, two)
    await first_answer(answer("why?"))
    clock.advance(61)
    assert await first_answer(answer("why?")) == "one: why?"


async def test_a_fallback_s_answer_is_an_answer(two: Provider) -> None:
    rates = CircuitBreaker(name="rates", fallback="as of yesterday")
    rates.open()
    answer = first_of(rates(two._asynchronous), two.asynchronous)
    assert await answer("why?") == "as of yesterday"
    assert two.calls == 0


async def test_a_failover_may_be_part_of_another_one(one: Provider, two: Provider) -> None:
    three = Provider("three")
    one.breaker.open()
    two.breaker.open()
    answer = first_of(first_of(one.asynchronous, two.asynchronous), three.asynchronous)
    assert await answer("why?") == "three: why?"


_probes: list[Any] = []


def _take_the_probe(breaker: CircuitBreaker) -> None:
    breaker.half_open()
    _probes.append(breaker.acquire())


STATES: dict[str, tuple[bool, Callable[[CircuitBreaker], object]]] = {
    "closed": (True, lambda breaker: None),
    "open": (False, lambda breaker: breaker.open(60)),
    "half-open": (True, lambda breaker: breaker.half_open()),
    "half-open, no probe left": (False, _take_the_probe),
    "forced open": (False, lambda breaker: breaker.force_open()),
    "disabled": (True, lambda breaker: breaker.disable()),
    "metrics only": (True, lambda breaker: breaker.metrics_only()),
}


@given(kind=st.sampled_from(sorted(KINDS)), states=st.lists(st.sampled_from(sorted(STATES))))
def test_only_the_first_that_admits_is_called(kind: str, states: list[str]) -> None:
    providers = [Provider(str(number)) for number in range(len(states) + 1)]
    for provider, state in zip(providers, states, strict=False):
        STATES[state][1](provider.breaker)
    admits = [STATES[state][0] for state in states]
    expected = admits.index(True) if True in admits else len(states)
    answer = asyncio.run(first_answer(failover(kind, *providers)("why?")))
    _probes.clear()
    assert answer == f"{expected}: why?"
    assert [provider.calls for provider in providers] == [
        int(number == expected) for number in range(len(providers))
    ]
    assert [provider.breaker.failures for provider in providers] == [0] * len(providers)


# Failures of all


@every_kind
async def test_if_all_reject_the_rejection_with_the_shortest_wait_is_raised(
    kind: str, one: Provider, two: Provider
) -> None:
    three = Provider("three")
    one.breaker.open(60)
    two.breaker.open(20)
    three.breaker.open(40)
    with pytest.raises(CircuitBreakerError) as raised:
        await first_answer(failover(kind, one, two, three)("why?"))
    assert (raised.value.name, raised.value.retry_after) == ("two", 20)
    assert raised.value.__notes__ == [
        "rejected too: breaker 'one' is open (opened by hand); retry in 60 s",
        "rejected too: breaker 'three' is open (opened by hand); retry in 40 s",
    ]
    pickle.dumps(raised.value)


async def test_a_wrapped_rejection_is_raised_itself(one: Provider) -> None:
    rejection = CircuitBreakerError("rejected further in")
    one.error = SDKError()
    one.error.__cause__ = rejection
    with pytest.raises(CircuitBreakerError) as raised:
        await first_of(one.asynchronous)("why?")
    assert raised.value is rejection


@every_kind
async def test_if_all_fail_the_last_failure_is_raised(
    kind: str, one: Provider, two: Provider
) -> None:
    one.error, two.error = DownError("one is down"), DownError("two is down")
    with pytest.raises(DownError, match="two is down") as raised:
        await first_answer(failover(kind, one, two, also_on=[DownError])("why?"))
    assert raised.value.__notes__ == ["failed too: DownError: one is down"]
    assert (one.breaker.failures, two.breaker.failures) == (1, 1)


@every_kind
@pytest.mark.parametrize("open_one", [0, 1])
async def test_if_one_fails_and_the_other_rejects_the_failure_is_raised(
    kind: str, open_one: int, one: Provider, two: Provider
) -> None:
    providers = [one, two]
    failing = providers[1 - open_one]
    providers[open_one].breaker.open(60)
    failing.error = DownError()
    with pytest.raises(DownError) as raised:
        await first_answer(failover(kind, one, two, also_on=[DownError])("why?"))
    assert raised.value.__notes__[0].startswith("rejected too: breaker")
    assert failing.breaker.failures == 1


async def test_an_error_that_ends_the_search_notes_the_rejections_before_it(
    one: Provider, two: Provider
) -> None:
    one.breaker.open(60)
    two.error = DownError()
    with pytest.raises(DownError) as raised:
        await first_of(one.asynchronous, two.asynchronous)("why?")
    assert raised.value.__notes__ == [
        "rejected too: breaker 'one' is open (opened by hand); retry in 60 s"
    ]


@every_kind
async def test_the_failure_of_the_second_counts_though_the_first_rejected(
    kind: str, one: Provider, two: Provider
) -> None:
    outer = CircuitBreaker(name="outer", fail_max=9)
    one.breaker.open(60)
    two.error = DownError()
    answer = outer(failover(kind, one, two))
    with pytest.raises(DownError):
        await first_answer(answer("why?"))
    assert two.totals() == (0, 1, 0, 0)
    assert (outer.failures, outer.ignored) == (1, 0)


async def test_the_failure_of_a_stand_in_counts_while_a_rejection_is_being_handled(
    one: Provider, two: Provider
) -> None:
    one.breaker.open(60)
    two.error = DownError()

    async def ask() -> None:
        try:
            await one.asynchronous("why?")
        except CircuitBreakerError:
            await first_of(two.asynchronous, one.asynchronous)("why?")

    with pytest.raises(DownError) as raised:
        await ask()
    assert isinstance(raised.value.__context__, CircuitBreakerError)
    assert two.totals() == (0, 1, 0, 0)


@every_kind
async def test_the_rejection_of_all_is_ignored_by_a_breaker_around_them(
    kind: str, one: Provider, two: Provider
) -> None:
    outer = CircuitBreaker(name="outer")
    one.breaker.open()
    two.breaker.open()
    with pytest.raises(CircuitBreakerError):
        await first_answer(outer(failover(kind, one, two))("why?"))
    assert (outer.failures, outer.ignored) == (0, 1)


async def test_a_breaker_around_a_failover_counts_its_calls(one: Provider, two: Provider) -> None:
    outer = CircuitBreaker(name="outer")
    await outer.call_async(first_of(one.asynchronous, two.asynchronous), "why?")
    assert outer.successes == 1


@pytest.mark.parametrize("kind", ["asynchronous", "awaitable", "async_generator"])
async def test_a_cancellation_passes(kind: str, one: Provider, two: Provider) -> None:
    one.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await first_answer(failover(kind, one, two, also_on=[Exception])("why?"))
    assert one.totals() == (0, 0, 1, 0)
    assert two.calls == 0


async def test_the_errors_of_calls_that_moved_on_are_released(one: Provider, two: Provider) -> None:
    one.error = DownError()
    await first_of(one.asynchronous, two.asynchronous, also_on=[DownError])("why?")
    trace = one.error.__traceback__
    assert trace is not None
    attempts = trace.tb_frame.f_locals["attempts"]
    assert attempts._errors == []


# Streams


def read(stream: Iterator[str]) -> list[str]:
    return list(stream)


@pytest.mark.parametrize("kind", SYNC_STREAMS)
def test_a_stream_is_read_to_its_end(kind: str, one: Provider, two: Provider) -> None:
    one.breaker.open()
    assert read(failover(kind, one, two)("why?")) == ["two: why?", "sent None"]
    assert two.totals() == (1, 0, 0, 0)


@pytest.mark.parametrize("kind", ASYNC_STREAMS)
async def test_an_async_stream_is_read_to_its_end(kind: str, one: Provider, two: Provider) -> None:
    one.breaker.open()
    items = [item async for item in failover(kind, one, two)("why?")]
    assert items == ["two: why?", "sent None"]
    assert two.totals() == (1, 0, 0, 0)


@pytest.mark.parametrize("kind", SYNC_STREAMS)
def test_a_stream_that_has_begun_does_not_move_on(kind: str, one: Provider, two: Provider) -> None:
    one.cut = DownError()
    stream = failover(kind, one, two, also_on=[DownError])("why?")
    assert next(stream) == "one: why?"
    with pytest.raises(DownError):
        next(stream)
    assert (one.breaker.failures, two.calls) == (1, 0)


@pytest.mark.parametrize("kind", ASYNC_STREAMS)
@pytest.mark.parametrize("cut", [DownError(), CircuitBreakerError("rejected further in")])
async def test_an_async_stream_that_has_begun_does_not_move_on(
    kind: str, cut: Exception, one: Provider, two: Provider
) -> None:
    one.cut = cut
    stream = failover(kind, one, two, also_on=[DownError])("why?")
    assert await anext(stream) == "one: why?"
    with pytest.raises(type(cut)):
        await anext(stream)
    assert two.calls == 0


def test_a_stream_without_items_is_an_answer(two: Provider) -> None:
    def empty(question: str) -> Iterator[str]:
        yield from ()

    assert read(first_of(empty, two.generator)("why?")) == []
    assert two.calls == 0


async def test_an_async_stream_without_items_is_an_answer(two: Provider) -> None:
    async def empty(question: str) -> AsyncIterator[str]:
        nothing: list[str] = []
        for item in nothing:
            yield item

    assert [item async for item in first_of(empty, two.async_generator)("why?")] == []
    assert two.calls == 0


def test_a_generator_gets_what_is_sent_and_its_result_is_kept(one: Provider) -> None:
    results = []

    def reader() -> Generator[Any, Any, None]:
        results.append((yield from first_of(one.generator)("why?")))

    stream = reader()
    next(stream)
    assert stream.send("more") == "sent more"
    assert list(stream) == []
    assert results == ["the end"]


def test_a_generator_gets_what_is_thrown(one: Provider) -> None:
    stream: Any = first_of(one.generator)("why?")
    next(stream)
    assert stream.throw(KeyError()) == "caught"


def test_a_generator_is_closed_with_the_outer_one(one: Provider) -> None:
    stream: Any = first_of(one.generator)("why?")
    next(stream)
    stream.close()
    assert one.closed
    assert one.totals() == (0, 0, 1, 0)


async def test_an_async_generator_gets_what_is_sent(one: Provider) -> None:
    stream = first_of(one.async_generator)("why?")
    await anext(stream)
    assert await stream.asend("more") == "sent more"


async def test_an_async_generator_gets_what_is_thrown(one: Provider) -> None:
    stream = first_of(one.async_generator)("why?")
    await anext(stream)
    assert await stream.athrow(KeyError()) == "caught"
    await stream.aclose()


async def test_an_async_generator_is_closed_with_the_outer_one(one: Provider) -> None:
    stream = first_of(one.async_generator)("why?")
    await anext(stream)
    await stream.aclose()
    assert one.closed
    assert one.totals() == (0, 0, 1, 0)


class Events:
    """A stream as SDKs have it: an async iterator that can be closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = False
        self._items = iter(["a", "b"])

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if self.error is not None:
            raise self.error
        for item in self._items:
            return item
        raise StopAsyncIteration

    async def close(self) -> None:
        self.closed = True


async def test_an_iterator_that_is_rejected_at_its_first_item_moves_on() -> None:
    streams = [Events(CircuitBreakerError("rejected")), Events()]
    answer = first_of(lambda: streams[0], lambda: streams[1])
    assert [item async for item in answer()] == ["a", "b"]
    assert [stream.closed for stream in streams] == [True, True]


async def test_an_iterator_is_closed_when_its_reader_leaves() -> None:
    events = Events()
    stream: Any = first_of(lambda: events)()
    await anext(stream)
    await stream.aclose()
    assert events.closed


# The failover as an object


def test_a_failover_has_the_name_and_the_signature_of_the_first(
    one: Provider, two: Provider
) -> None:
    async def ask(question: str, *, model: str = "small") -> str:
        """Ask the first one."""
        return question

    made = first_of(ask, ask)
    assert (made.__name__, made.__doc__) == ("ask", "Ask the first one.")
    assert inspect.signature(made) == inspect.signature(ask)


@pytest.mark.parametrize(
    ("kind", "is_of_it"),
    [
        ("asynchronous", inspect.iscoroutinefunction),
        ("generator", inspect.isgeneratorfunction),
        ("async_generator", inspect.isasyncgenfunction),
    ],
)
def test_a_failover_is_a_function_of_the_kind_of_the_first(
    kind: str, is_of_it: Callable[[object], bool], one: Provider, two: Provider
) -> None:
    assert is_of_it(failover(kind, one, two))


async def test_a_future_stays_a_future() -> None:
    rejected: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    rejected.set_exception(CircuitBreakerError("rejected"))
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    answered.set_result("two")
    made = first_of(lambda: rejected, lambda: answered)()
    assert isinstance(made, asyncio.Future)
    assert await made == "two"


async def test_rejections_at_the_call_and_at_the_await_are_raised_together(
    one: Provider, two: Provider
) -> None:
    one.breaker.open(60)
    two.error = CircuitBreakerError("rejected further in")
    with pytest.raises(CircuitBreakerError, match="further in") as raised:
        await first_of(one.awaitable, two.awaitable)("why?")
    assert raised.value.__notes__ == [
        "rejected too: breaker 'one' is open (opened by hand); retry in 60 s"
    ]


class Asked:
    """A callable object."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def __call__(self, question: str) -> str:
        return await self._provider.asynchronous(question)


async def test_partials_and_callable_objects_are_of_the_kind_of_what_they_call(
    one: Provider, two: Provider
) -> None:
    one.breaker.open()
    answer = first_of(functools.partial(Asked(one), "why?"), functools.partial(Asked(two), "why?"))
    assert inspect.iscoroutinefunction(answer)
    assert await answer() == "two: why?"


async def test_methods_of_a_class_are_bound_together() -> None:
    bank, vault = CircuitBreaker(name="bank"), CircuitBreaker(name="vault")

    class Client:
        @bank
        async def _one(self) -> object:
            return self

        @vault
        async def _two(self) -> object:
            return self

        ask = first_of(_one, _two)

    bank.open()
    client = Client()
    assert await client.ask() is client


# Mistakes


def test_functions_of_several_kinds_are_refused(one: Provider) -> None:
    with pytest.raises(BreakerConfigError, match=r"one kind: .* is an async function"):
        first_of(one.asynchronous, one.async_generator)


def test_the_result_of_a_call_is_refused(one: Provider) -> None:
    with pytest.raises(BreakerConfigError, match="without calling it"):
        first_of(one.plain, one.plain("why?"))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "also_on", [[asyncio.CancelledError], [BaseException], [DownError()], TimeoutError, ["x"]]
)
def test_also_on_takes_types_of_exceptions_only(also_on: Any, one: Provider) -> None:
    with pytest.raises(BreakerConfigError, match="also_on"):
        first_of(one.plain, also_on=also_on)


def test_a_breaker_is_in_its_last_state_after_failures_that_moved_on(
    one: Provider, two: Provider
) -> None:
    one.error = DownError()
    answer = first_of(one.plain, two.plain, also_on=[DownError])
    assert [answer("why?") for _ in range(5)] == ["two: why?"] * 5
    assert one.breaker.state is CircuitBreakerState.OPEN
    assert one.calls == 3


async def test_a_keyword_of_any_name_is_passed_on() -> None:
    async def ask(result: str) -> str:
        return result

    def start(result: str) -> Awaitable[str]:
        return ask(result)

    assert await first_of(start, start)(result="a") == "a"
