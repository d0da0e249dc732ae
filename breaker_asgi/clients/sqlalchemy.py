"""The engines of SQLAlchemy, by their dialects: `guard(create_async_engine(url))`."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breaker_asgi._core.extras import needs

with needs(__name__, "sqlalchemy"):
    from sqlalchemy import event, exc
    from sqlalchemy.util import await_only

from breaker_asgi._core import validation
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.outcome import FAILURE, IGNORED, Outcome
from breaker_asgi._core.state import CLOSED, FORCED_OPEN, METRICS_ONLY, OPEN
from breaker_asgi.clients.downstream import (
    ORIGIN_CONFIG,
    Downstream,
    RejectedError,
    guarded_already,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from breaker_asgi._core.permit import Permit
    from breaker_asgi.breaker import CircuitBreaker

__all__ = ["DATABASE_CONFIG", "StatementRejectedError", "guard"]

DATABASE_CONFIG = ORIGIN_CONFIG.replace(profile="postgres")
"""The settings of a database's breaker, unless others are given."""

CONNECT: Final = ""
"""Stands for the statement, where a connection is made."""

_COMMIT: Final = "COMMIT"
_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "oracle": 1521, "mssql": 1433}
_EXECUTE: Final = ("do_execute", "do_executemany", "do_execute_no_params")
_FRESH: Final = "breaker_asgi.fresh"
_PROVEN: Final = "breaker_asgi.proven"
_ALIVE: Final = frozenset({_FRESH, _PROVEN})


class StatementRejectedError(RejectedError, exc.SQLAlchemyError):
    """The rejection of a statement or a connect; `request` is the SQL text, or empty.

    A `CircuitBreakerError`, and an error of SQLAlchemy's, so that handlers of those catch it too.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {"_request": self._request}

    @property
    def request(self) -> str:
        """The text of the statement that was not sent; empty for a connect."""
        statement: str = self._request
        return statement


class _Lost(NamedTuple):
    """A pooled connection that has not been used since it was taken out of the pool."""

    connection: Any


class _Guard:
    """The guard that admits a statement or a connect, and settles it by its result.

    A connect, a ping and a COMMIT count only where they fail: between statements that all time out
    on a locked table, they would end each streak of failures.
    """

    def __init__(self, dialect: Any, downstream: Downstream[str, Any]) -> None:
        self._dialect = dialect
        self._downstream = downstream
        self._connect = dialect.connect
        self._ping = dialect.do_ping
        self._commit = dialect.do_commit

    def connect(self, *args: Any, **options: Any) -> Any:
        with self._call(self._admit(CONNECT), counts=False):
            return self._connect(*args, **options)

    def execute(self, execute: Callable[..., Any]) -> Callable[..., None]:
        """Return one of the dialect's methods that send a statement, guarded."""

        def guarded(cursor: Any, statement: str, *more: Any, **options: Any) -> None:
            if statement[:8].upper() == "ROLLBACK":  # to a savepoint
                execute(cursor, statement, *more, **options)
                return
            record = _record_of(more[-1] if more else options.get("context"))
            permit = self._admit(statement)
            with self._call(permit, None if record is None else _doubt(record)):
                execute(cursor, statement, *more, **options)
            if record is not None:
                record.info[_PROVEN] = True

        return guarded

    def commit(self, connection: Any) -> None:
        """Commit; never rejected, since its statements have been executed."""
        breaker = self._downstream._breaker(_COMMIT)
        permit = None
        if breaker is not None and breaker.state in {CLOSED, METRICS_ONLY}:
            with suppress(CircuitBreakerError):  # it has just opened
                permit = breaker.acquire()
        with self._call(permit, counts=False):
            self._commit(connection)

    def ping(self, connection: Any) -> bool:
        """Test a connection of the pool, unless the statement that follows will be rejected."""
        breaker = self._downstream._breaker(CONNECT)
        if breaker is not None and _is_shut(breaker):
            return True
        try:
            permit = self._admit(CONNECT)
        except CircuitBreakerError:
            return True
        with self._call(permit, _Lost(connection), counts=False):
            return bool(self._ping(connection))

    def _admit(self, statement: str) -> Permit | None:
        try:
            if self._dialect.is_async:
                permit: Permit | None = await_only(self._downstream.admit_async(statement))
                return permit
            return self._downstream.admit(statement)
        except CircuitBreakerError as error:
            raise StatementRejectedError(*error.args, request=statement) from None

    @contextmanager
    def _call(
        self, permit: Permit | None, doubt: _Lost | None = None, *, counts: bool = True
    ) -> Iterator[None]:
        """Settle a permit by the result of the block; a success `counts`, or does not.

        A connection that is found lost at its first use has been lost for some time: the outcome
        of the connect that follows counts.
        """
        try:
            yield
        except BaseException as error:
            if permit is not None:
                stale = doubt is not None and self._is_lost(error, doubt.connection)
                permit._settle(IGNORED if stale else self._outcome_of(permit, error), error)
            raise
        if permit is not None and counts:
            permit.success()
        elif permit is not None:
            permit._hand_back()

    def _outcome_of(self, permit: Permit, error: BaseException) -> Outcome:
        """Return the outcome of an error, judged as the error that SQLAlchemy makes of it.

        Unless the settings name it, only errors of the driver and the network are failures.
        """
        breaker, errors = permit.breaker, self._dialect.loaded_dbapi.Error
        if isinstance(error, errors):
            judged = exc.DBAPIError.instance(None, None, error, errors, dialect=self._dialect)
            judged.__cause__ = error
            return breaker.outcome_of(judged)
        outcome = breaker.outcome_of(error)
        ours = not isinstance(error, OSError) and not _is_of_a_driver(error)
        named = breaker.config.judgement.names(error)
        return IGNORED if outcome is FAILURE and ours and not named else outcome

    def _is_lost(self, error: BaseException, connection: Any) -> bool:
        if not isinstance(error, self._dialect.loaded_dbapi.Error):
            return False
        return bool(self._dialect.is_disconnect(error, connection, None))


