"""Guarded engines of SQLAlchemy, with a real PostgreSQL."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
)
from breaker_asgi.clients import guard
from breaker_asgi.testing import FakeClock
from tests.integration.sdks.postgres import Postgres

ONE = text("select 1")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breaker(postgres: Postgres, clock: FakeClock, registry: BreakerRegistry) -> CircuitBreaker:
    """The breaker of the engines below."""
    config = BreakerConfig(fail_max=5, timeout_duration=5, clock=clock, exclude=[ProgrammingError])
    return registry.get(postgres.name, defaults=config)


@pytest.fixture(params=[False, True], ids=["", "pings"])
def engine(
    request: pytest.FixtureRequest, postgres: Postgres, breaker: CircuitBreaker
) -> Iterator[Engine]:
    url = f"postgresql+psycopg://{postgres.place}"
    engine = guard(create_engine(url, pool_pre_ping=request.param, pool_size=5))
    with engine.begin() as connection:
        connection.execute(ONE)
    breaker.reset()
    yield engine
    engine.dispose()


@pytest.fixture(params=[False, True], ids=["", "pings"])
async def aengine(
    request: pytest.FixtureRequest, postgres: Postgres, breaker: CircuitBreaker
) -> AsyncIterator[AsyncEngine]:
    url = f"postgresql+asyncpg://{postgres.place}"
    engine = guard(create_async_engine(url, pool_pre_ping=request.param, pool_size=5))
    async with engine.begin() as connection:
        await connection.execute(ONE)
    breaker.reset()
    yield engine
    await engine.dispose()


def run(engine: Engine, sql: str = "select 1") -> Any:
    with engine.begin() as connection:
        result = connection.execute(text(sql))
        return result.scalar() if result.returns_rows else None


async def arun(engine: AsyncEngine, sql: str = "select 1") -> Any:
    async with engine.begin() as connection:
        return await connection.scalar(text(sql))


def change_of(breaker: CircuitBreaker) -> Callable[[], tuple[int, int, int, int]]:
    """Return a function that returns the counts since now."""

    def figures() -> tuple[int, int, int, int]:
        return breaker.successes, breaker.failures, breaker.ignored, breaker.rejected

    before = figures()
    return lambda: tuple(now - then for now, then in zip(figures(), before, strict=True))  # type: ignore[return-value]


def fill(engine: Engine) -> None:
    """Fill the pool with connections."""
    connections = [engine.connect() for _ in range(5)]
    for connection in connections:
        connection.execute(ONE)
    for connection in connections:
        connection.close()


async def afill(engine: AsyncEngine) -> None:
    connections = [await engine.connect() for _ in range(5)]
    for connection in connections:
        await connection.execute(ONE)
    for connection in connections:
        await connection.close()


def test_a_statement_is_a_call(engine: Engine, breaker: CircuitBreaker) -> None:
    since = change_of(breaker)
    with engine.begin() as connection:
        connection.execute(ONE)
        connection.execute(ONE)
    assert since() == (2, 0, 0, 0)


async def test_a_statement_of_an_async_engine_is_a_call(
    aengine: AsyncEngine, breaker: CircuitBreaker
) -> None:
    since = change_of(breaker)
    assert await arun(aengine) == 1
    assert since() == (1, 0, 0, 0)


def test_a_rejected_statement_is_not_sent_and_leaves_the_connection_as_it_was(
    engine: Engine, breaker: CircuitBreaker
) -> None:
    before = run(engine, "select pg_backend_pid()")
    since = change_of(breaker)
    breaker.open(60)
    with pytest.raises(SQLAlchemyError) as caught:
        run(engine)
    assert isinstance(caught.value, CircuitBreakerError)
    assert since() == (0, 0, 0, 1)
    breaker.close()
    assert run(engine, "select pg_backend_pid()") == before


async def test_a_rejected_statement_of_an_async_engine_leaves_the_connection_as_it_was(
    aengine: AsyncEngine, breaker: CircuitBreaker
) -> None:
    before = await arun(aengine, "select pg_backend_pid()")
    since = change_of(breaker)
    breaker.open(60)
    with pytest.raises(SQLAlchemyError) as caught:
        await arun(aengine)
    assert isinstance(caught.value, CircuitBreakerError)
    assert since() == (0, 0, 0, 1)
    breaker.close()
    assert await arun(aengine, "select pg_backend_pid()") == before


def test_a_rejection_has_the_statement_and_can_be_pickled(
    engine: Engine, breaker: CircuitBreaker
) -> None:
    breaker.open(60)
    with pytest.raises(CircuitBreakerError) as caught:
        run(engine)
    copy: Any = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.request) == (str(caught.value), "select 1")


def test_a_connect_is_rejected_too(postgres: Postgres, breaker: CircuitBreaker) -> None:
    engine = guard(create_engine(f"postgresql+psycopg://{postgres.place}"))
    breaker.open(60)
    since = change_of(breaker)
    with pytest.raises(CircuitBreakerError) as caught, engine.connect():
        pass
    assert (since(), getattr(caught.value, "request", None)) == ((0, 0, 0, 1), "")


def test_a_wrong_statement_is_judged_as_the_error_of_sqlalchemy(
    engine: Engine, breaker: CircuitBreaker
) -> None:
    since = change_of(breaker)
    with pytest.raises(ProgrammingError):
        run(engine, "selec")
    assert since() == (1, 0, 0, 0)


def test_a_failure_is_counted_once_by_a_breaker_around_it(
    engine: Engine, breaker: CircuitBreaker
) -> None:
    since = change_of(breaker)
    with pytest.raises(DBAPIError), breaker:
        run(engine, "select 1 / 0")
    assert since() == (0, 1, 1, 0)


def test_pings_and_connects_do_not_end_a_streak_of_failures(
    engine: Engine, breaker: CircuitBreaker
) -> None:
    run(engine, "alter role app set statement_timeout = 10")
    engine.dispose()
    try:
        for _ in range(5):
            with pytest.raises(OperationalError):
                run(engine, "select pg_sleep(5)")
        with pytest.raises(CircuitBreakerError):
            run(engine)
    finally:
        breaker.reset()
        run(engine, "alter role app reset statement_timeout")


def test_an_empty_pool_is_no_call(postgres: Postgres, breaker: CircuitBreaker) -> None:
    url = f"postgresql+psycopg://{postgres.place}"
    engine = guard(create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.01))
    with engine.connect():
        since = change_of(breaker)
        with pytest.raises(PoolTimeoutError), engine.connect():
            pass
        assert since() == (0, 0, 0, 0)
    engine.dispose()


def test_a_commit_and_a_rollback_are_not_rejected(engine: Engine, breaker: CircuitBreaker) -> None:
    with engine.connect() as connection:
        connection.execute(text("create table if not exists photos (id int)"))
        breaker.open(60)
        connection.commit()
        breaker.close()
        with connection.begin():
            savepoint = connection.begin_nested()
            connection.execute(text("insert into photos values (1)"))
            breaker.open(60)
            savepoint.rollback()
        breaker.close()
        assert connection.scalar(text("select count(*) from photos")) == 0


async def test_a_cancelled_statement_is_ignored(
    aengine: AsyncEngine, breaker: CircuitBreaker
) -> None:
    breaker.half_open()
    since = change_of(breaker)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), aengine.connect() as connection:
            await connection.execute(text("select pg_sleep(60)"))
    breaker.acquire().ignore()  # a probe is available again
    assert since()[1:] == (0, 2, 0)


def test_guarding_adds_no_error_after_a_restart(
    engine: Engine, breaker: CircuitBreaker, postgres: Postgres
) -> None:
    fill(engine)
    postgres.stop()
    postgres.start()
    pings = engine.pool._pre_ping
    with ThreadPoolExecutor(5) as pool:
        outcomes = [pool.submit(run, engine).exception() for _ in range(5)]
    assert not any(isinstance(outcome, CircuitBreakerError) for outcome in outcomes)
    if pings:
        assert outcomes == [None] * 5
    assert breaker.failures == 0
    assert [run(engine) for _ in range(3)] == [1, 1, 1]


async def test_guarding_adds_no_async_error_after_a_restart(
    aengine: AsyncEngine, breaker: CircuitBreaker, postgres: Postgres
) -> None:
    await afill(aengine)
    postgres.stop()
    postgres.start()
    outcomes = await asyncio.gather(*(arun(aengine) for _ in range(5)), return_exceptions=True)
    assert not any(isinstance(outcome, CircuitBreakerError) for outcome in outcomes)
    if aengine.sync_engine.pool._pre_ping:
        assert outcomes == [1] * 5
    assert [await arun(aengine) for _ in range(3)] == [1, 1, 1]


async def test_a_server_that_is_gone_opens_the_breaker_and_its_return_closes_it(
    aengine: AsyncEngine, breaker: CircuitBreaker, postgres: Postgres, clock: FakeClock
) -> None:
    await afill(aengine)
    postgres.stop()
    outcomes = [await asyncio.gather(arun(aengine), return_exceptions=True) for _ in range(8)]
    assert isinstance(outcomes[-1][0], CircuitBreakerError)
    postgres.start()
    clock.advance(6)
    assert [await arun(aengine) for _ in range(3)] == [1, 1, 1]
    assert breaker.state.name == "CLOSED"


def test_threads_share_a_breaker(engine: Engine, breaker: CircuitBreaker) -> None:
    since = change_of(breaker)
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _: run(engine), range(40))] == [1] * 40
    assert since() == (40, 0, 0, 0)


def test_events_of_the_engine_are_still_sent(engine: Engine) -> None:
    statements: list[str] = []

    def notice(*args: Any) -> None:
        statements.append(args[2])

    event.listen(engine, "after_cursor_execute", notice)
    run(engine)
    assert statements == ["select 1"]


def test_a_name_may_depend_on_the_statement(postgres: Postgres, registry: BreakerRegistry) -> None:
    engine = guard(
        create_engine(f"postgresql+psycopg://{postgres.place}"),
        name=lambda sql: "photos" if "photos" in sql else None,
    )
    assert run(engine, "select 1 as photos") == 1
    assert [(breaker.name, breaker.successes) for breaker in registry] == [("photos", 1)]
    engine.dispose()


@pytest.mark.parametrize(
    "setting",
    [{"is_failure": bool}, {"fallback": lambda _, __: 1}, {"honour_retry_after": True}],
    ids=lambda setting: next(iter(setting)),
)
def test_a_setting_without_effect_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(BreakerConfigError, match="has no effect"):
        guard(create_engine("sqlite://"), **setting)


def test_an_engine_is_guarded_once() -> None:
    engine = guard(create_engine("sqlite://"))
    with pytest.raises(BreakerConfigError, match="is guarded already"):
        guard(engine.execution_options(isolation_level="AUTOCOMMIT"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql+psycopg://app:secret@db.example/shop", "postgresql://db.example:5432/shop"),
        ("postgresql+psycopg://app@[::1]:7000/shop", "postgresql://[::1]:7000/shop"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("postgresql+psycopg:///shop?host=/run", "postgresql:///shop"),
    ],
)
def test_a_breaker_is_named_by_its_address(url: str, name: str, registry: BreakerRegistry) -> None:
    engine = guard(create_engine(url))
    registry.get(name).open(60)
    with pytest.raises(CircuitBreakerError, match="is open"):
        engine.dialect.do_execute(None, "select 1", ())  # type: ignore[arg-type]
