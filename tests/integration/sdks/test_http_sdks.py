"""Guarded clients of openai, anthropic, google-genai, botocore and google-cloud."""

from __future__ import annotations

import asyncio
import importlib
import pickle
from typing import Any

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import httpx
import httpx2
import openai
import pytest
from aiobotocore.session import get_session
from google import genai
from google.api_core.exceptions import GoogleAPIError

from breaker_asgi import BreakerConfig, BreakerConfigError, BreakerRegistry, CircuitBreakerError
from breaker_asgi.clients import guard
from tests.integration.sdks.server import Provider

storage: Any = importlib.import_module("google.cloud.storage")
ASK: Any = [{"role": "user", "content": "Why?"}]
SLOW_DOWN = b"<Error><Code>SlowDown</Code></Error>"
THROTTLING = b"<Error><Code>Throttling</Code></Error>"
NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code></Error>"


def counted(registry: BreakerRegistry) -> tuple[int, int, int, int]:
    (breaker,) = registry
    return breaker.successes, breaker.failures, breaker.ignored, breaker.rejected


def ask_openai(client: Any) -> Any:
    return client.chat.completions.create(model="m", messages=ASK)


def ask_anthropic(client: Any) -> Any:
    return client.messages.create(model="m", max_tokens=9, messages=ASK)


SDKS = pytest.mark.parametrize(
    ("make", "ask", "error"),
    [
        (openai.OpenAI, ask_openai, openai.APIConnectionError),
        (anthropic.Anthropic, ask_anthropic, anthropic.APIConnectionError),
    ],
    ids=["openai", "anthropic"],
)


@SDKS
def test_a_rejection_is_not_repeated_and_is_an_error_of_the_sdk(
    make: Any, ask: Any, error: Any, provider: Provider, registry: BreakerRegistry
) -> None:
    client = guard(make())
    registry.get(provider.url).open(60)
    for caller in (client, client.with_options(max_retries=7), client.copy()):
        with pytest.raises(CircuitBreakerError) as caught:
            ask(caller)
        assert isinstance(caught.value, error)
        assert isinstance(caught.value, httpx2.TransportError)
    assert (counted(registry), provider.hits) == ((0, 0, 0, 3), 0)


@SDKS
def test_a_rejection_of_an_sdk_can_be_pickled(
    make: Any, ask: Any, error: Any, provider: Provider, registry: BreakerRegistry
) -> None:
    client = guard(make())
    registry.get(provider.url).open(60)
    with pytest.raises(error) as caught:
        ask(client)
    copy: Any = pickle.loads(pickle.dumps(caught.value))
    raised: Any = caught.value
    assert copy.request.url == raised.request.url
    assert (str(copy), copy.name) == (str(raised), provider.url)
    assert isinstance(copy, CircuitBreakerError)
    assert isinstance(copy, error)


@SDKS
def test_each_attempt_of_an_sdk_is_a_call(
    make: Any, ask: Any, error: Any, provider: Provider, registry: BreakerRegistry
) -> None:
    provider.status, provider.headers = 503, {"retry-after-ms": "1"}
    with pytest.raises(Exception, match="503"):
        ask(guard(make(max_retries=2)))
    assert counted(registry) == (0, 3, 0, 0)


@SDKS
def test_a_client_of_an_sdk_is_guarded_once(
    make: Any, ask: Any, error: Any, provider: Provider
) -> None:
    client = guard(make())
    assert isinstance(client, make)
    with pytest.raises(BreakerConfigError, match="is guarded already"):
        guard(client)


@pytest.mark.parametrize("make", [openai.AsyncOpenAI, anthropic.AsyncAnthropic])
def test_a_guarded_client_keeps_the_limits_of_its_sdk(make: Any, provider: Provider) -> None:
    unguarded, guarded = make(), guard(make())
    before = unguarded._client._transport._pool
    after = guarded._client._transport._transport._pool
    assert after._max_connections == before._max_connections == 1000
    assert after._max_keepalive_connections == before._max_keepalive_connections
    assert guarded.timeout == unguarded.timeout
    assert guarded.max_retries == unguarded.max_retries


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_openai_is_guarded_with_the_http_client_that_it_was_given(
    library: Any, provider: Provider, registry: BreakerRegistry
) -> None:
    client = guard(openai.OpenAI(http_client=library.Client()))
    registry.get(provider.url).open(60)
    with pytest.raises(openai.APIConnectionError) as caught:
        ask_openai(client)
    assert isinstance(caught.value, library.TransportError)


