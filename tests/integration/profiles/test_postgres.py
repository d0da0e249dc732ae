"""The profile of PostgreSQL, by the errors of a real one: asyncpg, psycopg, and SQLAlchemy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerError, Outcome
from breaker_asgi._core import profiles
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from breaker_asgi._core.profiles.databases import sqlstate_of as sqlstate
from tests.integration.sdks.postgres import Postgres

asyncpg: Any = pytest.importorskip("asyncpg", reason="no asyncpg")
psycopg: Any = pytest.importorskip("psycopg", reason="no psycopg")
psycopg_pool: Any = pytest.importorskip("psycopg_pool", reason="no psycopg_pool")
sqlalchemy: Any = pytest.importorskip("sqlalchemy", reason="no SQLAlchemy")
sqlalchemy_async: Any = pytest.importorskip("sqlalchemy.ext.asyncio", reason="no SQLAlchemy")

RAISES = "do $$ begin raise exception sqlstate '{}'; end $$"
TABLES = """
    drop table if exists pets, owners;
    create table owners (id int primary key);
    create table pets (id int primary key, age int not null check (age > 0),
        owner int references owners, part int, exclude using btree (part with =));
    insert into pets values (1, 1, null, 1);
"""

STATEMENTS: dict[str, tuple[str, Outcome]] = {
    "0A000": ("select count(*) from pets for update", SUCCESS),
    "22003": ("select 99999999999::int", SUCCESS),
    "22012": ("select 1 / 0", SUCCESS),
    "22P02": ("select 'x'::int", SUCCESS),
    "22007": ("select 'x'::date", SUCCESS),
    "23502": ("insert into pets values (2, null)", SUCCESS),
    "23503": ("insert into pets values (2, 1, 7)", SUCCESS),
    "23505": ("insert into pets values (1, 1)", SUCCESS),
    "23514": ("insert into pets values (2, -1)", SUCCESS),
    "23P01": ("insert into pets values (2, 1, null, 1)", SUCCESS),
    "25001": ("begin; vacuum", SUCCESS),
    "25006": ("begin read only; insert into owners values (1)", FAILURE),
    "3F000": ("create table nowhere.a (id int)", SUCCESS),
    "40001": (RAISES.format("40001"), SUCCESS),
    "40P01": (RAISES.format("40P01"), SUCCESS),
    "42601": ("selec 1", SUCCESS),
    "42703": ("select x from pets", SUCCESS),
    "42P01": ("select * from nothing", SUCCESS),
    "42501": ("set role reader; select * from pets", SUCCESS),
    "53300": (RAISES.format("53300"), FAILURE),
    "54001": (RAISES.format("54001"), SUCCESS),
    "55P03": (RAISES.format("55P03"), SUCCESS),
    "57014": ("set statement_timeout = 20; select pg_sleep(5)", FAILURE),
    "57P01": ("select pg_terminate_backend(pg_backend_pid())", FAILURE),
    "57P03": (RAISES.format("57P03"), FAILURE),
    "58030": (RAISES.format("58030"), FAILURE),
    "P0001": ("do $$ begin raise exception 'no'; end $$", SUCCESS),
    "XX000": (RAISES.format("XX000"), FAILURE),
}


def steps(statement: str) -> list[str]:
    """Split a statement into those that are sent one by one."""
    return [statement] if statement.startswith("do ") else statement.split("; ")


async def by_asyncpg(server: Postgres, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        for step in steps(statement):
            await connection.fetch(step, *values)
    finally:
        connection.terminate()


async def by_psycopg(server: Postgres, statement: str, *values: object) -> None:
    async with await psycopg.AsyncConnection.connect(server.url) as connection:
        for step in steps(statement):
            await connection.execute(step.replace("$1", "%s"), values or None)


async def by_sqlalchemy(server: Postgres, driver: str, statement: str, *values: object) -> None:
    url = server.url.replace("postgresql", f"postgresql+{driver}")
    engine = sqlalchemy_async.create_async_engine(url, poolclass=sqlalchemy.NullPool)
    async with engine.connect() as connection:
        for step in steps(statement):
            await connection.execute(
                sqlalchemy.text(step.replace("$1", "cast(:i as int)" * bool(values))),
                {"i": values[0]} if values else {},
            )


async def by_sqlalchemy_and_asyncpg(server: Postgres, statement: str, *values: object) -> None:
    await by_sqlalchemy(server, "asyncpg", statement, *values)


async def by_sqlalchemy_and_psycopg(server: Postgres, statement: str, *values: object) -> None:
    await by_sqlalchemy(server, "psycopg", statement, *values)


EVERY_DRIVER = pytest.mark.parametrize(
    "run", [by_asyncpg, by_psycopg, by_sqlalchemy_and_asyncpg, by_sqlalchemy_and_psycopg]
)


@pytest.fixture
async def tables(common_postgres: Postgres) -> Postgres:
    connection = await asyncpg.connect(common_postgres.url)
    await connection.execute(TABLES)
    await connection.execute("drop role if exists reader; create role reader")
    await connection.close()
    return common_postgres


async def error_of(call: Awaitable[object]) -> Exception:
    try:
        await call
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError("nothing was raised")


@EVERY_DRIVER
@pytest.mark.parametrize("code", STATEMENTS)
async def test_an_error_of_the_server_is_judged_by_its_sqlstate(
    run: Any, code: str, tables: Postgres
) -> None:
    statement, outcome = STATEMENTS[code]
    error = await error_of(run(tables, statement))
    assert sqlstate(error) == code or code == "57P01"  # asyncpg may notice it too late
    assert profiles.postgres.outcome_of(error) is outcome, repr(error)


TOO_LARGE = "select id from pets where id = $1::int"


@EVERY_DRIVER
async def test_a_number_that_is_too_large_is_no_failure_of_the_database(
    run: Any, tables: Postgres
) -> None:
    database = CircuitBreaker(name="database", profile="postgres")
    for _ in range(5):
        await error_of(database.call_async(run, tables, TOO_LARGE, 99999999999))
    assert (database.state, database.failures) == ("closed", 0)


@EVERY_DRIVER
async def test_a_stopped_server_opens_the_breaker(run: Any, postgres: Postgres) -> None:
    database = CircuitBreaker(name="database", profile="postgres", timeout_duration=1)
    postgres.stop()
    try:
        for _ in range(5):
            await error_of(database.call_async(run, postgres, "select 1"))
        assert database.state == "open"
        error = await error_of(database.call_async(run, postgres, "select 1"))
        assert isinstance(error, CircuitBreakerError)
    finally:
        postgres.start()


async def test_a_connection_of_asyncpg_that_two_tasks_use_is_the_callers_own_fault(
    tables: Postgres,
) -> None:
    connection = await asyncpg.connect(tables.url)
    sleeping = asyncio.create_task(connection.fetch("select pg_sleep(1)"))
    await asyncio.sleep(0)
    error = await error_of(connection.fetch("select 1"))
    connection.terminate()
    await error_of(sleeping)
    assert profiles.postgres.outcome_of(error) is IGNORED


async def test_a_statement_that_exceeds_asyncpgs_time_limit_is_a_failure(tables: Postgres) -> None:
    connection = await asyncpg.connect(tables.url, command_timeout=0.02)
    error = await error_of(connection.fetch("select pg_sleep(5)"))
    connection.terminate()
    assert profiles.postgres.outcome_of(error) is FAILURE


@EVERY_DRIVER
async def test_a_table_that_is_locked_is_a_failure_by_a_time_limit_for_statements(
    run: Any, tables: Postgres
) -> None:
    owner = await asyncpg.connect(tables.url)
    async with owner.transaction():
        await owner.execute("lock table pets")
        error = await error_of(run(tables, "set statement_timeout = 20; select * from pets"))
    await owner.close()
    assert profiles.postgres.outcome_of(error) is FAILURE


async def test_text_that_psycopg_can_not_send_is_the_callers_own_fault(tables: Postgres) -> None:
    error = await error_of(by_psycopg(tables, "select $1::text", "a\0b"))
    assert profiles.postgres.outcome_of(error) is IGNORED


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_an_empty_pool_of_sqlalchemy_is_ignored(driver: str, tables: Postgres) -> None:
    url = tables.url.replace("postgresql", f"postgresql+{driver}")
    engine = sqlalchemy_async.create_async_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=0.05
    )
    async with engine.connect():
        error = await error_of(engine.connect().start())
    await engine.dispose()
    assert isinstance(error, sqlalchemy.exc.TimeoutError)
    assert profiles.postgres.outcome_of(error) is IGNORED


async def test_an_empty_pool_of_psycopg_counts_as_it_may_hide_a_dead_server(
    tables: Postgres,
) -> None:
    async with (
        psycopg_pool.AsyncConnectionPool(tables.url, min_size=1, max_size=1, open=False) as pool,
        pool.connection(),
    ):
        error = await error_of(pool.getconn(timeout=0.05))
    assert isinstance(error, psycopg_pool.PoolTimeout)
    assert profiles.postgres.outcome_of(error) is FAILURE


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_no_row_and_a_broken_session_are_no_failures(driver: str, tables: Postgres) -> None:
    url = tables.url.replace("postgresql", f"postgresql+{driver}")
    engine = sqlalchemy_async.create_async_engine(url, poolclass=sqlalchemy.NullPool)
    async with engine.connect() as connection:
        rows = await connection.execute(sqlalchemy.text("select 1 where false"))
        with pytest.raises(sqlalchemy.exc.NoResultFound) as raised:
            rows.one()
        assert profiles.postgres.outcome_of(raised.value) is SUCCESS
        error = await error_of(connection.execute(sqlalchemy.text("select :i")))
        assert profiles.postgres.outcome_of(error) is IGNORED
