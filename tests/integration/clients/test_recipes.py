"""The recipes of docs/clients.md for what has no hook, with real servers."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from breaker_asgi import CircuitBreaker, CircuitBreakerError
from breaker_asgi.testing import FakeClock
from tests.integration.programs import redis_server


class Server:
    """A Redis that can be killed, and hung."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._command = [
            redis_server(),
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--save", ""),
            *("--dir", str(folder)),
        ]

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        while "eady to accept" not in self.process.stdout.readline():
            assert self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[redis.Redis]:
    client = redis.Redis(
        port=server.port,
        socket_connect_timeout=0.3,
        socket_timeout=0.3,
        retry=Retry(NoBackoff(), 0),
    )
    yield client
    await client.aclose()


@pytest.fixture
def cache(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(
        name="cache", fail_max=2, timeout_duration=2, profile="redis", clock=clock
    )


async def test_a_killed_redis_opens_the_breaker_and_its_restart_closes_it(
    server: Server, client: redis.Redis, cache: CircuitBreaker, clock: FakeClock
) -> None:
    get = cache(client.get)
    assert await get("rate") is None
    server.kill()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            await get("rate")
    with pytest.raises(CircuitBreakerError):
        await get("rate")
    server.start()
    clock.advance(2.1)
    assert await get("rate") is None
    assert cache.state == "closed"


async def test_a_redis_that_hangs_opens_the_breaker(
    server: Server, client: redis.Redis, cache: CircuitBreaker
) -> None:
    get = cache(client.get)
    server.process.send_signal(signal.SIGSTOP)
    for _ in range(2):
        with pytest.raises(redis.TimeoutError):
            await get("rate")
    assert cache.state == "open"


async def test_a_command_that_redis_refuses_is_a_success(
    client: redis.Redis, cache: CircuitBreaker
) -> None:
    await client.set("rate", "not a number")
    with pytest.raises(redis.ResponseError):
        await cache(client.incr)("rate")
    assert (cache.successes, cache.excluded) == (1, 1)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{tmp_path}/shop.db",
        connect_args={"timeout": 0.05},
        pool_size=2,
        max_overflow=0,
        pool_timeout=0.05,
    )
    async with engine.begin() as connection:
        await connection.execute(text("create table orders (id integer primary key)"))
    yield engine
    await engine.dispose()


@pytest.fixture
def database(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(
        name="database",
        fail_max=2,
        profile="postgres",
        clock=clock,
    )


async def order(engine: AsyncEngine, database: CircuitBreaker, number: int) -> None:
    async with database, engine.begin() as connection:
        await connection.execute(text("insert into orders values (:id)"), {"id": number})


async def test_a_database_that_is_locked_opens_the_breaker(
    engine: AsyncEngine, database: CircuitBreaker, clock: FakeClock
) -> None:
    async with engine.connect() as other:
        await other.execute(text("begin immediate"))
        for _ in range(2):
            with pytest.raises(OperationalError, match="locked"):
                await order(engine, database, 1)
        with pytest.raises(CircuitBreakerError):
            await order(engine, database, 1)
        await other.rollback()
    clock.advance(61)
    await order(engine, database, 1)
    assert database.state == "closed"


async def test_a_violated_constraint_is_a_success(
    engine: AsyncEngine, database: CircuitBreaker
) -> None:
    await order(engine, database, 1)
    with pytest.raises(IntegrityError):
        await order(engine, database, 1)
    assert (database.successes, database.excluded, database.failures) == (2, 1, 0)


async def test_an_empty_pool_is_ignored(engine: AsyncEngine, database: CircuitBreaker) -> None:
    async with engine.connect(), engine.connect():
        with pytest.raises(PoolTimeoutError):
            await order(engine, database, 1)
    assert (database.ignored, database.failures) == (1, 0)


async def test_a_cancelled_unit_of_work_is_ignored(
    engine: AsyncEngine, database: CircuitBreaker
) -> None:
    async def wait() -> None:
        async with database, engine.begin():
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await wait()
    assert (database.ignored, database.failures) == (1, 0)
