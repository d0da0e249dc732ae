"""Particulars of the middleware of aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from breaker_asgi import BreakerRegistry
from breaker_asgi.clients.aiohttp import BreakerClientMiddleware


@pytest.fixture
async def session(registry: BreakerRegistry) -> AsyncIterator[aiohttp.ClientSession]:
    guard = BreakerClientMiddleware(registry=registry)
    async with aiohttp.ClientSession(middlewares=[guard]) as session:
        yield session


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    """A server of aiohttp's own: websockets, multipart, lines."""

    async def lines(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(3):
            await response.write(b"line %d\n" % number * 1000)
        return response

    async def socket(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            await response.send_str(message.data)
        return response

    app = web.Application()
    app.add_routes([web.get("/lines", lines), web.get("/socket", socket)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _lines(content: Any) -> bytes:
    return b"".join([piece async for piece in content])


async def _chunked(content: Any) -> bytes:
    return b"".join([piece async for piece in content.iter_chunked(100)])


async def _any(content: Any) -> bytes:
    return b"".join([piece async for piece in content.iter_any()])


async def _chunks(content: Any) -> bytes:
    return b"".join([piece async for piece, _ in content.iter_chunks()])


async def _exactly(content: Any) -> bytes:
    return await content.readexactly(7 * 3000) + await content.read()  # type: ignore[no-any-return]


async def _until(content: Any) -> bytes:
    return await content.readuntil(b"line 2") + await content.read()  # type: ignore[no-any-return]


WAYS = [_lines, _chunked, _any, _chunks, _exactly, _until]


@pytest.mark.parametrize("read", WAYS, ids=lambda way: way.__name__)
async def test_a_body_may_be_read_in_every_way(
    read: Callable[[Any], Any], session: aiohttp.ClientSession, echo: str, registry: BreakerRegistry
) -> None:
    async with session.get(f"{echo}/lines") as response:
        assert len(await read(response.content)) == 7 * 3000
    (breaker,) = registry
    assert (breaker.successes, breaker.failures) == (1, 0)


@pytest.mark.parametrize("read", WAYS[:4], ids=lambda way: way.__name__)
@pytest.mark.parametrize("path", ["/cut-short", "/reset-mid-body", "/break-chunks"])
async def test_a_body_that_breaks_is_a_failure_however_it_is_read(
    path: str,
    read: Callable[[Any], Any],
    session: aiohttp.ClientSession,
    dependency: str,
    registry: BreakerRegistry,
) -> None:
    with pytest.raises(aiohttp.ClientError):
        async with session.get(dependency + path) as response:
            await read(response.content)
    (breaker,) = registry
    assert (breaker.successes, breaker.failures) == (0, 1)


async def test_a_body_shorter_than_the_size_requested_is_a_success(
    session: aiohttp.ClientSession, echo: str, registry: BreakerRegistry
) -> None:
    async with session.get(f"{echo}/lines") as response:
        with pytest.raises(EOFError):
            await response.content.readexactly(1_000_000)
    (breaker,) = registry
    assert (breaker.successes, breaker.failures) == (1, 0)


async def test_an_error_of_the_reading_caller_is_no_failure(
    session: aiohttp.ClientSession, dependency: str, registry: BreakerRegistry
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with session.get(f"{dependency}/large"):
            raise ZeroDivisionError
    (breaker,) = registry
    assert (breaker.successes, breaker.failures) == (1, 0)


async def test_a_websocket_is_a_success_once_it_is_open(
    session: aiohttp.ClientSession, echo: str, registry: BreakerRegistry
) -> None:
    async with session.ws_connect(f"{echo}/socket") as socket:
        (breaker,) = registry
        assert breaker.successes == 1
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"


async def test_the_middleware_may_be_set_for_one_request(
    echo: str, registry: BreakerRegistry
) -> None:
    guard = BreakerClientMiddleware(registry=registry)
    async with aiohttp.ClientSession() as session:
        await session.get(f"{echo}/lines", middlewares=[guard])
        await session.get(f"{echo}/lines")
    (breaker,) = registry
    assert breaker.calls <= 1
