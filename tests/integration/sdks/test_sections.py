"""The sections of docs/sdks.md: their examples, as they stand, against servers."""

from __future__ import annotations

import importlib
import inspect
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerError
from tests.examples import ROOT
from tests.integration.sdks.postgres import Postgres
from tests.integration.sdks.server import PHOTO, Provider

DOCUMENT: Path = ROOT / "docs/sdks.md"
_SECTION = re.compile(r"^## ([^\n]+)\n\n```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES: dict[str, str] = dict(_SECTION.findall(DOCUMENT.read_text()))

ANSWERS = {
    "openai": "Because.",
    "anthropic": "Because.",
    "google-genai": "Because.",
    "litellm": "Because.",
    "boto3": PHOTO,
    "google-cloud-storage": PHOTO,
    "elasticsearch": {"name": "cat"},
    "stripe": "succeeded",
    "supabase": [{"name": "cat"}],
}
REJECTIONS = {
    "openai": "openai.APIConnectionError",
    "anthropic": "anthropic.APIConnectionError",
    "google-genai": "aiohttp.ClientConnectionError",
    "boto3": "botocore.exceptions.BotoCoreError",
    "google-cloud-storage": "google.api_core.exceptions.GoogleAPIError",
    "supabase": "httpx.TransportError",
    "SQLAlchemy": "sqlalchemy.exc.SQLAlchemyError",
    "redis-py": "redis.exceptions.ConnectionError",
}


def load(title: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(EXAMPLES[title], str(DOCUMENT), "exec", dont_inherit=True), names)
    return names


async def called(names: dict[str, Any]) -> Any:
    answer = names["call"]()
    return await answer if inspect.isawaitable(answer) else answer


async def finish(names: dict[str, Any]) -> None:
    """Close the clients that the example has opened."""
    if "litellm" in names:
        await names["litellm"].close_litellm_async_clients()
    for name, method in (
        ("pool", "close"),
        ("cache", "aclose"),
        ("engine", "dispose"),
        ("client", "close"),
    ):
        closing = getattr(names.get(name), method, int)()
        if inspect.isawaitable(closing):
            await closing


def only(registry: BreakerRegistry) -> CircuitBreaker:
    breakers: list[CircuitBreaker] = [*registry]
    assert len(breakers) == 1, breakers
    return breakers[0]


async def is_rejected(title: str, names: dict[str, Any], registry: BreakerRegistry) -> None:
    """Open the example's breaker, and check the error that its caller gets."""
    breaker = only(registry)
    breaker.open(60)
    with pytest.raises(CircuitBreakerError) as caught:
        await called(names)
    assert caught.value.name == breaker.name
    assert breaker.rejected == 1
    if title in REJECTIONS:
        module, _, name = REJECTIONS[title].rpartition(".")
        assert isinstance(caught.value, getattr(importlib.import_module(module), name))


def test_each_section_has_a_test() -> None:
    tested = {*ANSWERS, "asyncpg", "psycopg", "SQLAlchemy", "redis-py", "pymongo", "Kafka"}
    assert tested == {*EXAMPLES}


@pytest.mark.parametrize("title", [*ANSWERS])
async def test_a_rejected_provider_gets_no_request(
    title: str, provider: Provider, registry: BreakerRegistry
) -> None:
    names = load(title)
    assert await called(names) == ANSWERS[title]
    breaker = only(registry)
    assert (breaker.successes, breaker.failures) == (provider.hits, 0), provider.requests
    hits = provider.hits
    await is_rejected(title, names, registry)
    assert provider.hits == hits
    await finish(names)


@pytest.mark.parametrize("title", [title for title in ANSWERS if title != "google-cloud-storage"])
async def test_a_provider_that_fails_opens_its_breaker(
    title: str, provider: Provider, registry: BreakerRegistry
) -> None:
    names = load(title)
    provider.status = 503
    errors = []
    for _ in range(6):
        try:
            await called(names)
        except Exception as error:  # noqa: BLE001
            errors.append(error)
        only(registry).timeout_duration = 60  # some of them wait between two attempts
        if title in {"openai", "anthropic"}:  # which have made three attempts
            names["client"] = names["client"].with_options(max_retries=0)
    breaker = only(registry)
    assert (breaker.failures, provider.hits) == (5, 5)
    assert isinstance(errors[-1], CircuitBreakerError)
    assert not isinstance(errors[0], CircuitBreakerError)
    await finish(names)


@pytest.mark.parametrize("title", ["asyncpg", "psycopg", "SQLAlchemy"])
async def test_a_rejected_database_gets_no_statement(
    title: str, postgres: Postgres, registry: BreakerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{postgres.place}")
    monkeypatch.setenv("SQLALCHEMY_URL", f"postgresql+asyncpg://{postgres.place}")
    names = load(title)
    assert await called(names) == 2
    await is_rejected(title, names, registry)
    await finish(names)


async def test_a_rejected_redis_gets_no_command(
    redis_port: int, registry: BreakerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{redis_port}")
    names = load("redis-py")
    assert await called(names) is None
    breaker = only(registry)
    assert (breaker.successes, breaker.name) == (1, f"redis://127.0.0.1:{redis_port}")
    await is_rejected("redis-py", names, registry)
    await finish(names)


@pytest.mark.parametrize(
    ("title", "variable", "url"),
    [
        ("pymongo", "MONGODB_URL", "mongodb://127.0.0.1:{}"),
        ("Kafka", "KAFKA_SERVERS", "127.0.0.1:{}"),
    ],
)
async def test_a_server_that_is_gone_fails_and_opens_its_breaker(
    title: str,
    variable: str,
    url: str,
    registry: BreakerRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as bound:  # it does not listen
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv(variable, url.format(bound.getsockname()[1]))
        names = load(title)
        with pytest.raises(Exception, match=r"failed|Unable to bootstrap"):
            await called(names)
        breaker = only(registry)
        assert breaker.failures == 1
        await is_rejected(title, names, registry)
        await finish(names)
