"""`guard(client)`: existing clients, with all of their transports."""

from __future__ import annotations

import copy
import pickle
import ssl
from typing import Any

import aiohttp
import grpc
import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter

from breaker_asgi import BreakerConfigError, BreakerRegistry, CircuitBreakerError
from breaker_asgi.clients import guard
from breaker_asgi.clients.aiohttp import BreakerClientMiddleware
from breaker_asgi.clients.requests import BreakerAdapter

URL = "http://bank.example"
NAME = "http://bank.example:80"


def counted(registry: BreakerRegistry) -> tuple[int, int, int]:
    (breaker,) = registry
    return breaker.successes, breaker.failures, breaker.ignored


def answering(library: Any, status: int) -> Any:
    return library.MockTransport(lambda _: library.Response(status))


def test_a_client_is_guarded_with_each_of_its_mounts(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, _ = both
    client = library.Client(
        transport=answering(library, 200), mounts={"https://": answering(library, 500)}
    )
    assert guard(client, registry=registry) is client
    with client:
        client.get(URL)
        client.get("https://bank.example")
    assert [(breaker.name, breaker.failures) for breaker in registry] == [
        (NAME, 0),
        ("https://bank.example:443", 1),
    ]


async def test_an_async_client_is_guarded(both: tuple[Any, Any], registry: BreakerRegistry) -> None:
    library, _ = both
    async with guard(
        library.AsyncClient(transport=answering(library, 500)), registry=registry
    ) as client:
        await client.get(URL)
    assert counted(registry) == (0, 1, 0)


def test_the_proxies_of_the_environment_are_kept_and_guarded(
    both: tuple[Any, Any], registry: BreakerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, ours = both
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    client = guard(library.Client(), registry=registry)
    transport = client._transport_for_url(library.URL(URL))
    assert isinstance(transport, ours.BreakerTransport)
    assert transport._transport._pool._proxy_url.host == b"proxy.example"


def test_a_client_that_is_guarded_already_is_refused(both: tuple[Any, Any]) -> None:
    library, ours = both
    transport = ours.BreakerTransport(answering(library, 200))
    for client in (
        guard(library.Client(transport=answering(library, 200))),
        library.Client(transport=transport, trust_env=False),
    ):
        with pytest.raises(BreakerConfigError, match="this Client is guarded already"):
            guard(client)


def test_the_mounts_beside_a_breaker_transport_can_be_guarded(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    inner = ours.BreakerTransport(answering(library, 500), registry=registry)
    client = library.Client(transport=inner, mounts={"https://": answering(library, 500)})
    with guard(client, registry=registry):
        client.get(URL)
        client.get("https://bank.example")
    assert [breaker.failures for breaker in registry] == [1, 1]


def test_a_session_of_requests_keeps_its_adapters(registry: BreakerRegistry) -> None:
    class Answering(HTTPAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            response = requests.Response()
            response.status_code, response.request = 500, request
            return response

    session = requests.Session()
    session.trust_env = False
    session.mount("http://bank.example", Answering(max_retries=7))
    assert guard(session, registry=registry) is session
    assert session.get(URL).status_code == 500
    assert counted(registry) == (0, 1, 0)
    assert vars(session.get_adapter(URL))["_adapter"].max_retries.total == 7
    with pytest.raises(BreakerConfigError, match="this Session is guarded already"):
        guard(session)


async def test_a_session_of_aiohttp_keeps_its_middlewares() -> None:
    async def outer(request: Any, handler: Any) -> Any:
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[outer]) as session:
        assert guard(session) is session
        first, second = session._middlewares
        assert first is outer
        assert isinstance(second, BreakerClientMiddleware)
        with pytest.raises(BreakerConfigError, match="this ClientSession is guarded already"):
            guard(session)


def test_a_subclass_of_a_client_is_guarded(registry: BreakerRegistry) -> None:
    class Wrapper(httpx.Client):
        pass

    with guard(Wrapper(transport=answering(httpx, 500)), registry=registry) as client:
        client.get(URL)
    assert counted(registry) == (0, 1, 0)


async def test_a_grpc_channel_rejects_while_the_breaker_of_its_service_is_open(
    registry: BreakerRegistry,
) -> None:
    async with grpc.aio.insecure_channel("bank.example:1") as channel:
        older_stub = channel.unary_unary("/bank.Payments/Pay")
        assert guard(channel, registry=registry) is channel
        registry.get("grpc:/bank.Payments").open()
        for stub in (older_stub, channel.unary_unary("/bank.Payments/Pay")):
            with pytest.raises(CircuitBreakerError):
                await stub(b"")
        with pytest.raises(CircuitBreakerError):
            async for _ in channel.unary_stream("/bank.Payments/List")(b""):
                pass
        with pytest.raises(BreakerConfigError, match="this Channel is guarded already"):
            guard(channel)


async def test_a_grpc_channel_refuses_a_fallback() -> None:
    async with grpc.aio.insecure_channel("bank.example:1") as channel:
        with pytest.raises(BreakerConfigError, match="Leave it out for gRPC"):
            guard(channel, fallback=lambda request, error: request)


def test_a_grpc_channel_of_threads_is_refused() -> None:
    with (
        grpc.insecure_channel("bank.example:1") as channel,
        pytest.raises(BreakerConfigError, match=r"give a channel that grpc\.aio has made"),
    ):
        guard(channel)


@pytest.mark.parametrize("client", [httpx.Client, object(), None], ids=["class", "other", "None"])
def test_an_object_other_than_a_client_is_refused(client: object) -> None:
    with pytest.raises(BreakerConfigError, match="give a client of httpx or httpx2"):
        guard(client)


def test_a_transport_accepts_the_settings_of_the_librarys_own(both: tuple[Any, Any]) -> None:
    library, ours = both
    context = ssl.create_default_context()
    for kind in (ours.BreakerTransport, ours.AsyncBreakerTransport):
        transport = kind(
            verify=context,
            http2=True,
            limits=library.Limits(max_connections=3),
            proxy="http://proxy.example:3128",
        )
        pool = transport._transport._pool
        assert pool._ssl_context is context
        assert pool._http2
        assert pool._max_connections == 3
        assert pool._proxy_url.host == b"proxy.example"


def test_settings_of_http_beside_a_transport_are_refused(both: tuple[Any, Any]) -> None:
    library, ours = both
    with pytest.raises(BreakerConfigError, match="verify=False has no effect: transport= does"):
        ours.BreakerTransport(library.HTTPTransport(), verify=False)


async def test_a_sync_transport_in_an_async_client_names_the_right_one(
    both: tuple[Any, Any],
) -> None:
    library, ours = both
    client = library.AsyncClient(transport=ours.BreakerTransport())
    with pytest.raises(BreakerConfigError, match=r"Write transport=AsyncBreakerTransport\("):
        await client.get(URL)
    with pytest.raises(BreakerConfigError, match="an AsyncClient needs AsyncBreakerTransport"):
        async with library.AsyncClient(transport=ours.BreakerTransport()):
            pass
    await client.aclose()


def test_an_async_transport_in_a_sync_client_names_the_right_one(
    both: tuple[Any, Any],
) -> None:
    library, ours = both
    client = library.Client(transport=ours.AsyncBreakerTransport())
    with pytest.raises(BreakerConfigError, match=r"Write transport=BreakerTransport\("):
        client.get(URL)
    with pytest.raises(BreakerConfigError, match="a Client needs BreakerTransport"):
        library.Client(transport=ours.AsyncBreakerTransport()).__enter__()
    client.close()


def guarded_session(how: str, registry: BreakerRegistry | None = None) -> requests.Session:
    settings: dict[str, Any] = {} if registry is None else {"registry": registry}
    session = requests.Session()
    session.trust_env = False
    if how == "guard":
        return guard(session, **settings)
    session.mount("http://", BreakerAdapter(**settings, name=named))
    return session


def named(_: object) -> str:
    return NAME


@pytest.mark.parametrize("how", ["guard", "adapter"])
def test_a_copied_session_has_the_breakers_of_the_first(
    how: str, registry: BreakerRegistry
) -> None:
    copied = copy.deepcopy(guarded_session(how, registry))
    registry.get(NAME).open()
    with pytest.raises(CircuitBreakerError):
        copied.get(URL)


@pytest.mark.parametrize("how", ["guard", "adapter"])
def test_a_pickled_session_is_guarded_by_the_default_registry(how: str) -> None:
    session = pickle.loads(pickle.dumps(guarded_session(how)))
    downstream = session.get_adapter(URL)._downstream
    breaker = downstream._registry.get(NAME)
    breaker.open()
    try:
        with pytest.raises(CircuitBreakerError):
            session.get(URL)
    finally:
        breaker.close()


def test_a_session_with_a_registry_of_its_own_can_not_be_pickled(
    registry: BreakerRegistry,
) -> None:
    with pytest.raises(pickle.PicklingError, match="Leave registry= out"):
        pickle.dumps(guarded_session("adapter", registry))
