"""The errors of a real PostgreSQL and a real Redis, as their profiles judge them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg_pool
import pytest
import redis
import sqlalchemy
from redis.exceptions import LockError, WatchError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from breaker_asgi import CircuitBreaker, Outcome, profiles
from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS
from breaker_asgi.state import CLOSED, OPEN
from tests.integration.sdks.postgres import Postgres

ANSWER, OURS = SUCCESS, IGNORED

STATEMENTS: dict[str, tuple[str, Outcome]] = {
    "division by zero": ("select 1/0", ANSWER),
    "bad number": ("select 'x'::int", ANSWER),
    "number out of range": ("select 99999999999::int", ANSWER),
    "twice": ("insert into kept values (1); insert into kept values (1)", ANSWER),
    "null": ("insert into kept values (null)", ANSWER),
    "no parent": ("insert into child values (7)", ANSWER),
    "no table": ("select * from nowhere", ANSWER),
    "syntax": ("selec 1", ANSWER),
    "raised": ("do $$ begin raise exception 'no'; end $$", ANSWER),
    "not allowed": ("set role nobody_at_all", ANSWER),
    "takes too long": ("set local statement_timeout = 20; select pg_sleep(5)", FAILURE),
    "read only": ("set transaction read only; insert into kept values (9)", FAILURE),
    "ended by an operator": ("select pg_terminate_backend(pg_backend_pid())", FAILURE),
}


async def by_asyncpg(url: str, statement: str) -> None:
    connection = await asyncpg.connect(f"postgresql://{url}")
    try:
        async with connection.transaction():
            await connection.execute(statement)
    finally:
        connection.terminate()


async def by_psycopg(url: str, statement: Any) -> None:
    async with await psycopg.AsyncConnection.connect(f"postgresql://{url}") as connection:
        await connection.execute(statement)


def by_sqlalchemy(driver: str) -> Callable[[str, str], Awaitable[None]]:
    async def execute(url: str, statement: str) -> None:
        engine = create_async_engine(f"postgresql+{driver}://{url}")
        try:
            async with engine.begin() as connection:
                for part in statement.split("; ") if "$$" not in statement else [statement]:
                    await connection.execute(sqlalchemy.text(part))
        finally:
            await engine.dispose()

    return execute


DRIVERS = {
    "asyncpg": by_asyncpg,
    "psycopg": by_psycopg,
    "SQLAlchemy over asyncpg": by_sqlalchemy("asyncpg"),
    "SQLAlchemy over psycopg": by_sqlalchemy("psycopg"),
}


@pytest.fixture(params=DRIVERS)
def execute(request: pytest.FixtureRequest) -> Callable[[str, str], Awaitable[None]]:
    driver: Callable[[str, str], Awaitable[None]] = DRIVERS[request.param]
    return driver


@pytest.fixture(scope="module")
def tables(postgres: Postgres) -> None:
    """Tables with rules that statements may violate."""

    async def make() -> None:
        made = "create table kept (id int primary key); "
        await by_asyncpg(postgres.place, f"{made} create table child (id int references kept)")

    asyncio.run(make())


@pytest.mark.parametrize("case", STATEMENTS)
async def test_a_statement_is_judged_by_its_sqlstate(
    case: str, execute: Any, postgres: Postgres, tables: None
) -> None:
    statement, outcome = STATEMENTS[case]
    call = execute(postgres.place, statement)
    error: Any = (await asyncio.gather(call, return_exceptions=True))[0]
    assert isinstance(error, Exception)
    assert profiles.postgres.outcome_of(error) is outcome, repr(error)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_bad_numbers_do_not_shut_the_database_and_a_stopped_server_does(
    driver: str, postgres: Postgres, tables: None
) -> None:
    database = CircuitBreaker(name="database", profile="postgres")
    engine = create_async_engine(f"postgresql+{driver}://{postgres.place}")

    @database
    async def item(number: int) -> object:
        async with engine.connect() as connection:
            select = sqlalchemy.text("select id from kept where id = :number")
            return (await connection.execute(select, {"number": number})).scalar()

    for _ in range(5):
        await settled(item(99999999999))
    assert (database.state, database.failures) == (CLOSED, 0)
    postgres.stop()
    try:
        for _ in range(5):
            await settled(item(1))
        assert database.state is OPEN
    finally:
        postgres.start()
        await engine.dispose()


async def settled(call: Awaitable[object]) -> None:
    await asyncio.gather(call, return_exceptions=True)


async def test_an_empty_pool_of_sqlalchemy_is_the_callers_own(postgres: Postgres) -> None:
    url = f"postgresql+asyncpg://{postgres.place}"
    engine: AsyncEngine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    async with engine.connect():
        with pytest.raises(sqlalchemy.exc.TimeoutError) as raised:
            await engine.connect().__aenter__()
    await engine.dispose()
    assert profiles.postgres.outcome_of(raised.value) is OURS


async def test_a_pool_of_psycopg_that_times_out_may_hide_a_dead_server() -> None:
    dead = "postgresql://127.0.0.1:1/none"
    async with psycopg_pool.AsyncConnectionPool(dead, min_size=0, max_size=1, open=False) as pool:
        with pytest.raises(psycopg_pool.PoolTimeout) as raised:
            await pool.getconn(timeout=0.05)
    assert profiles.postgres.outcome_of(raised.value) is FAILURE


# Redis


def refused(work: Callable[[], object]) -> Outcome:
    """Return the outcome of what work raises."""
    with pytest.raises(redis.RedisError) as raised:
        work()
    return profiles.redis.outcome_of(raised.value)


@pytest.fixture
def client(redis_port: int) -> Any:
    with redis.Redis(port=redis_port) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", 0)
        client.replicaof("NO", "ONE")


def test_a_wrong_command_is_answered(client: Any) -> None:
    client.set("a", "text")
    assert refused(lambda: client.lpush("a", 1)) is ANSWER
    assert refused(lambda: client.execute_command("NOSUCH")) is ANSWER


def test_a_full_memory_counts(client: Any) -> None:
    client.config_set("maxmemory", 1)
    assert refused(lambda: client.set("a", "x" * 1000)) is FAILURE


def test_a_replica_after_a_failover_counts(client: Any) -> None:
    client.replicaof("127.0.0.1", 1)
    assert refused(lambda: client.set("a", 1)) is FAILURE


def test_a_replica_without_its_master_counts(client: Any) -> None:
    client.config_set("replica-serve-stale-data", "no")
    client.replicaof("127.0.0.1", 1)
    try:
        assert refused(lambda: client.get("a")) is FAILURE
    finally:
        client.config_set("replica-serve-stale-data", "yes")


def test_a_lost_race_is_answered(client: Any) -> None:
    with client.pipeline() as pipe:
        pipe.watch("a")
        client.set("a", 1)
        pipe.multi()
        pipe.set("a", 2)
        with pytest.raises(WatchError) as raised:
            pipe.execute()
    assert profiles.redis.outcome_of(raised.value) is ANSWER


def test_a_busy_lock_is_answered(client: Any) -> None:
    held = client.lock("a", timeout=5)
    assert held.acquire()
    with pytest.raises(LockError) as raised, client.lock("a", blocking=False):
        pass
    held.release()
    assert profiles.redis.outcome_of(raised.value) is ANSWER


def test_an_empty_pool_of_connections_is_the_callers_own(redis_port: int) -> None:
    pool: Any = redis.BlockingConnectionPool(  # type: ignore[no-untyped-call]
        port=redis_port, max_connections=1, timeout=0.01
    )
    with redis.Redis(connection_pool=pool) as client:
        taken = pool.get_connection()
        assert refused(lambda: client.get("a")) is OURS
        pool.release(taken)
    pool.disconnect()


def test_a_server_that_is_gone_counts() -> None:
    with redis.Redis(port=1) as client:
        assert refused(lambda: client.get("a")) is FAILURE