def guard(engine: Engine | AsyncEngine, **settings: Any) -> Any:
    """Guard an engine that exists, and those of its `execution_options()`; return it."""
    why = "a statement has neither an answer to judge, or to stand in for, nor a Retry-After"
    useless = ["is_failure", "fallback", "honour_retry_after"]
    validation.no_effect(settings, useless, why, "Leave it out for SQLAlchemy")
    target: Any = getattr(engine, "sync_engine", engine)
    dialect = target.dialect
    name = _origin(target.url)
    downstream: Downstream[str, Any] = Downstream(
        origin=lambda _: name,
        network=(BaseException,),
        rejected=StatementRejectedError,
        **{"config": DATABASE_CONFIG, **settings},
    )
    if "do_execute" in vars(dialect):
        raise guarded_already(engine)
    guarding = _Guard(dialect, downstream)
    dialect.connect = guarding.connect
    dialect.do_ping = guarding.ping
    dialect.do_commit = guarding.commit
    for method in _EXECUTE:
        setattr(dialect, method, guarding.execute(getattr(dialect, method)))
    event.listen(target, "connect", _connected, insert=True)
    event.listen(target, "checkout", _checked_out, insert=True)
    return engine


def _connected(_: Any, record: Any) -> None:
    record.info[_FRESH] = True


def _checked_out(_: Any, record: Any, __: Any) -> None:
    """Mark a connection that comes out of the pool as unproven."""
    if not record.info.pop(_FRESH, False):
        record.info.pop(_PROVEN, None)
    else:
        record.info[_PROVEN] = True


def _record_of(context: Any) -> Any:
    """Return the pool's record of the connection that a statement is for."""
    connection = getattr(context, "root_connection", None)
    return getattr(getattr(connection, "_dbapi_connection", None), "_connection_record", None)


def _doubt(record: Any) -> _Lost | None:
    return None if record.info.keys() & _ALIVE else _Lost(record.dbapi_connection)


def _is_shut(breaker: CircuitBreaker) -> bool:
    """Return True if the next call will be rejected, without asking for it."""
    generation = breaker._generation
    if generation.state is FORCED_OPEN:
        lasts = generation.transition.lasts
        return lasts is None or not generation.has_ended(breaker.config.clock())
    return generation.state is OPEN and not generation.has_ended(breaker.config.clock())


def _is_of_a_driver(error: BaseException) -> bool:
    """Return True for an error of a driver that SQLAlchemy does not wrap, such as asyncpg's."""
    return type(error).__module__.partition(".")[0] not in {"builtins", "sqlalchemy"}


def _origin(url: Any) -> str:
    """Return the name of the breaker: an URL without the driver, the user and the password."""
    backend = url.get_backend_name()
    host = url.host or ""
    if not host:
        return f"{backend}:///{url.database or ''}"
    port = url.port or _PORTS.get(backend)
    where = f"[{host}]" if ":" in host else host
    where = f"{where}:{port}" if port else where
    return f"{backend}://{where}/{url.database or ''}"
