"""Guarded clients of redis-py, with a real server."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from breaker_asgi import BreakerConfigError, BreakerRegistry, CircuitBreakerError
from breaker_asgi.clients import guard


def counted(registry: BreakerRegistry) -> tuple[int, int, int, int]:
    (breaker,) = registry
    return breaker.successes, breaker.failures, breaker.ignored, breaker.rejected


@pytest.fixture
def client(redis_port: int, registry: BreakerRegistry) -> Iterator[Any]:
    with redis.Redis(host="127.0.0.1", port=redis_port) as client:
        client.flushall()
        yield guard(client)


@pytest.fixture
async def aclient(redis_port: int, registry: BreakerRegistry) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis(host="127.0.0.1", port=redis_port) as client:
        await client.flushall()
        yield guard(client)


def test_a_command_and_a_pipeline_are_a_call_each(client: Any, registry: BreakerRegistry) -> None:
    client.set("a", 1)
    with client.pipeline() as pipeline:
        assert pipeline.set("b", 2).get("b").execute() == [True, b"2"]
    assert counted(registry) == (2, 0, 0, 0)


async def test_an_async_command_and_pipeline_are_a_call_each(
    aclient: Any, registry: BreakerRegistry
) -> None:
    await aclient.set("a", 1)
    async with aclient.pipeline() as pipeline:
        assert await pipeline.set("b", 2).get("b").execute() == [True, b"2"]
    assert counted(registry) == (2, 0, 0, 0)


def test_commands_of_a_pipeline_that_watches_are_calls(
    client: Any, registry: BreakerRegistry
) -> None:
    with client.pipeline() as pipeline:
        pipeline.watch("a")
        assert pipeline.get("a") is None
        pipeline.multi()
        pipeline.set("a", 1)
        assert pipeline.execute() == [True]
    assert counted(registry) == (3, 0, 0, 0)


def test_a_rejection_is_a_connection_error_and_can_be_pickled(
    client: Any, registry: BreakerRegistry, redis_port: int
) -> None:
    registry.get(f"redis://127.0.0.1:{redis_port}").open(60)
    with pytest.raises(redis.ConnectionError) as caught:
        client.get("a")
    assert isinstance(caught.value, CircuitBreakerError)
    error: Any = caught.value
    assert error.request == ("GET", "a")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert counted(registry) == (0, 0, 0, 1)


async def test_an_async_rejection_is_a_connection_error(
    aclient: Any, registry: BreakerRegistry, redis_port: int
) -> None:
    registry.get(f"redis://127.0.0.1:{redis_port}").open(60)
    for command in (aclient.get("a"), aclient.pipeline().get("a").execute()):
        with pytest.raises(redis.ConnectionError) as caught:
            await command
        assert isinstance(caught.value, CircuitBreakerError)
    assert counted(registry) == (0, 0, 0, 2)


def test_a_rejected_pipeline_forgets_its_commands(
    client: Any, registry: BreakerRegistry, redis_port: int
) -> None:
    registry.get(f"redis://127.0.0.1:{redis_port}").open(60)
    pipeline = client.pipeline().get("a")
    with pytest.raises(CircuitBreakerError):
        pipeline.execute()
    assert len(pipeline) == 0


def test_a_client_of_one_connection_is_guarded_too(
    client: Any, registry: BreakerRegistry, redis_port: int
) -> None:
    registry.get(f"redis://127.0.0.1:{redis_port}").open(60)
    with client.client() as one, pytest.raises(CircuitBreakerError):
        one.get("a")


def test_an_answer_to_a_wrong_command_is_a_success(client: Any, registry: BreakerRegistry) -> None:
    client.set("a", 1)
    with pytest.raises(redis.ResponseError):
        client.lpush("a", 1)
    assert counted(registry) == (2, 0, 0, 0)


@pytest.mark.parametrize(
    "command",
    [
        ("BLPOP", "q", 0.01),
        ("XREAD", "BLOCK", 1, "STREAMS", "s", "$"),
        ("XREAD", "COUNT", 1, b"block", 1, "STREAMS", "s", "$"),
    ],
)
def test_a_command_that_waits_is_not_guarded(
    command: tuple[Any, ...], client: Any, registry: BreakerRegistry, redis_port: int
) -> None:
    registry.get(f"redis://127.0.0.1:{redis_port}").open(60)
    assert not client.execute_command(*command)
    assert counted(registry) == (0, 0, 0, 0)


def test_reading_a_stream_named_block_is_guarded(client: Any, registry: BreakerRegistry) -> None:
    client.execute_command("XREAD", "STREAMS", "BLOCK", "0")
    assert counted(registry) == (1, 0, 0, 0)


def test_an_empty_pool_is_ignored(redis_port: int, registry: BreakerRegistry) -> None:
    pool = redis.ConnectionPool(port=redis_port, max_connections=0)
    pool.max_connections = 0
    with redis.Redis(connection_pool=pool) as client:
        guard(client)
        with pytest.raises(redis.ConnectionError):
            client.get("a")
    assert counted(registry) == (0, 0, 1, 0)


def test_a_fallback_replaces_an_answer(redis_port: int, registry: BreakerRegistry) -> None:
    with redis.Redis(port=redis_port) as client:
        guard(client, name="cache", fallback=lambda command, error: (command, error.name))
        registry.get("cache").open(60)
        assert client.get("a") == (("GET", "a"), "cache")


async def test_an_async_fallback_is_awaited(redis_port: int, registry: BreakerRegistry) -> None:
    async def empty(command: Any, error: Any) -> None:
        return None

    async with redis.asyncio.Redis(port=redis_port) as client:
        guard(client, name="cache", fallback=empty)
        registry.get("cache").open(60)
        assert await client.get("a") is None


def test_a_setting_without_effect_is_refused() -> None:
    with (
        redis.Redis() as client,
        pytest.raises(BreakerConfigError, match="honour_retry_after=True has no effect"),
    ):
        guard(client, honour_retry_after=True)


def test_a_client_of_redis_is_guarded_once(client: Any) -> None:
    with pytest.raises(BreakerConfigError, match="this Redis is guarded already"):
        guard(client)


@pytest.mark.parametrize("library", [redis, redis.asyncio], ids=["sync", "async"])
def test_a_breaker_is_named_by_its_address(library: Any, registry: BreakerRegistry) -> None:
    for url, name in (
        ("redis://user:secret@cache.example:7000/3", "redis://cache.example:7000"),
        ("redis://[::1]", "redis://[::1]:6379"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ):
        client = guard(library.from_url(url))
        guarding = client.execute_command._guarding
        assert guarding.downstream._origin(("GET", "a")) == name


async def test_an_async_cluster_is_named_by_its_first_node() -> None:
    cluster: Any = redis.asyncio.RedisCluster(host="cache.example", port=7000)
    guarding = guard(cluster).execute_command._guarding
    assert guarding.downstream._origin(("GET", "a")) == "redis://cache.example:7000"
    with pytest.raises(BreakerConfigError, match="this RedisCluster is guarded already"):
        guard(cluster)


def test_a_command_and_a_pipeline_of_a_cluster_are_a_call_each(
    cluster_port: int, registry: BreakerRegistry
) -> None:
    made: Any = redis.RedisCluster(host="127.0.0.1", port=cluster_port)
    with guard(made, name="cluster") as cluster:
        cluster.set("a", 1)
        assert cluster.pipeline().set("b", 2).get("b").execute() == [True, b"2"]
        registry.get("cluster").open(60)
        for send in (lambda: cluster.get("a"), cluster.pipeline().get("a").execute):
            with pytest.raises(redis.ConnectionError) as caught:
                send()
            assert isinstance(caught.value, CircuitBreakerError)
    assert counted(registry) == (2, 0, 0, 2)


async def test_a_command_and_a_pipeline_of_an_async_cluster_are_a_call_each(
    cluster_port: int, registry: BreakerRegistry
) -> None:
    made: Any = redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster_port)
    async with guard(made, name="cluster") as cluster:
        await cluster.set("a", 1)
        assert await cluster.pipeline().set("b", 2).get("b").execute() == [True, b"2"]
        registry.get("cluster").open(60)
        for sent in (cluster.get("a"), cluster.pipeline().get("a").execute()):
            with pytest.raises(redis.ConnectionError) as caught:
                await sent
            assert isinstance(caught.value, CircuitBreakerError)
    assert counted(registry) == (2, 0, 0, 2)
