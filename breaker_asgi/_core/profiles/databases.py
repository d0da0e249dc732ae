"""Profiles of databases, by their drivers."""

from __future__ import annotations

from typing import Any

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.profiles.profile import Profile, named
from breaker_asgi._core.rejections import causes

# PostgreSQL

_ANSWERED = frozenset(
    {
        *("02", "03", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23"),
        *("24", "25", "26", "27", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40"),
        *("42", "44", "54", "55", "72", "P0"),
    }
)
"""Classes of SQLSTATEs by which the database has answered (PostgreSQL, appendix A).

No data, data exceptions, violated constraints, states of transactions and cursors, deadlocks,
syntax and access rules, locks, limits of a statement, and what a function raises. The others are
its failures: connections (08), a login that it refuses (28), resources (53), an operator, a
statement that took too long and a database that starts or stops (57), the system (58), its settings
(F0), foreign servers (HV), and faults of its own (XX).
"""
_READ_ONLY = "25006"
"""The error of a replica, after a failover."""
_LENGTH = 5
_OF_STATEMENTS = frozenset({"DataError", "IntegrityError", "NotSupportedError", "ProgrammingError"})
"""Errors of PEP 249 that a driver without SQLSTATEs raises for statements."""


def outcome_of_sqlstate(sqlstate: str) -> Outcome:
    """Return the outcome of a statement that ended with an SQLSTATE."""
    answered = sqlstate[:2] in _ANSWERED and sqlstate != _READ_ONLY
    return SUCCESS if answered else FAILURE


def _sqlstate(error: object) -> str | None:
    for name in ("sqlstate", "pgcode"):
        sqlstate = getattr(error, name, None)
        if isinstance(sqlstate, str) and len(sqlstate) == _LENGTH:
            return sqlstate
    return None


def sqlstate_of(exception: Any) -> str | None:
    """Return the SQLSTATE of an error, or of the driver's error that SQLAlchemy has wrapped."""
    errors = (exception, *causes(getattr(exception, "orig", None)))
    return next(filter(None, map(_sqlstate, errors)), None)


def by_sqlstate(exception: BaseException) -> Outcome:
    """Return the outcome by the SQLSTATE of an error; one without is of the connection."""
    sqlstate = _sqlstate(exception)
    return FAILURE if sqlstate is None else outcome_of_sqlstate(sqlstate)


def _of_use(exception: BaseException) -> Outcome:
    """Return the outcome by the SQLSTATE; without one the driver has refused to send it."""
    sqlstate = _sqlstate(exception)
    return IGNORED if sqlstate is None else outcome_of_sqlstate(sqlstate)


def _of_asyncpg_interface(exception: BaseException) -> Outcome:
    """Return ignored where two tasks have used one connection; else it was lost."""
    return IGNORED if "another operation" in str(exception) else FAILURE


def _of_sqlalchemy(exception: Any) -> Outcome:
    """Return the outcome of the driver's error that SQLAlchemy has wrapped."""
    sqlstate = sqlstate_of(exception)
    if sqlstate is not None:
        return outcome_of_sqlstate(sqlstate)
    if exception.connection_invalidated:
        return FAILURE
    outcomes = map(postgres.judge, causes(exception.orig))
    outcome = next((outcome for outcome in outcomes if outcome is not None), None)
    if outcome is not None:
        return outcome
    return SUCCESS if type(exception).__name__ in _OF_STATEMENTS else FAILURE


postgres = Profile(
    "postgres",
    {
        **named("asyncpg", by_sqlstate, "PostgresError"),
        **named("asyncpg", _of_asyncpg_interface, "InterfaceError"),
        # What the driver refuses to send: a number out of range is such a DataError.
        **named("asyncpg.exceptions._base", IGNORED, "DataError ClientConfigurationError"),
        **named("asyncpg", IGNORED, "UnsupportedClientFeatureError UnsupportedServerFeatureError"),
        **named("asyncpg", FAILURE, "InternalClientError"),
        **named("psycopg psycopg2", _of_use, "DataError ProgrammingError NotSupportedError"),
        **named("psycopg psycopg2", by_sqlstate, "Error"),
        **named("psycopg", IGNORED, "PipelineAborted"),
        # A pool may be empty because the server is gone: there is no other error.
        **named("psycopg_pool", FAILURE, "PoolTimeout TooManyRequests"),
        **named("sqlalchemy", _of_sqlalchemy, "DBAPIError"),
        **named("sqlalchemy", SUCCESS, "NoResultFound MultipleResultsFound"),
        **named("sqlalchemy", SUCCESS, "StaleDataError ObjectDeletedError"),
        **named("sqlalchemy", IGNORED, "TimeoutError ArgumentError CompileError StatementError"),
        **named("sqlalchemy", IGNORED, "InvalidRequestError CircularDependencyError"),
        **named("sqlalchemy", IGNORED, "FlushError UnmappedError"),
        **named("sqlalchemy", FAILURE, "DisconnectionError"),
    },
)
"""PostgreSQL, by asyncpg, psycopg, and SQLAlchemy over either of them."""


# Redis

_SICK = ("BUSY ", "MISCONF ", "NOREPLICAS ", "MASTERDOWN ", "OOM ")
"""Beginnings of a server's errors when it can't do its work; redis-py has no classes for them."""


def _of_redis_answer(exception: BaseException) -> Outcome:
    return FAILURE if str(exception).startswith(_SICK) else SUCCESS


def _of_redis_connection(exception: BaseException) -> Outcome:
    """Return ignored for an empty pool of connections, which has no class of its own."""
    return IGNORED if str(exception).startswith("No connection available") else FAILURE


redis = Profile(
    "redis",
    {
        **named("redis", FAILURE, "OutOfMemoryError MasterDownError ClusterDownError"),
        **named("redis", FAILURE, "ReadOnlyError TryAgainError NoPermissionError"),
        **named("redis", _of_redis_answer, "ResponseError"),
        **named("redis", SUCCESS, "WatchError LockError DataError"),
        **named("redis", IGNORED, "MaxConnectionsError PubSubError InvalidPipelineStack"),
        **named("redis", FAILURE, "AuthenticationError BusyLoadingError"),
        **named("redis", _of_redis_connection, "ConnectionError"),
        **named("redis", FAILURE, "TimeoutError RedisClusterException RedisError"),
    },
)
"""Redis and Valkey, by redis-py."""


# MongoDB

_MONGO_FAILED = frozenset({91, 189, 262, 10107, 11600, 11602, 13435, 13436})
"""Codes of a server that shuts down, is no primary any more, or ran out of time.

Those of mongo/base/error_codes.yml.
"""
_RETRYABLE = ("RetryableWriteError", "SystemOverloadedError")


def _of_mongo(exception: Any) -> Outcome:
    retryable = any(exception.has_error_label(label) for label in _RETRYABLE)
    return FAILURE if retryable or exception.code in _MONGO_FAILED else SUCCESS


mongodb = Profile(
    "mongodb",
    {
        **named("pymongo", FAILURE, "ExecutionTimeout WTimeoutError NotPrimaryError"),
        **named("pymongo", _of_mongo, "OperationFailure"),
        **named("pymongo", SUCCESS, "CollectionInvalid DocumentTooLarge"),
        **named("pymongo", SUCCESS, "InvalidOperation InvalidName"),
        **named("gridfs", SUCCESS, "NoFile FileExists"),
        **named("pymongo", IGNORED, "WaitQueueTimeoutError ConfigurationError"),
        **named("bson", IGNORED, "BSONError"),
        **named("pymongo", FAILURE, "PyMongoError"),
    },
)
"""MongoDB, by pymongo and motor."""