def test_a_client_of_azure_is_guarded(provider: Provider, registry: BreakerRegistry) -> None:
    client = openai.AzureOpenAI(
        azure_endpoint=provider.url, api_version="2026-01-01", api_key="k", azure_deployment="m"
    )
    guard(client)
    assert ask_openai(client).choices[0].message.content == "Because."
    assert counted(registry) == (1, 0, 0, 0)


def test_the_rejection_of_a_plain_client_is_no_error_of_an_sdk(
    provider: Provider, registry: BreakerRegistry
) -> None:
    client = guard(httpx2.Client(), name="bank")
    registry.get("bank").open(60)
    with pytest.raises(CircuitBreakerError) as caught:
        client.get(provider.url)
    assert not isinstance(caught.value, openai.OpenAIError)


async def test_an_overload_opens_the_breaker_for_its_retry_after(
    provider: Provider, registry: BreakerRegistry
) -> None:
    client = guard(anthropic.AsyncAnthropic(max_retries=0), honour_retry_after=True)
    provider.status, provider.headers = 529, {"Retry-After": "20"}
    with pytest.raises(anthropic.APIStatusError):
        await ask_anthropic(client)
    with pytest.raises(CircuitBreakerError) as caught:
        await ask_anthropic(client)
    assert caught.value.reason == "status 529 asked for 20 s"
    assert 19 < caught.value.retry_after <= 20


@pytest.mark.parametrize("by", ["httpx", "httpx2"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_google_genai_is_guarded_by_each_of_its_libraries(
    by: str,
    asynchronous: bool,  # noqa: FBT001
    provider: Provider,
    registry: BreakerRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_HTTP_CLIENT", by)
    library = {"httpx": httpx, "httpx2": httpx2}[by]
    client = genai.Client()
    if asynchronous:
        monkeypatch.setattr(client._api_client, "_use_aiohttp", lambda: False)
    guard(client)

    async def ask() -> Any:
        if asynchronous:
            return await client.aio.models.generate_content(model="m", contents="Why?")
        return client.models.generate_content(model="m", contents="Why?")

    assert (await ask()).text == "Because."
    registry.get(provider.url).open(60)
    with pytest.raises(CircuitBreakerError) as caught:
        await ask()
    assert isinstance(caught.value, library.TransportError)
    assert (counted(registry), provider.hits) == ((1, 0, 0, 1), 1)


async def test_google_genai_is_guarded_once(provider: Provider) -> None:
    client = guard(genai.Client())
    with pytest.raises(BreakerConfigError, match="this Client is guarded already"):
        guard(client)


def s3(mode: str = "legacy", **settings: Any) -> Any:
    config = botocore.config.Config(retries={"mode": mode, "total_max_attempts": 1})
    return guard(boto3.client("s3", config=config), **settings)


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_a_rejection_is_not_repeated_in_any_mode_of_botocore(
    mode: str, provider: Provider, registry: BreakerRegistry
) -> None:
    client = guard(
        boto3.client("s3", config=botocore.config.Config(retries={"mode": mode, "max_attempts": 5}))
    )
    registry.get(provider.url).open(60)
    with pytest.raises(CircuitBreakerError) as caught:
        client.get_object(Bucket="b", Key="k")
    assert isinstance(caught.value, botocore.exceptions.BotoCoreError)
    assert pickle.loads(pickle.dumps(caught.value)).name == provider.url
    assert (counted(registry), provider.hits) == ((0, 0, 0, 1), 0)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, None, (1, 0, 0, 0)),
        (404, NO_SUCH_KEY, (1, 0, 0, 0)),
        (400, THROTTLING, (0, 1, 0, 0)),
        (503, SLOW_DOWN, (0, 1, 0, 0)),
    ],
)
def test_an_error_of_aws_is_judged_by_its_code_and_its_status(
    status: int,
    body: bytes | None,
    expected: tuple[int, int, int, int],
    provider: Provider,
    registry: BreakerRegistry,
) -> None:
    client = s3("standard")
    provider.status, provider.body = status, body
    try:
        client.get_object(Bucket="b", Key="k")
    except botocore.exceptions.ClientError:
        assert status >= 400
    assert counted(registry) == expected


