"""The common behaviour of all guarded clients, with a real dependency that misbehaves."""

from __future__ import annotations

import asyncio
import email.utils
import pickle
import time
from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
)
from breaker_asgi.testing import FakeClock
from tests.clients.callers import ASYNC, Caller, MakeCaller

WELL = ["/ok", "/status?code=204", "/status?code=404", "/status?code=429", "/drip?every=0.02"]
ILL = [
    "/status?code=500",
    "/status?code=503",
    "/hang",
    "/reset",
    "/reset-mid-body",
    "/cut-short",
    "/break-chunks",
    "/hang-mid-body",
]


def only(registry: BreakerRegistry) -> CircuitBreaker:
    (breaker,) = registry
    return breaker


def counted(registry: BreakerRegistry) -> tuple[int, int, int, int]:
    breaker = only(registry)
    return breaker.successes, breaker.failures, breaker.ignored, breaker.rejected


async def outcome(call: Awaitable[int], error: type[Exception]) -> int | None:
    """Return the status, or None for an error of the library's, or a timeout."""
    try:
        return await call
    except (error, TimeoutError):
        return None


def reached(dependency: str, way: str) -> int:
    return int(httpx.get(f"{dependency}/calls?of={way}", trust_env=False).text)


@pytest.mark.parametrize("path", WELL)
async def test_an_answer_below_500_is_a_success(
    path: str, caller: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    assert await caller.get(dependency + path) < 500
    assert counted(registry) == (1, 0, 0, 0)


@pytest.mark.parametrize("path", ILL)
async def test_an_answer_that_breaks_is_a_failure(
    path: str, caller: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    way = urlsplit(path).path.strip("/")
    before = reached(dependency, way)
    status = await outcome(caller.get(dependency + path), caller.error)
    assert status is None or status >= 500
    assert counted(registry) == (0, reached(dependency, way) - before, 0, 0)


async def test_a_refused_connection_is_a_failure(
    caller: Caller, nobody: str, registry: BreakerRegistry
) -> None:
    assert await outcome(caller.get(nobody), caller.error) is None
    assert counted(registry) == (0, 1, 0, 0)


@pytest.mark.parametrize("path", ["/large", "/drip?every=0.2"])
async def test_a_response_that_is_closed_unread_is_a_success(
    path: str, caller: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    assert await caller.glance(dependency + path) == 200
    assert counted(registry) == (1, 0, 0, 0)


async def test_an_endless_stream_of_events_is_a_success_from_its_start(
    caller: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    assert await outcome(caller.get(f"{dependency}/events"), caller.error) is None
    assert counted(registry) == (1, 0, 0, 0)


async def test_each_hop_of_a_redirect_counts(
    caller: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    assert await caller.get(f"{dependency}/moved") == 200
    assert counted(registry) == (2, 0, 0, 0)


@pytest.mark.parametrize("path", ["/hang", "/hang-mid-body"])
@pytest.mark.parametrize("kind", ASYNC, indirect=True)
async def test_a_cancelled_request_is_ignored(
    path: str, make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    before = reached(dependency, path.strip("/"))
    calling = asyncio.ensure_future(make(patience=30).get(dependency + path))
    while await asyncio.to_thread(reached, dependency, path.strip("/")) == before:
        assert not calling.done()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert counted(registry) == (0, 0, 1, 0)


async def test_a_burst_of_errors_opens_the_breaker_and_a_probe_closes_it(
    caller: Caller, dependency: str, registry: BreakerRegistry, clock: FakeClock
) -> None:
    url = f"{dependency}/burst?n=3"
    assert [await caller.get(url) for _ in range(3)] == [500] * 3
    breaker = only(registry)
    assert breaker.state == "open"
    before = reached(dependency, "burst")
    with pytest.raises(CircuitBreakerError):
        await caller.get(url)
    assert reached(dependency, "burst") == before
    clock.advance(5.1)
    assert await caller.get(url) == 200
    assert breaker.state == "closed"


async def test_a_rejection_is_an_error_of_the_library_too(
    make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    caller = make(name=lambda _: "bank")
    registry.get("bank").open(7)
    with pytest.raises(caller.error) as raised:
        await caller.get(f"{dependency}/ok")
    error = raised.value
    assert isinstance(error, CircuitBreakerError)
    assert error.name == "bank"
    assert 6 < error.retry_after <= 7
    assert str(error).startswith("breaker 'bank' is open")
    assert error.__suppress_context__
    request: Any = vars(error).get("_request") or error.request  # type: ignore[attr-defined]
    assert str(request.url) == f"{dependency}/ok"


async def test_a_fallback_answers_in_place_of_an_open_breaker(
    make: MakeCaller, dependency: str, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    rejections = []

    def fall_back(request: Any, error: CircuitBreakerError) -> Any:
        rejections.append((str(request.url), error.name))
        return caller.response(203)

    caller = make(name=lambda _: "bank", fallback=fall_back)
    vars(caller)["mirror"] = f"{dependency}/status?code=203"
    registry.get("bank").open()
    assert await caller.get(f"{dependency}/ok") == 203
    assert rejections == [(f"{dependency}/ok", "bank")]


async def test_each_origin_has_its_own_breaker_named_with_its_port(
    caller: Caller, dependency: str, nobody: str, registry: BreakerRegistry
) -> None:
    await caller.get(f"{dependency}/ok")
    await outcome(caller.get(nobody), caller.error)
    assert {breaker.name for breaker in registry} == {dependency, nobody}


async def test_a_name_may_be_set_and_none_means_no_breaker(
    make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    caller = make(name=lambda request: "fine" if str(request.url).endswith("/ok") else None)
    await caller.get(f"{dependency}/status?code=500")
    await caller.get(f"{dependency}/ok")
    assert only(registry).name == "fine"
    assert counted(registry) == (1, 0, 0, 0)


@pytest.mark.parametrize("wrong", [ValueError("no"), 42], ids=["raises", "is no text"])
async def test_a_name_function_that_raises_leaves_the_origins_name(
    wrong: Any,
    make: MakeCaller,
    dependency: str,
    registry: BreakerRegistry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def name(_: Any) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    caller = make(name=name)
    assert await caller.get(f"{dependency}/ok") == 200
    assert only(registry).name == dependency
    assert [record.name for record in caplog.records].count("breaker_asgi") == 1


async def test_is_failure_judges_the_response(
    make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    caller = make(is_failure=lambda response: "Retry-After" in response.headers)
    await caller.get(f"{dependency}/wait?code=200&after=5")
    await caller.get(f"{dependency}/status?code=500")
    assert counted(registry) == (1, 1, 0, 0)


async def test_an_is_failure_that_raises_leaves_the_verdict_of_the_status(
    make: MakeCaller,
    dependency: str,
    registry: BreakerRegistry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caller = make(is_failure=lambda _: 1 / 0)
    await caller.get(f"{dependency}/ok")
    await caller.get(f"{dependency}/status?code=500")
    assert counted(registry) == (1, 1, 0, 0)
    assert [record.name for record in caplog.records].count("breaker_asgi") == 1


@pytest.mark.parametrize("code", [429, 503])
async def test_an_honoured_retry_after_opens_the_breaker_for_its_duration(
    code: int,
    make: MakeCaller,
    dependency: str,
    registry: BreakerRegistry,
    clock: FakeClock,
) -> None:
    caller = make(honour_retry_after=True)
    assert await caller.get(f"{dependency}/wait?code={code}&after=30") == code
    breaker = only(registry)
    assert breaker.state == "open"
    assert breaker.snapshot().reason == f"status {code} asked for 30 s"
    clock.advance(29)
    with pytest.raises(CircuitBreakerError):
        await caller.get(f"{dependency}/ok")
    clock.advance(1.1)
    assert await caller.get(f"{dependency}/ok") == 200
    assert breaker.state == "closed"


async def test_retry_after_may_be_a_date(
    make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    caller = make(honour_retry_after=True)
    date = email.utils.formatdate(time.time() + 100, usegmt=True).replace(" ", "%20")
    await caller.get(f"{dependency}/wait?code=503&after={date}")
    wait = only(registry).snapshot().retry_after
    assert wait is not None
    assert 90 < wait <= 100


@pytest.mark.parametrize("after", ["soon", "-1", "0", "%D9%A3", "Thu,%2001%20Jan%201970"])
async def test_a_malformed_retry_after_opens_no_breaker(
    after: str, make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    caller = make(honour_retry_after=True)
    await caller.get(f"{dependency}/wait?code=429&after={after}")
    assert only(registry).state == "closed"


async def test_a_retry_after_is_limited_to_the_longest_open_time(
    make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    caller = make(honour_retry_after=True)
    await caller.get(f"{dependency}/wait?code=429&after={'9' * 400}")
    wait = only(registry).snapshot().retry_after
    assert wait is not None
    assert 599 < wait <= 600


@pytest.mark.parametrize("state", ["disable", "metrics_only"])
async def test_a_breaker_set_by_hand_ignores_retry_after(
    state: str, make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    caller = make(honour_retry_after=True, name=lambda _: "bank")
    getattr(registry.get("bank"), state)()
    await caller.get(f"{dependency}/wait?code=503&after=30")
    assert only(registry).state in {"disabled", "metrics_only"}


async def test_retry_after_is_not_honoured_by_default(
    caller: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    await caller.get(f"{dependency}/wait?code=503&after=30")
    assert only(registry).state == "closed"


async def test_a_slow_answer_is_slow_and_a_slow_reader_is_not(
    make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    config = BreakerConfig(slow_call_rate=1, slow_call_duration=0.4, minimum_calls=50)
    caller = make(config=config)
    await outcome(caller.get(f"{dependency}/drip?every=0.11"), caller.error)  # 0.44 s in all
    await outcome(caller.get(f"{dependency}/hang"), caller.error)
    assert only(registry).slow_calls == 1


async def test_an_answer_that_is_long_in_coming_is_slow_before_it_comes(
    make: MakeCaller, dependency: str, registry: BreakerRegistry, clock: FakeClock
) -> None:
    config = BreakerConfig(slow_call_rate=1, slow_call_duration=10, minimum_calls=50, clock=clock)
    caller, before = make(patience=30, config=config), reached(dependency, "hold")
    calling = asyncio.ensure_future(caller.get(f"{dependency}/hold"))
    while await asyncio.to_thread(reached, dependency, "hold") == before:
        assert not calling.done()
    clock.advance(11)
    assert await caller.get(f"{dependency}/ok") == 200
    breaker = only(registry)
    assert (breaker.slow_calls, breaker.snapshot().slow_calls_under_way) == (1, 1)
    await asyncio.to_thread(httpx.get, f"{dependency}/let-go", trust_env=False)
    assert await calling == 200
    assert (breaker.successes, breaker.slow_calls) == (2, 1)
    assert breaker.snapshot().calls_under_way == 0


async def test_a_body_that_is_long_in_coming_is_not_under_way(
    make: MakeCaller, dependency: str, registry: BreakerRegistry, clock: FakeClock
) -> None:
    config = BreakerConfig(slow_call_rate=1, slow_call_duration=10, minimum_calls=50, clock=clock)
    caller, before = make(patience=30, config=config), reached(dependency, "begin")
    calling = asyncio.ensure_future(caller.get(f"{dependency}/begin"))
    while (
        await asyncio.to_thread(reached, dependency, "begin") == before
        or only(registry).snapshot().calls_under_way
    ):
        assert not calling.done()
    clock.advance(11)
    assert await caller.get(f"{dependency}/ok") == 200
    await asyncio.to_thread(httpx.get, f"{dependency}/let-go", trust_env=False)
    assert await calling == 200
    assert (only(registry).successes, only(registry).slow_calls) == (2, 0)


async def test_a_closing_breaker_rejects_a_share_of_the_requests(
    make: MakeCaller, dependency: str, registry: BreakerRegistry, clock: FakeClock
) -> None:
    config = BreakerConfig(ramp=10, clock=clock)
    caller = make(config=config, name=lambda _: "bank")
    registry.get("bank", defaults=config).half_open()
    assert await caller.get(f"{dependency}/ok") == 200
    clock.advance(5)
    with pytest.raises(CircuitBreakerError) as rejected:
        await caller.get(f"{dependency}/ok")
    assert (rejected.value.state, rejected.value.retry_after) == ("closing", 1)
    assert await caller.get(f"{dependency}/ok") == 200


async def test_an_excluded_error_is_a_success(
    make: MakeCaller, dependency: str, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    caller = make(config=config.replace(exclude=[lambda _: True]))
    assert await outcome(caller.get(f"{dependency}/reset-mid-body"), caller.error) is None
    assert counted(registry) == (1, 0, 0, 0)


async def test_the_number_of_origins_is_limited(make: MakeCaller, nobody: str) -> None:
    registry = BreakerRegistry(limit=5)
    caller = make(registry=registry)
    port = nobody.rpartition(":")[2]
    for number in range(1, 12):
        await outcome(caller.get(f"http://127.0.0.{number}:{port}/"), caller.error)
    assert len(registry._breakers.kept) <= 5


@pytest.mark.parametrize("kind", ["httpx", "httpx2", "requests"], indirect=True)
async def test_a_rejection_can_be_pickled(
    make: MakeCaller, dependency: str, registry: BreakerRegistry
) -> None:
    caller = make(name=lambda _: "bank")
    registry.get("bank").open()
    with pytest.raises(CircuitBreakerError) as raised:
        await caller.get(f"{dependency}/ok")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (again.name, str(again)) == ("bank", str(raised.value))
