"""The interceptors for gRPC, with a real server in another process."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from grpc import StatusCode, aio

from breaker_asgi import BreakerConfig, BreakerConfigError, BreakerRegistry, CircuitBreakerError
from breaker_asgi.clients.grpc import CallRejectedError, interceptors
from breaker_asgi.testing import FakeClock
from tests.integration.clients.server import started

EOF: Any = vars(aio)["EOF"]
SERVICE = "/bank.Payments/"
FAILURES = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL"]
OTHERS = [status.name for status in StatusCode if status.name not in {*FAILURES, "CANCELLED", "OK"}]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with started("tests.integration.clients.grpc_server") as address:
        yield address


@pytest.fixture
async def channel(
    server: str, registry: BreakerRegistry, config: BreakerConfig
) -> AsyncIterator[aio.Channel]:
    guards = interceptors(registry=registry, config=config)
    async with aio.insecure_channel(server, interceptors=guards) as channel:
        yield channel


async def unary(channel: aio.Channel, request: bytes, **more: Any) -> Any:
    return await channel.unary_unary(f"{SERVICE}Unary")(request, **more)


async def stream(channel: aio.Channel, request: bytes, **more: Any) -> Any:
    return [message async for message in channel.unary_stream(f"{SERVICE}Stream")(request, **more)]


async def stream_read(channel: aio.Channel, request: bytes, **more: Any) -> Any:
    call = channel.unary_stream(f"{SERVICE}Stream")(request, **more)
    while (await call.read()) is not EOF:
        pass


async def all_of(channel: aio.Channel, request: bytes, **more: Any) -> Any:
    return await channel.stream_unary(f"{SERVICE}AllOf")(requests(request), **more)


async def each_of(channel: aio.Channel, request: bytes, **more: Any) -> Any:
    calling = channel.stream_stream(f"{SERVICE}EachOf")
    return [message async for message in calling(requests(request), **more)]


async def requests(request: bytes) -> AsyncIterator[bytes]:
    yield b"OK"
    yield request


KINDS = [unary, stream, stream_read, all_of, each_of]
Kind = Callable[..., Any]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def call(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


def counted(registry: BreakerRegistry) -> tuple[int, int, int, int]:
    (breaker,) = registry
    return breaker.successes, breaker.failures, breaker.ignored, breaker.rejected


async def test_a_successful_call_is_a_success(
    call: Kind, channel: aio.Channel, registry: BreakerRegistry
) -> None:
    await call(channel, b"OK")
    assert counted(registry) == (1, 0, 0, 0)


async def test_the_breaker_has_the_name_of_the_service(
    call: Kind, channel: aio.Channel, registry: BreakerRegistry
) -> None:
    await call(channel, b"OK")
    assert [breaker.name for breaker in registry] == ["grpc:/bank.Payments"]


@pytest.mark.parametrize("status", FAILURES)
async def test_a_status_of_a_failing_server_is_a_failure(
    status: str, call: Kind, channel: aio.Channel, registry: BreakerRegistry
) -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await call(channel, status.encode())
    assert raised.value.code() is StatusCode[status]
    assert counted(registry) == (0, 1, 0, 0)


@pytest.mark.parametrize("status", OTHERS)
async def test_every_other_status_is_a_success(
    status: str, channel: aio.Channel, registry: BreakerRegistry
) -> None:
    with pytest.raises(aio.AioRpcError):
        await unary(channel, status.encode())
    assert counted(registry) == (1, 0, 0, 0)


async def test_a_deadline_is_a_failure(
    call: Kind, channel: aio.Channel, registry: BreakerRegistry
) -> None:
    with pytest.raises(aio.AioRpcError):
        await call(channel, b"HANG", timeout=0.2)
    assert counted(registry) == (0, 1, 0, 0)


async def test_an_unreachable_server_is_a_failure(
    nobody: str, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    guards = interceptors(registry=registry, config=config)
    address = nobody.removeprefix("http://")
    async with aio.insecure_channel(address, interceptors=guards) as channel:
        with pytest.raises(aio.AioRpcError):
            await unary(channel, b"OK")
    assert counted(registry) == (0, 1, 0, 0)


async def test_a_cancelled_call_is_ignored(
    call: Kind, channel: aio.Channel, registry: BreakerRegistry
) -> None:
    await unary(channel, b"OK")  # there is a connection
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await call(channel, b"HANG")
    await channel.close()
    assert counted(registry) == (1, 0, 1, 0)


async def test_an_open_breaker_rejects_and_a_probe_closes_it(
    call: Kind, channel: aio.Channel, registry: BreakerRegistry, clock: FakeClock
) -> None:
    for _ in range(3):
        with pytest.raises(aio.AioRpcError):
            await call(channel, b"UNAVAILABLE")
    with pytest.raises(CallRejectedError) as raised:
        await call(channel, b"OK")
    assert raised.value.code() is StatusCode.UNAVAILABLE
    assert raised.value.details() == str(raised.value)
    assert "3 failures in a row" in str(raised.value)
    assert isinstance(raised.value, CircuitBreakerError)
    clock.advance(6)
    await call(channel, b"OK")
    assert [breaker.state for breaker in registry] == ["closed"]


async def test_a_stream_that_never_ends_closes_a_half_open_breaker_as_it_begins(
    channel: aio.Channel, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    breaker = registry.get("grpc:/bank.Payments", defaults=config)
    breaker.half_open()
    closed = asyncio.Event()
    breaker.add_listener(type("Hears", (), {"state_change": lambda *_: closed.set()})())
    call = channel.unary_stream(f"{SERVICE}Stream")(b"HANG")
    assert await call.read() == b"first"
    await asyncio.wait_for(closed.wait(), 5)
    assert breaker.state == "closed"
    call.cancel()


async def test_a_stream_that_breaks_as_a_probe_opens_the_breaker(
    channel: aio.Channel, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    breaker = registry.get("grpc:/bank.Payments", defaults=config)
    breaker.half_open()
    with pytest.raises(aio.AioRpcError):
        await unary(channel, b"INTERNAL")
    assert breaker.state == "open"


async def test_a_rejection_can_be_pickled(channel: aio.Channel, registry: BreakerRegistry) -> None:
    registry.get("grpc:/bank.Payments").open()
    with pytest.raises(CallRejectedError) as raised:
        await unary(channel, b"OK")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.code()) == (str(raised.value), StatusCode.UNAVAILABLE)


async def test_name_and_is_failure_may_be_set(
    server: str, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    guards = interceptors(
        registry=registry,
        config=config,
        name=lambda details: None if b"Stream" in _bytes(details.method) else "bank",
        is_failure=lambda status: status is StatusCode.UNKNOWN,
    )
    async with aio.insecure_channel(server, interceptors=guards) as channel:
        with pytest.raises(aio.AioRpcError):
            await unary(channel, b"CRASH")
        with pytest.raises(aio.AioRpcError):
            await unary(channel, b"UNAVAILABLE")
        await stream(channel, b"OK")
    assert counted(registry) == (1, 1, 0, 0)
    assert [breaker.name for breaker in registry] == ["bank"]


def _bytes(method: str | bytes) -> bytes:
    return method.encode() if isinstance(method, str) else method


def test_a_wrong_setting_is_refused() -> None:
    with pytest.raises(BreakerConfigError, match="is_failure='INTERNAL' is not allowed"):
        interceptors(is_failure="INTERNAL")  # type: ignore[arg-type]
