"""The streams of gRPC servers, which are as slow as their heads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from breaker_asgi import BreakerConfig, BreakerRegistry
from breaker_asgi.clients.grpc import interceptors
from breaker_asgi.testing import FakeClock


@pytest.fixture
async def server(clock: FakeClock) -> AsyncIterator[str]:
    """A server whose streams are slow before or after their first message."""

    async def slow_body(_: bytes, __: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(0.1)  # until the client has read it
        clock.advance(10)
        yield b"last"

    async def slow_head(_: bytes, __: Any) -> AsyncIterator[bytes]:
        clock.advance(10)
        yield b"first"

    server = aio.server()
    ways = {"SlowBody": slow_body, "SlowHead": slow_head}
    handlers = {name: grpc.unary_stream_rpc_method_handler(way) for name, way in ways.items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bank", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.mark.parametrize(("way", "slow"), [("SlowBody", 0), ("SlowHead", 1)])
async def test_a_stream_is_slow_by_its_head(
    way: str, slow: int, server: str, registry: BreakerRegistry, clock: FakeClock
) -> None:
    config = BreakerConfig(slow_call_rate=1, slow_call_duration=5, clock=clock)
    guards = interceptors(registry=registry, config=config)
    async with aio.insecure_channel(server, interceptors=guards) as channel:
        assert [message async for message in channel.unary_stream(f"/bank/{way}")(b"")]
    (breaker,) = registry
    assert (breaker.successes, breaker.slow_calls) == (1, slow)


async def test_a_request_stream_that_breaks_is_ignored(
    server: str, registry: BreakerRegistry
) -> None:
    async def upload() -> AsyncIterator[bytes]:
        yield b"first"
        raise ValueError("our own")

    guards = interceptors(registry=registry)
    async with aio.insecure_channel(server, interceptors=guards) as channel:
        with pytest.raises((aio.AioRpcError, asyncio.CancelledError, ValueError)):
            await channel.stream_unary("/bank/Unknown")(upload())
    (breaker,) = registry
    assert breaker.failures == 0
