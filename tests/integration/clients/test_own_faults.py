"""Errors of the caller's own, of all clients, against a real server."""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from aiohttp import web

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker
from breaker_asgi.clients import guard
from breaker_asgi.clients.aiohttp import BreakerClientMiddleware
from breaker_asgi.clients.requests import BreakerAdapter


class ClientHasLeftError(Exception):
    """Raised by a framework while it reads an upload."""


OWN = [
    ClientHasLeftError("gone"),
    OSError("the file is broken"),
    aiohttp.ClientPayloadError("the download that is passed on has broken"),
    requests.ConnectionError("the download that is passed on has broken"),
]


async def upload(error: Exception) -> AsyncIterator[bytes]:
    yield b"first"
    await asyncio.sleep(0)
    raise error


def upload_from_file(error: Exception) -> Iterator[bytes]:
    yield b"first"
    raise error


class BrokenFile(io.RawIOBase):
    def read(self, _: int = -1, /) -> bytes:
        raise OSError("the disk is gone")


def only(registry: BreakerRegistry) -> CircuitBreaker:
    (breaker,) = registry
    return breaker


def counted(registry: BreakerRegistry) -> tuple[int, int, int]:
    breaker = only(registry)
    return breaker.successes, breaker.failures, breaker.ignored


@pytest.fixture
async def sink() -> AsyncIterator[str]:
    """A server that reads what is sent to it, or hangs up in the middle of it."""

    async def read(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="ok")

    async def hang_up(request: web.Request) -> web.Response:
        await request.content.readany()
        assert request.transport
        request.transport.abort()
        return web.Response()

    app = web.Application()
    app.add_routes([web.put("/read", read), web.put("/hang-up", hang_up)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def session(registry: BreakerRegistry) -> AsyncIterator[aiohttp.ClientSession]:
    guard = BreakerClientMiddleware(registry=registry)
    async with aiohttp.ClientSession(middlewares=[guard]) as session:
        yield session


@pytest.fixture
def adapted(registry: BreakerRegistry) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", BreakerAdapter(registry=registry))
        yield session


@pytest.mark.parametrize("error", OWN[:3], ids=["framework", "file", "download"])
async def test_an_upload_by_aiohttp_whose_body_breaks_is_ignored(
    error: Exception, session: aiohttp.ClientSession, sink: str, registry: BreakerRegistry
) -> None:
    with pytest.raises(aiohttp.ClientError):
        await session.put(f"{sink}/read", data=upload(error))
    assert counted(registry) == (0, 0, 1)


async def test_a_file_that_breaks_in_an_upload_by_aiohttp_is_ignored(
    session: aiohttp.ClientSession, sink: str, registry: BreakerRegistry
) -> None:
    with pytest.raises((aiohttp.ClientError, OSError)):
        await session.put(f"{sink}/read", data=BrokenFile())
    assert counted(registry) == (0, 0, 1)


async def test_an_upload_by_aiohttp_that_the_server_breaks_is_a_failure(
    session: aiohttp.ClientSession, sink: str, registry: BreakerRegistry
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"more" * 10_000
            await asyncio.sleep(0)

    with pytest.raises(aiohttp.ClientError):
        await session.put(f"{sink}/hang-up", data=endless())
    assert counted(registry) == (0, 1, 0)


@pytest.mark.parametrize("form", ["", "a form with a file"])
async def test_a_complete_upload_by_aiohttp_is_a_success(
    form: str, session: aiohttp.ClientSession, sink: str, registry: BreakerRegistry
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        yield b"second"

    data: Any = {"file": io.BytesIO(b"content")} if form else chunks()
    async with session.put(f"{sink}/read", data=data) as response:
        assert await response.text() == "ok"
    assert counted(registry) == (1, 0, 0)


@pytest.mark.parametrize("error", OWN, ids=["framework", "file", "download", "requests"])
async def test_an_upload_by_requests_whose_body_breaks_is_ignored(
    error: Exception, adapted: requests.Session, sink: str, registry: BreakerRegistry
) -> None:
    with pytest.raises((type(error), requests.ConnectionError)):
        await asyncio.to_thread(adapted.put, f"{sink}/read", upload_from_file(error))
    assert counted(registry) == (0, 0, 1)


async def test_a_file_that_breaks_in_an_upload_by_requests_is_ignored(
    adapted: requests.Session, sink: str, registry: BreakerRegistry
) -> None:
    with pytest.raises(OSError, match="the disk is gone"):
        await asyncio.to_thread(adapted.put, f"{sink}/read", BrokenFile())
    assert counted(registry) == (0, 0, 1)


async def test_a_complete_upload_by_requests_is_a_success(
    adapted: requests.Session, sink: str, registry: BreakerRegistry
) -> None:
    body: Any = io.BytesIO(b"content")
    response = await asyncio.to_thread(adapted.put, f"{sink}/read", body)
    assert response.text == "ok"
    assert response.request.body is body
    assert counted(registry) == (1, 0, 0)


@pytest.mark.parametrize("error", OWN[:2], ids=["framework", "file"])
async def test_an_upload_by_httpx_whose_body_breaks_is_ignored(
    error: Exception, sink: str, registry: BreakerRegistry
) -> None:
    async with guard(httpx.AsyncClient(), registry=registry) as client:
        with pytest.raises(type(error)):
            await client.put(f"{sink}/read", content=upload(error))
    assert counted(registry) == (0, 0, 1)


def test_wrong_headers_and_certificates_of_the_caller_are_ignored(
    adapted: requests.Session, dependency: str, registry: BreakerRegistry
) -> None:
    adapted.mount("https://", BreakerAdapter(registry=registry, name=lambda _: dependency))
    with pytest.raises(OSError, match="Could not find"):
        adapted.get("https://127.0.0.1:1/", verify="/no/such/file.pem")
    with pytest.raises(OSError, match="Could not find"):
        adapted.get("https://127.0.0.1:1/", cert="/no/such/file.pem")
    request = requests.Request("GET", f"{dependency}/ok").prepare()
    request.headers["name"] = "wrong\nvalue"
    with pytest.raises(ValueError, match="header"):
        adapted.send(request)
    assert counted(registry) == (0, 0, 3)


async def test_a_session_of_aiohttp_that_is_closed_meanwhile_is_ignored(
    dependency: str, registry: BreakerRegistry
) -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(
        middlewares=[BreakerClientMiddleware(registry=registry)], connector=connector
    ) as session:
        hanging = [asyncio.ensure_future(session.get(f"{dependency}/hang")) for _ in range(2)]
        await asyncio.sleep(0.1)
    sent, waited = await asyncio.gather(*hanging, return_exceptions=True)
    assert isinstance(sent, aiohttp.ClientConnectionError)
    assert isinstance(waited, asyncio.CancelledError)
    assert only(registry).failures == 0


def test_a_hook_that_raises_for_a_404_closes_a_half_open_breaker(
    adapted: requests.Session, dependency: str, registry: BreakerRegistry
) -> None:
    def raise_for_status(response: requests.Response, **_: Any) -> None:
        response.raise_for_status()

    adapted.hooks["response"].append(raise_for_status)
    registry.get(dependency).half_open()
    with pytest.raises(requests.HTTPError) as raised:
        adapted.get(f"{dependency}/status?code=404")
    assert raised.value.response.status_code == 404
    assert only(registry).state == "closed"
    assert counted(registry) == (1, 0, 0)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the response stays open
def test_a_probe_whose_hook_raises_is_not_lost(
    adapted: requests.Session, dependency: str, registry: BreakerRegistry
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    registry.get(dependency).half_open()
    with pytest.raises(ZeroDivisionError):
        adapted.get(f"{dependency}/large", hooks={"response": fail})
    gc.collect()
    assert adapted.get(f"{dependency}/ok").status_code == 200
    assert only(registry).state == "closed"


async def test_a_404_that_a_session_of_aiohttp_raises_for_closes_a_half_open_breaker(
    dependency: str, registry: BreakerRegistry
) -> None:
    registry.get(dependency).half_open()
    async with aiohttp.ClientSession(
        middlewares=[BreakerClientMiddleware(registry=registry)], raise_for_status=True
    ) as session:
        with pytest.raises(aiohttp.ClientResponseError):
            await session.get(f"{dependency}/status?code=404")
    assert only(registry).state == "closed"


def _read1(raw: Any) -> int:
    return sum(len(chunk) for chunk in iter(lambda: raw.read1(1000), b""))


def _readinto(raw: Any) -> int:
    buffer = bytearray(1000)
    return sum(iter(lambda: raw.readinto(buffer), 0))


def _text(raw: Any) -> int:
    return len(io.TextIOWrapper(raw).read())


def _buffered(raw: Any) -> int:
    return len(io.BufferedReader(raw).read())


def _at_once(raw: Any) -> int:
    return len(raw.read())


def _lines(raw: Any) -> int:
    return sum(len(line) for line in raw)


def _drained(raw: Any) -> int:
    raw.drain_conn()
    return 1


WAYS = [_read1, _readinto, _text, _buffered, _at_once, _lines, _drained]


@pytest.mark.parametrize("path", ["/large", "/drip?every=0.01"])
@pytest.mark.parametrize("read", WAYS, ids=lambda way: way.__name__)
def test_a_body_that_is_read_raw_is_a_success_at_its_end(
    read: Callable[[Any], int],
    path: str,
    adapted: requests.Session,
    dependency: str,
    registry: BreakerRegistry,
) -> None:
    response = adapted.get(f"{dependency}{path}", stream=True)
    raw = response.raw
    assert read(raw) > 0
    assert counted(registry) == (1, 0, 0)


@pytest.mark.parametrize("read", WAYS[:5], ids=lambda way: way.__name__)
def test_a_body_that_breaks_while_it_is_read_raw_is_a_failure(
    read: Callable[[Any], int],
    adapted: requests.Session,
    dependency: str,
    registry: BreakerRegistry,
) -> None:
    response = adapted.get(f"{dependency}/cut-short", stream=True)
    with pytest.raises(Exception, match="IncompleteRead"):
        read(response.raw)
    assert counted(registry) == (0, 1, 0)


def test_one_bad_answer_to_requests_is_one_failure_of_a_breaker_around_itself(
    adapted: requests.Session, dependency: str, registry: BreakerRegistry
) -> None:
    around = registry.get(dependency)

    @around
    def pay() -> None:
        adapted.get(f"{dependency}/status?code=500").raise_for_status()

    with pytest.raises(requests.HTTPError):
        pay()
    assert around.failures == 1


@pytest.mark.parametrize("by", ["response", "session"])
async def test_one_bad_answer_to_aiohttp_is_one_failure_of_a_breaker_around_itself(
    by: str, dependency: str, registry: BreakerRegistry
) -> None:
    around = registry.get(dependency)
    middleware = BreakerClientMiddleware(registry=registry)
    async with aiohttp.ClientSession(
        middlewares=[middleware], raise_for_status=by == "session"
    ) as session:

        @around
        async def pay() -> None:
            response = await session.get(f"{dependency}/status?code=500")
            response.raise_for_status()

        with pytest.raises(aiohttp.ClientResponseError):
            await pay()
    assert around.failures == 1


@pytest.mark.parametrize("waits_for", ["the answer", "a connection"])
async def test_one_timeout_of_aiohttp_is_one_failure_of_a_breaker_around_itself(
    waits_for: str, dependency: str, registry: BreakerRegistry
) -> None:
    around = registry.get(dependency)
    limit = 1 if waits_for == "a connection" else 2
    async with aiohttp.ClientSession(
        middlewares=[BreakerClientMiddleware(registry=registry)],
        connector=aiohttp.TCPConnector(limit=limit),
    ) as session:

        @around
        async def pay() -> None:
            await session.get(f"{dependency}/hang", timeout=aiohttp.ClientTimeout(total=0.2))

        other = asyncio.ensure_future(session.get(f"{dependency}/hang"))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await pay()
        assert around.failures == 1
        other.cancel()


async def test_an_answer_that_is_not_http_is_a_failure(registry: BreakerRegistry) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"good morning\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, guard(aiohttp.ClientSession(), registry=registry) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(address)
    assert counted(registry) == (0, 1, 0)


@pytest.mark.parametrize("library", ["httpx", "aiohttp", "requests"])
async def test_an_existing_client_is_guarded(
    library: str, dependency: str, registry: BreakerRegistry
) -> None:
    url = f"{dependency}/status?code=500"
    settings: Any = {"registry": registry, "config": BreakerConfig(fail_max=3)}
    if library == "httpx":
        async with guard(httpx.AsyncClient(), **settings) as client:
            await client.get(url)
    elif library == "aiohttp":
        async with guard(aiohttp.ClientSession(), **settings) as session:
            await session.get(url)
    else:
        await asyncio.to_thread(guard(requests.Session(), **settings).get, url)
    assert counted(registry) == (0, 1, 0)
