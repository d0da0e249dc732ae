"""Profiles of databases, by their drivers."""

from __future__ import annotations

from typing import Any

from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.profiles.profile import Profile
from breaker_asgi.rejections import causes

# PostgreSQL

_ANSWERED = frozenset(
    {
        *("02", "0A", "20", "21", "22", "23", "24", "25", "26", "27", "2B", "2D", "2F"),
        *("34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "P0"),
    }
)
"""Classes of SQLSTATEs by which the database has answered (PostgreSQL, appendix A).

No data, data exceptions, violated constraints, states of transactions, deadlocks, syntax and access
rules, and what a function raises. The others are its failures: connections (08), resources (53),
an operator, a statement that took too long and a database that starts or stops (57), the system
(58), faults of its own (XX), and a login that it refuses (28).
"""
_BUT = {
    "25006": FAILURE,  # read only: a replica, after a failover
    "55P03": SUCCESS,  # a lock that was not to be waited for
}


_OF_STATEMENTS = frozenset({"DataError", "IntegrityError", "ProgrammingError"})


def outcome_of_sqlstate(sqlstate: str) -> Outcome:
    """Return the outcome of a statement that ended with an SQLSTATE."""
    by_class = SUCCESS if sqlstate[:2] in _ANSWERED else FAILURE
    return _BUT.get(sqlstate, by_class)


def _by_sqlstate(exception: Any) -> Outcome | None:
    """Judge by the SQLSTATE of an error, or of the driver's error that it was made of."""
    for error in causes(exception):
        for owner in (error, getattr(error, "orig", None)):
            for name in ("sqlstate", "pgcode"):
                sqlstate = getattr(owner, name, None)
                if isinstance(sqlstate, str):
                    return outcome_of_sqlstate(sqlstate)
    return None


def _of_database(exception: Any) -> Outcome:
    """Judge an error of PEP 249 by its SQLSTATE; one without is of the driver, by its class."""
    outcome = _by_sqlstate(exception)
    if outcome is not None:
        return outcome
    answered = not getattr(exception, "connection_invalidated", False) and any(
        kind.__name__ in _OF_STATEMENTS for kind in type(exception).__mro__
    )
    return SUCCESS if answered else FAILURE


postgres = Profile(
    "postgres",
    {
        "asyncpg:PostgresError": _by_sqlstate,
        "asyncpg:InterfaceError": FAILURE,  # the connection is closed
        "psycopg:Error": _of_database,
        "psycopg2:Error": _of_database,
        "psycopg_pool:PoolTimeout": FAILURE,  # of a dead server nothing else is to be seen
        "psycopg_pool:TooManyRequests": IGNORED,
        "psycopg_pool:PoolClosed": IGNORED,
        "sqlalchemy:DBAPIError": _of_database,
        "sqlalchemy:NoResultFound": SUCCESS,
        "sqlalchemy:MultipleResultsFound": SUCCESS,
        "sqlalchemy:StaleDataError": SUCCESS,
        "sqlalchemy:TimeoutError": IGNORED,  # the pool of the caller's own
        "sqlalchemy:DisconnectionError": FAILURE,
        "sqlalchemy:SQLAlchemyError": IGNORED,
    },
)
"""PostgreSQL, by asyncpg, psycopg, and SQLAlchemy over either of them."""


# Redis

_NO_CONNECTION = "No connection available"


def _of_redis_connection(exception: Any) -> Outcome:
    """Tell an empty pool of connections, which has no class of its own, from a broken one."""
    return IGNORED if str(exception).startswith(_NO_CONNECTION) else FAILURE


redis = Profile(
    "redis",
    {
        "redis:BusyLoadingError": FAILURE,
        "redis:ClusterDownError": FAILURE,
        "redis:MasterDownError": FAILURE,
        "redis:NoPermissionError": FAILURE,
        "redis:OutOfMemoryError": FAILURE,
        "redis:ReadOnlyError": FAILURE,  # after a failover
        "redis:TryAgainError": FAILURE,
        "redis:ResponseError": SUCCESS,
        "redis:WatchError": SUCCESS,
        "redis:LockError": SUCCESS,
        "redis:DataError": SUCCESS,
        "redis:MaxConnectionsError": IGNORED,
        "redis:AuthenticationError": FAILURE,
        "redis:ConnectionError": _of_redis_connection,
        "redis:TimeoutError": FAILURE,
    },
)
"""Redis and Valkey, by redis-py."""


# MongoDB

_MONGO_FAILED = frozenset({91, 189, 262, 10107, 11600, 11602, 13435, 13436})
"""Codes of a server that shuts down, is no primary any more, or ran out of time.

As the server selection and retryable writes specifications of MongoDB's drivers have them.
"""


def _of_mongo(exception: Any) -> Outcome:
    code = getattr(exception, "code", None)
    labelled = getattr(exception, "has_error_label", None)
    retryable = callable(labelled) and labelled("RetryableWriteError")
    return FAILURE if code in _MONGO_FAILED or retryable else SUCCESS


mongodb = Profile(
    "mongodb",
    {
        "pymongo:WaitQueueTimeoutError": IGNORED,
        "pymongo:ConfigurationError": IGNORED,
        "pymongo:ExecutionTimeout": FAILURE,
        "pymongo:NotPrimaryError": FAILURE,
        "pymongo:OperationFailure": _of_mongo,
        "pymongo:DocumentTooLarge": SUCCESS,
        "pymongo:InvalidOperation": SUCCESS,
        "pymongo:InvalidName": SUCCESS,
        "pymongo:PyMongoError": FAILURE,
    },
)
"""MongoDB, by pymongo and motor."""
