"""Particulars of the transports of httpx and httpx2."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import pytest

from breaker_asgi import BreakerConfig, BreakerConfigError, BreakerRegistry, CircuitBreakerError
from breaker_asgi.testing import FakeClock


def raising(library: Any, error: str) -> Any:
    """Return a transport whose requests end with an error of the library's."""

    def handle(request: Any) -> Any:
        raise getattr(library, error)("no", request=request)

    return library.MockTransport(handle)


@pytest.mark.parametrize("error", ["PoolTimeout", "LocalProtocolError", "UnsupportedProtocol"])
def test_an_error_of_the_callers_own_is_ignored(
    error: str, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    transport = ours.BreakerTransport(raising(library, error), registry=registry)
    with library.Client(transport=transport) as client, pytest.raises(library.TransportError):
        client.get("http://bank.example")
    (breaker,) = registry
    assert (breaker.failures, breaker.ignored) == (0, 1)


@pytest.mark.parametrize(
    "error", ["ConnectTimeout", "ReadError", "RemoteProtocolError", "ProxyError", "CloseError"]
)
def test_an_error_of_the_network_is_a_failure(
    error: str, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    transport = ours.BreakerTransport(raising(library, error), registry=registry)
    with library.Client(transport=transport) as client, pytest.raises(library.TransportError):
        client.get("http://bank.example")
    (breaker,) = registry
    assert (breaker.failures, breaker.ignored) == (1, 0)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://bank.example", "http://bank.example:80"),
        ("https://bank.example/pay?amount=5", "https://bank.example:443"),
        ("https://user:secret@bank.example:8443", "https://bank.example:8443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://BANK.example", "http://bank.example:80"),
    ],
)
def test_a_breaker_has_the_origins_name(
    url: str, name: str, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    answering = library.MockTransport(lambda _: library.Response(200))
    with library.Client(transport=ours.BreakerTransport(answering, registry=registry)) as client:
        client.get(url)
    assert [breaker.name for breaker in registry] == [name]


async def test_an_async_fallback_is_awaited(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both

    async def fall_back(request: Any, error: CircuitBreakerError) -> Any:
        await asyncio.sleep(0)
        return library.Response(200, text=f"{request.url.host}: {error.state}")

    answering = library.MockTransport(lambda _: library.Response(200))
    transport = ours.AsyncBreakerTransport(
        answering, registry=registry, name=lambda _: "bank", fallback=fall_back
    )
    registry.get("bank").open()
    async with library.AsyncClient(transport=transport) as client:
        assert (await client.get("http://bank.example")).text == "bank.example: open"


def test_a_transport_of_another_library_is_refused(both: tuple[Any, Any]) -> None:
    library, ours = both
    other_library = httpx2 if library is httpx else httpx
    with pytest.raises(BreakerConfigError, match=f"class BaseTransport, of {library.__name__}"):
        ours.BreakerTransport(other_library.HTTPTransport())
    with pytest.raises(BreakerConfigError, match="class AsyncBaseTransport, of httpx"):
        ours.AsyncBreakerTransport("http://bank.example")


async def test_closing_the_client_closes_the_inner_transport(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    closed = []

    class Given(library.AsyncBaseTransport):  # type: ignore[name-defined, misc]
        async def aclose(self) -> None:
            closed.append(self)

    async with library.AsyncClient(transport=ours.AsyncBreakerTransport(Given())):
        pass
    assert len(closed) == 1


async def test_a_probe_whose_response_is_dropped_gives_its_permit_back(
    both: tuple[Any, Any], registry: BreakerRegistry, clock: FakeClock
) -> None:
    library, ours = both

    class Endless(library.AsyncByteStream):  # type: ignore[name-defined, misc]
        async def __aiter__(self) -> Any:
            yield b"more"

    answering = library.MockTransport(lambda _: library.Response(200, stream=Endless()))
    config = BreakerConfig(fail_max=1, half_open_timeout=10, clock=clock)
    transport = ours.AsyncBreakerTransport(answering, registry=registry, config=config)
    request = library.Request("GET", "http://bank.example")
    registry.get("http://bank.example:80", defaults=config).half_open()
    response = await transport.handle_async_request(request)
    with pytest.raises(CircuitBreakerError):
        await transport.handle_async_request(request)
    del response
    gc.collect()
    response = await transport.handle_async_request(request)
    await response.aclose()
    assert registry["http://bank.example:80"].state == "closed"


def test_sync_clients_share_a_transport_between_threads(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    answering = library.MockTransport(lambda _: library.Response(200))
    with (
        library.Client(transport=ours.BreakerTransport(answering, registry=registry)) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        list(threads.map(lambda _: client.get("http://bank.example"), range(400)))
    (breaker,) = registry
    assert breaker.successes == 400
