"""Errors of the caller's own, which are ignored, in httpx and httpx2."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry

URL = "http://bank.example"
NAME = "http://bank.example:80"


class ClientHasLeftError(Exception):
    """Raised by a framework while it reads an upload."""


async def upload(error: BaseException) -> AsyncIterator[bytes]:
    yield b"first"
    raise error


def upload_from_file(error: BaseException) -> Iterator[bytes]:
    yield b"first"
    raise error


def counted(registry: BreakerRegistry) -> tuple[int, int, int]:
    (breaker,) = registry
    return breaker.successes, breaker.failures, breaker.ignored


def reading(library: Any) -> Any:
    """Return a transport that reads what is sent."""
    return library.MockTransport(lambda _: library.Response(200))


def own_errors(library: Any) -> list[Exception]:
    return [
        ClientHasLeftError("gone"),
        OSError("the file is broken"),
        library.ReadError("the download that is passed on has broken"),
    ]


@pytest.mark.parametrize("which", range(3), ids=["framework", "file", "download"])
async def test_an_upload_whose_body_breaks_is_ignored(
    which: int, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    error = own_errors(library)[which]
    transport = ours.AsyncBreakerTransport(reading(library), registry=registry)
    async with library.AsyncClient(transport=transport) as client:
        with pytest.raises(type(error)):
            await client.put(URL, content=upload(error))
    assert counted(registry) == (0, 0, 1)


@pytest.mark.parametrize("which", range(3), ids=["framework", "file", "download"])
def test_a_sync_upload_whose_body_breaks_is_ignored(
    which: int, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    error = own_errors(library)[which]
    transport = ours.BreakerTransport(reading(library), registry=registry)
    with library.Client(transport=transport) as client, pytest.raises(type(error)):
        client.put(URL, content=upload_from_file(error))
    assert counted(registry) == (0, 0, 1)


async def test_an_upload_that_the_network_breaks_is_a_failure(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both

    async def send(request: Any) -> Any:
        async for _ in request.stream:
            raise library.WriteError("reset")

    class Network(library.AsyncBaseTransport):  # type: ignore[name-defined, misc]
        async def handle_async_request(self, request: Any) -> Any:
            return await send(request)

    transport = ours.AsyncBreakerTransport(Network(), registry=registry)
    async with library.AsyncClient(transport=transport) as client:
        with pytest.raises(library.WriteError):
            await client.put(URL, content=upload(OSError()))
    assert counted(registry) == (0, 1, 0)


async def test_a_request_keeps_its_own_body(both: tuple[Any, Any]) -> None:
    library, ours = both

    class Unread(library.AsyncBaseTransport):  # type: ignore[name-defined, misc]
        async def handle_async_request(self, request: Any) -> Any:
            return library.Response(200)

    transport = ours.AsyncBreakerTransport(Unread(), registry=BreakerRegistry())
    request = library.Request("PUT", URL, content=upload(OSError()))
    stream = request.stream
    await transport.handle_async_request(request)
    assert request.stream is stream


@pytest.mark.parametrize("error", [RuntimeError("Event loop is closed"), ValueError("bad header")])
def test_an_error_outside_of_the_network_is_ignored(
    error: Exception, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both

    def handle(_: Any) -> Any:
        raise error

    transport = ours.BreakerTransport(library.MockTransport(handle), registry=registry)
    with library.Client(transport=transport) as client, pytest.raises(type(error)):
        client.get(URL)
    assert counted(registry) == (0, 0, 1)


def test_an_error_named_in_failures_is_a_failure_from_any_source(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both

    def handle(_: Any) -> Any:
        raise ValueError("no")

    transport = ours.BreakerTransport(
        library.MockTransport(handle),
        registry=registry,
        config=BreakerConfig(failures=[ValueError]),
    )
    with library.Client(transport=transport) as client, pytest.raises(ValueError, match="no"):
        client.get(URL)
    assert counted(registry) == (0, 1, 0)


@pytest.mark.parametrize(
    ("names", "outcome"),
    [
        (["ConnectError", "ValueError"], (0, 1, 0)),
        (["PoolTimeout", "ValueError"], (0, 0, 1)),
        (["ReadTimeout"], (0, 1, 0)),
    ],
)
def test_an_exception_group_with_a_network_error_is_a_failure(
    names: list[str],
    outcome: tuple[int, int, int],
    both: tuple[Any, Any],
    registry: BreakerRegistry,
) -> None:
    library, ours = both
    errors = [getattr(library, name, ValueError)("no") for name in names]

    def handle(_: Any) -> Any:
        raise ExceptionGroup("tasks", [ExceptionGroup("inner", errors)])

    transport = ours.BreakerTransport(library.MockTransport(handle), registry=registry)
    with library.Client(transport=transport) as client, pytest.raises(ExceptionGroup):
        client.get(URL)
    assert counted(registry) == outcome


def test_one_bad_answer_is_one_failure_of_a_breaker_around_itself(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    failing = library.MockTransport(lambda _: library.Response(500))
    transport = ours.BreakerTransport(failing, registry=registry)
    bank = registry.get(NAME)
    with library.Client(transport=transport) as client:

        @bank
        def pay() -> None:
            client.get(URL).raise_for_status()

        with pytest.raises(library.HTTPStatusError):
            pay()
    assert bank.failures == 1


async def test_an_open_websocket_is_a_success_at_its_handshake(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both

    class Open(library.AsyncByteStream):  # type: ignore[name-defined, misc]
        async def __aiter__(self) -> Any:
            yield b""

    def upgrade(_: Any) -> Any:
        return library.Response(101, stream=Open(), extensions={"network_stream": object()})

    transport = ours.AsyncBreakerTransport(library.MockTransport(upgrade), registry=registry)
    registry.get(NAME).half_open()
    async with (
        library.AsyncClient(transport=transport) as client,
        client.stream("GET", URL),
    ):
        assert registry[NAME].state == "closed"


@pytest.mark.parametrize(("scheme", "port"), [("ws", 80), ("wss", 443)])
def test_a_websockets_origin_has_the_port_of_its_scheme(
    scheme: str, port: int, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    transport = ours.BreakerTransport(reading(library), registry=registry)
    transport.handle_request(library.Request("GET", f"{scheme}://bank.example/feed"))
    assert [breaker.name for breaker in registry] == [f"{scheme}://bank.example:{port}"]
