"""The public API as type checkers see it. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, assert_type

import httpx
from fastapi import Depends, FastAPI

from breaker_asgi import (
    BreakerConfig,
    BreakerMiddleware,
    BreakerRegistry,
    BreakerSnapshot,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
    CountWindow,
    Outage,
    Outcome,
    Permit,
    RegistryHealth,
    TimeWindow,
    breaker,
    default_registry,
    first_of,
)
from breaker_asgi.clients import guard
from breaker_asgi.clients.httpx import AsyncBreakerTransport, BreakerTransport
from breaker_asgi.errors import CircuitBreakerError as ErrorByTheAncestorsPath
from breaker_asgi.state import CircuitBreakerState as StateByTheAncestorsPath
from breaker_asgi.testing import FakeClock

bank = CircuitBreaker(name="bank")

# Decorated functions keep their types.


@bank
def plain(number: int, /, *, text: str = "") -> float:
    return number


@bank()
def plain_with_parentheses(number: int) -> float:
    return number


@bank(ignore_on_call=False)
async def asynchronous(number: int, text: str = "") -> float:
    return number


@bank
def generator(count: int) -> Iterator[int]:
    yield count


@bank
async def async_generator(count: int) -> AsyncIterator[int]:
    yield count


@bank
def awaitable(number: int) -> Awaitable[float]:
    return asynchronous(number)


class Client:
    @bank
    def method(self, number: int) -> float:
        return number

    @bank()
    async def async_method(self, number: int) -> float:
        return number

    @classmethod
    @bank
    def class_method(cls, number: int) -> float:
        return number

    @staticmethod
    @bank
    def static_method(number: int) -> float:
        return number

    @property
    @bank
    def attribute(self) -> float:
        return 5


@bank
class Callable_:  # noqa: N801
    def __call__(self, number: int) -> float:
        return number


async def decorated(client: Client) -> None:
    assert_type(plain(1, text="a"), float)
    assert_type(plain_with_parentheses(1), float)
    assert_type(await asynchronous(1, text="a"), float)
    assert_type(generator(1), Iterator[int])
    assert_type(async_generator(1), AsyncIterator[int])
    assert_type(await awaitable(1), float)
    assert_type(client.method(1), float)
    assert_type(await client.async_method(1), float)
    assert_type(Client.class_method(1), float)
    assert_type(Client.static_method(1), float)
    assert_type(client.attribute, float)
    assert_type(Callable_()(1), float)
    assert_type(bank(len)("abc"), int)
    exact: Callable[[int, str], Coroutine[Any, Any, float]] = asynchronous
    del exact


async def wrong_arguments_are_found(client: Client) -> None:
    plain("1")  # type: ignore[arg-type]
    plain(number=1)  # type: ignore[call-arg]
    plain(1, "a")  # type: ignore[call-arg]
    plain_with_parentheses()  # type: ignore[call-arg]
    await asynchronous("1")  # type: ignore[arg-type]
    generator("1")  # type: ignore[arg-type]
    client.method("1")  # type: ignore[arg-type]
    Client.class_method("1")  # type: ignore[arg-type]
    bank.call(plain, "1")  # type: ignore[arg-type]
    bank.call(plain_with_parentheses, 1, 2)  # type: ignore[call-arg]
    await bank.call_async(asynchronous, number="1")  # type: ignore[arg-type]
    await bank.call_async(plain, 1)  # type: ignore[arg-type]
    bank(5)  # type: ignore[call-overload]


# Calls


async def calls(client: Client) -> None:
    assert_type(bank.call(plain, 1, text="a"), float)
    assert_type(bank.call(client.method, number=1), float)
    assert_type(bank.call(lambda: 5), int)
    assert_type(await bank.call_async(asynchronous, 1, text="a"), float)
    assert_type(await bank.call_async(client.async_method, 1), float)
    assert_type(await bank.call_async(awaitable, 1), float)
    assert_type(await bank.call(asynchronous, 1), float)


async def blocks() -> None:
    with bank as permit:
        assert_type(permit, Permit)
    async with bank as permit:
        assert_type(permit, Permit)
    with bank.acquire() as permit:
        assert_type(permit, Permit)


def a_block_swallows_nothing() -> int:
    with bank:
        return 5


async def an_async_block_swallows_nothing() -> int:
    async with bank:
        return 5


def a_permits_block_swallows_nothing() -> int:
    with bank.acquire():
        return 5


def permits() -> None:
    permit = bank.acquire()
    assert_type(permit, Permit)
    assert_type(permit.breaker, CircuitBreaker)
    assert_type(permit.state, CircuitBreakerState)
    assert_type(permit.settled, bool)
    permit.success()
    permit.failure()
    permit.failure(ValueError())
    permit.ignore(KeyboardInterrupt())
    permit.raised(KeyboardInterrupt())
    permit.returned(5)
    permit.failure(KeyboardInterrupt())  # type: ignore[arg-type]


# Settings


def even(error: Exception) -> bool:
    return True


def settings() -> None:
    CircuitBreaker(3, 5, [KeyError, even], [Recorder()], "name")
    CircuitBreaker(timeout_duration=timedelta(seconds=5), half_open_timeout=0.5)
    CircuitBreaker(exclude=(KeyError,), ignore={even, lambda error: error.args == ()})
    CircuitBreaker(exclude=None, listeners=None, name=None)
    CircuitBreaker(failure_rate=0.5, window=CountWindow(10), minimum_calls=5)
    CircuitBreaker(slow_call_rate=0.5, slow_call_duration=2, window=TimeWindow(30))
    CircuitBreaker(window=TimeWindow(timedelta(minutes=1)), failure_rate=1)
    CircuitBreaker(is_failure=lambda result: result.status >= 500)
    CircuitBreaker(fallback="value", clock=FakeClock())
    CircuitBreaker(fallback=lambda error: error.name, max_timeout_duration=timedelta(minutes=5))
    assert_type(CircuitBreaker.from_config(BreakerConfig(), "name"), CircuitBreaker)
    CircuitBreaker(fail_max="3")  # type: ignore[arg-type]
    CircuitBreaker(exclude=KeyError)  # type: ignore[arg-type]
    CircuitBreaker(window=100)  # type: ignore[arg-type]
    CircuitBreaker(clock=5.0)  # type: ignore[arg-type]
    CircuitBreaker(fail_maximum=3)  # type: ignore[call-arg]


def configs() -> None:
    config = BreakerConfig(fail_max=3, exclude=[KeyError], timeout_duration=timedelta(seconds=5))
    assert_type(config.fail_max, int | None)
    assert_type(config.replace(fail_max=4), BreakerConfig)
    assert_type(config.given(), dict[str, Any])
    config.fail_max = 4  # type: ignore[misc]


def a_living_breaker() -> None:
    bank.fail_max = 3
    bank.timeout_duration = 5
    bank.timeout_duration = timedelta(seconds=5)
    assert_type(bank.name, str)
    assert_type(bank.calls, int)
    assert_type(bank.config, BreakerConfig)
    assert_type(bank.time_until_open, timedelta | None)
    assert_type(bank.opens_at, datetime | None)
    assert_type(bank.listeners, tuple[object, ...])
    assert_type(bank.outcome_of(KeyError()), Outcome)


# What there is to see


def states() -> None:
    assert_type(bank.state, CircuitBreakerState)
    assert_type(bank.current_state, CircuitBreakerState)
    same: type[StateByTheAncestorsPath] = CircuitBreakerState
    text: str = bank.state
    del same, text


def snapshots() -> None:
    snapshot = bank.snapshot(messages=True)
    assert_type(snapshot, BreakerSnapshot)
    assert_type(snapshot.state, CircuitBreakerState)
    assert_type(snapshot.failure_rate, float | None)
    assert_type(snapshot.retry_after, float | None)
    assert_type(snapshot.changed_at, datetime)
    assert_type(snapshot.last_failure_at, datetime | None)
    assert_type(snapshot.last_failure_type, str | None)
    assert_type(snapshot.outage, Outage | None)
    snapshot.calls = 5  # type: ignore[misc]


async def errors(error: CircuitBreakerError) -> None:
    assert_type(error.name, str)
    assert_type(error.state, CircuitBreakerState)
    assert_type(error.reason, str)
    assert_type(error.message, str)
    assert_type(error.retry_after, float)
    assert_type(error.time_remaining, timedelta)
    assert_type(error.reopen_time, datetime)
    await error.sleep_until_open()
    same: ErrorByTheAncestorsPath = error
    del same


# Listeners


class Recorder(CircuitBreakerListener):
    def before_call(self, breaker: CircuitBreaker, func: Any, /, *args: Any, **kwargs: Any) -> None:
        assert_type(breaker, CircuitBreaker)

    async def success(self, breaker: CircuitBreaker) -> None: ...

    def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> None: ...

    async def ignored(self, breaker: CircuitBreaker, exception: BaseException | None) -> None: ...

    def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> None: ...

    async def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> None: ...


class ByTheAncestorsSignature(CircuitBreakerListener):
    def before_call(
        self, breaker: CircuitBreaker, func: Any, *args: Any, **kwargs: Any
    ) -> None: ...


# Registries, and what stands on them


def registries() -> None:
    registry = BreakerRegistry(
        BreakerConfig(timeout_duration=10),
        settings={"bank": {"fail_max": 3}, "http:*": BreakerConfig(failure_rate=0.5)},
        listeners=[Recorder()],
        limit=100,
    )
    assert_type(registry.get("bank"), CircuitBreaker)
    assert_type(registry.get("bank", fail_max=3), CircuitBreaker)
    assert_type(registry["bank"], CircuitBreaker)
    assert_type(registry.add(bank), CircuitBreaker)
    assert_type(list(registry), list[CircuitBreaker])
    assert_type(len(registry), int)
    assert_type("bank" in registry, bool)
    assert_type(default_registry, BreakerRegistry)
    assert_type(registry.health(critical=["bank", "http:*"]), RegistryHealth)
    assert_type(registry.health().open, tuple[str, ...])
    assert_type(registry.health().is_ready, bool)


def applications() -> None:
    app = FastAPI()
    app.add_middleware(BreakerMiddleware)
    app.add_middleware(BreakerMiddleware, registry=BreakerRegistry(), monitor_path=None)

    @app.post("/pay")
    async def pay(permit: Annotated[Permit, Depends(breaker("payments"))]) -> str:
        assert_type(permit, Permit)
        return "paid"

    @app.get("/balance")
    @bank
    async def balance(account: int) -> int:
        return account

    same: Callable[[int], Coroutine[Any, Any, int]] = balance
    del pay, same


def clients() -> None:
    def answer(request: httpx.Request, error: CircuitBreakerError) -> httpx.Response:
        return httpx.Response(200, request=request, text=error.name)

    async def answer_later(request: httpx.Request, error: CircuitBreakerError) -> httpx.Response:
        return answer(request, error)

    transport = AsyncBreakerTransport(
        name=lambda request: request.url.host,
        is_failure=lambda response: response.status_code == 404,
        fallback=answer_later,
    )
    client = httpx.AsyncClient(transport=transport)
    plain_client = httpx.Client(transport=BreakerTransport(httpx.HTTPTransport(), fallback=answer))
    assert_type(guard(plain_client, fallback=answer), httpx.Client)
    AsyncBreakerTransport(http2=True, retries=1)
    AsyncBreakerTransport(http3=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    BreakerTransport(fallback=answer_later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    BreakerTransport(httpx.AsyncHTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    del client, plain_client


def clocks() -> None:
    clock = FakeClock(5)
    assert_type(clock(), float)
    clock.advance(1)
    clock.advance(timedelta(seconds=1))
    readable: Callable[[], float] = clock
    del readable


# Failover


@bank
async def counted(number: int, text: str = "") -> int:
    return number


@bank
async def async_stream(number: int) -> AsyncGenerator[str, None]:
    yield str(number)


async def failovers(client: Client) -> None:
    same: Callable[[int, str], Coroutine[Any, Any, float]] = first_of(asynchronous, asynchronous)
    assert_type(await first_of(asynchronous, asynchronous)(1, text="a"), float)
    assert_type(await first_of(counted, counted, also_on=[TimeoutError, OSError])(1), int)
    assert_type(first_of(plain, plain)(1, text="a"), float)
    assert_type(first_of(generator, generator, generator)(1), Iterator[int])
    assert_type(first_of(async_generator, async_generator)(1), AsyncIterator[int])
    assert_type(first_of(async_stream, async_stream)(1), AsyncGenerator[str, None])
    assert_type(await first_of(awaitable, awaitable)(1), float)
    assert_type(await first_of(client.async_method, client.async_method)(1), float)
    mixed: int | str = await first_of(counted_one, named_one)(1)
    first_of(plain, plain)("1")  # type: ignore[arg-type]
    first_of(plain, plain, also_on=TimeoutError)  # type: ignore[call-overload]
    first_of(counted, counted, also_on=[BaseException])  # type: ignore[list-item]
    del same, mixed


async def counted_one(number: int) -> int:
    return number


async def named_one(number: int) -> str:
    return str(number)