def test_the_settings_of_a_breaker_judge_an_error_of_aws(
    provider: Provider, registry: BreakerRegistry
) -> None:
    def is_no_such_key(error: Exception) -> bool:
        response: Any = getattr(error, "response", {})
        return bool(response["Error"]["Code"] == "NoSuchKey")

    client = s3("standard", config=BreakerConfig(ignore=[is_no_such_key]))
    provider.status, provider.body = 404, NO_SUCH_KEY
    with pytest.raises(botocore.exceptions.ClientError):
        client.get_object(Bucket="b", Key="k")
    assert counted(registry) == (0, 0, 1, 0)


def test_a_resource_of_boto3_is_guarded(provider: Provider, registry: BreakerRegistry) -> None:
    resource: Any = boto3.resource("s3")
    bucket = guard(resource).Bucket("b")
    registry.get(provider.url).open(60)
    with pytest.raises(CircuitBreakerError):
        bucket.Object("k").get()
    with pytest.raises(BreakerConfigError, match="is guarded already"):
        guard(bucket)


async def test_a_client_of_aiobotocore_is_guarded(
    provider: Provider, registry: BreakerRegistry
) -> None:
    session: Any = get_session()
    async with session.create_client("s3") as client:
        guard(client)
        await client.get_object(Bucket="b", Key="k")
        registry.get(provider.url).open(60)
        with pytest.raises(botocore.exceptions.BotoCoreError) as caught:
            await client.get_object(Bucket="b", Key="k")
    assert isinstance(caught.value, CircuitBreakerError)
    assert (counted(registry), provider.hits) == ((1, 0, 0, 1), 1)


async def test_a_cancelled_attempt_of_aws_gives_its_probe_back(
    provider: Provider, registry: BreakerRegistry
) -> None:
    session: Any = get_session()
    async with session.create_client("s3") as client:
        guard(client)

        begun = asyncio.Event()

        async def hang(*_: Any) -> None:
            begun.set()
            await asyncio.sleep(60)

        client._endpoint.http_session.send = hang
        registry.get(provider.url).half_open()
        task = asyncio.create_task(client.get_object(Bucket="b", Key="k"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert counted(registry) == (0, 0, 1, 0)
    registry.get(provider.url).acquire().ignore()  # a probe is available again


def test_a_rejection_of_google_cloud_is_not_repeated(
    provider: Provider, registry: BreakerRegistry
) -> None:
    client = guard(storage.Client())
    registry.get(provider.url).open(60)
    with pytest.raises(CircuitBreakerError) as caught:
        client.bucket("b").blob("k").download_as_bytes()
    with pytest.raises(CircuitBreakerError):
        client.get_bucket("b")
    assert isinstance(caught.value, GoogleAPIError)
    assert (counted(registry), provider.hits) == ((0, 0, 0, 2), 0)


def test_a_server_of_google_cloud_that_fails_opens_its_breaker(
    provider: Provider, registry: BreakerRegistry
) -> None:
    client = guard(storage.Client())
    provider.status = 503
    for _ in range(5):
        with pytest.raises(GoogleAPIError):
            client.get_bucket("b", retry=None)
    with pytest.raises(CircuitBreakerError):
        client.get_bucket("b")
    assert counted(registry) == (0, 5, 0, 1)


def test_a_google_cloud_client_is_guarded_once(provider: Provider) -> None:
    client = guard(storage.Client())
    with pytest.raises(BreakerConfigError, match="is guarded already"):
        guard(client)
