"""The profile of Redis, by the errors of a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from breaker_asgi import CircuitBreaker, Outcome, profiles
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from tests.integration.stores.conftest import Server, eventually, free_port


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with client_of(server) as client:
        yield client


def client_of(server: Server, **settings: Any) -> Any:
    return redis.Redis(
        port=server.port, socket_timeout=0.5, retry=Retry(NoBackoff(), 0), **settings
    )


def judged(call: Callable[..., object], *args: object, **kwargs: object) -> tuple[str, Outcome]:
    """Return the error that a call raises, and its outcome by the profile."""
    try:
        call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__, profiles.redis.outcome_of(error)
    raise AssertionError("nothing was raised")


def test_a_wrong_command_is_a_success(client: Any) -> None:
    client.set("text", "x")
    assert judged(client.lpush, "text", 1) == ("ResponseError", SUCCESS)
    assert judged(client.incr, "text") == ("ResponseError", SUCCESS)
    assert judged(client.evalsha, "f" * 40, 0) == ("NoScriptError", SUCCESS)
    assert judged(client.execute_command, "NOTHING") == ("ResponseError", SUCCESS)
    assert judged(client.set, "key", {}) == ("DataError", SUCCESS)


def test_a_redis_without_memory_is_a_failure(client: Any) -> None:
    client.config_set("maxmemory", 1)
    assert judged(client.set, "key", "value") == ("OutOfMemoryError", FAILURE)
    pipeline = client.pipeline(transaction=False).set("key", "value")
    assert judged(pipeline.execute) == ("OutOfMemoryError", FAILURE)


def test_a_write_to_a_replica_and_a_read_without_its_master_are_failures(client: Any) -> None:
    client.config_set("replica-serve-stale-data", "yes")
    client.replicaof("127.0.0.1", free_port())
    assert judged(client.set, "key", "value") == ("ReadOnlyError", FAILURE)
    client.config_set("replica-serve-stale-data", "no")
    assert judged(client.get, "key") == ("MasterDownError", FAILURE)


def test_too_few_replicas_are_a_failure(client: Any) -> None:
    client.config_set("min-replicas-to-write", 1)
    assert judged(client.set, "key", "value") == ("ResponseError", FAILURE)


def test_a_password_that_is_missing_or_wrong_is_a_failure(server: Server, client: Any) -> None:
    client.config_set("requirepass", "secret")
    with client_of(server) as stranger, client_of(server, password="x") as impostor:
        assert judged(stranger.get, "key") == ("AuthenticationError", FAILURE)
        assert judged(impostor.get, "key") == ("AuthenticationError", FAILURE)


def test_a_command_without_permission_is_a_failure(client: Any) -> None:
    client.acl_setuser("default", enabled=True, commands=["+@all", "-get"], nopass=True, keys=["*"])
    assert judged(client.get, "key") == ("NoPermissionError", FAILURE)


def test_a_script_that_occupies_the_server_is_a_failure(server: Server, client: Any) -> None:
    client.config_set("busy-reply-threshold", 1)
    with client_of(server) as occupant:
        assert judged(occupant.eval, "while true do end", 0) == ("TimeoutError", FAILURE)
        assert judged(client.get, "key") == ("ResponseError", FAILURE)
    client.script_kill()


def test_a_taken_lock_and_a_changed_key_are_successes(server: Server, client: Any) -> None:
    lock = client.lock("door", timeout=5, blocking=False)
    assert lock.acquire()
    second = client.lock("door", timeout=5, blocking=False)
    assert judged(second.__enter__) == ("LockError", SUCCESS)
    client.delete("door")
    assert judged(lock.release) == ("LockNotOwnedError", SUCCESS)
    with client.pipeline() as pipeline:
        pipeline.watch("key")
        client.set("key", "changed")
        pipeline.multi()
        pipeline.set("key", "mine")
        assert judged(pipeline.execute) == ("WatchError", SUCCESS)


@pytest.mark.parametrize(
    ("pool_type", "settings", "error"),
    [
        (redis.ConnectionPool, {}, "MaxConnectionsError"),
        (redis.BlockingConnectionPool, {"timeout": 0.05}, "ConnectionError"),
    ],
)
def test_an_empty_pool_is_the_callers_own_fault(
    pool_type: Any, settings: Any, error: str, server: Server
) -> None:
    pool = pool_type(port=server.port, max_connections=1, **settings)
    taken = pool.get_connection()
    assert judged(redis.Redis(connection_pool=pool).get, "key") == (error, IGNORED)
    pool.release(taken)
    pool.disconnect()


def test_a_server_that_takes_no_more_clients_is_a_failure(server: Server, client: Any) -> None:
    client.config_set("maxclients", 1)
    with client_of(server) as one_too_many:
        assert judged(one_too_many.get, "key") == ("ConnectionError", FAILURE)


def test_a_killed_redis_opens_the_breaker_and_busy_locks_do_not(
    server: Server, client: Any
) -> None:
    cache = CircuitBreaker(3, name="cache", profile="redis")
    with client.lock("door", timeout=30, blocking=False):
        for _ in range(5):
            judged(cache.call, client.lock("door", blocking=False).__enter__)
    assert (cache.state, cache.successes) == ("closed", 5)
    server.kill()
    for _ in range(3):
        assert judged(cache.call, client.get, "key") == ("ConnectionError", FAILURE)
    assert cache.state == "open"


def test_a_redis_that_hangs_or_loads_is_a_failure(
    server: Server, client: Any, tmp_path: Path
) -> None:
    client.ping()
    server.hang()
    try:
        assert judged(client.get, "key") == ("TimeoutError", FAILURE)
    finally:
        server.resume()
    eventually(client.ping)
