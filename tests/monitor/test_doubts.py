"""The hint about failures that a profile would not count."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import redis
from redis import exceptions as errors

from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from tests.asgi.visitor import visit

DATA_ERROR: Any = type(
    "DBAPIError", (Exception,), {"__module__": "sqlalchemy.exc", "connection_invalidated": False}
)
"""A stand-in for the error of SQLAlchemy, which profiles recognize by its name."""


def out_of_range() -> Exception:
    error: Exception = DATA_ERROR("value out of range")
    wrapped: Any = Exception()
    wrapped.sqlstate = "22003"
    error.orig = wrapped  # type: ignore[attr-defined]
    return error


def fail(registry: BreakerRegistry, error: Exception, times: int, **settings: Any) -> None:
    breaker = registry.get("bank", fail_max=500, **settings)
    for _ in range(times):
        breaker.acquire().failure(error)


async def hint(monitor: CircuitBreakerMonitor) -> dict[str, str] | None:
    hints = (await visit(monitor, "/bank")).json["hints"]
    return next((hint for hint in hints if hint["setting"] == "profile"), None)


async def test_failures_that_are_answers_of_a_database_are_hinted_at(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    fail(registry, out_of_range(), 8)
    assert await hint(full) is None
    fail(registry, ConnectionRefusedError(), 2)
    assert await hint(full) == {
        "setting": "profile",
        "hint": "8 of 10 failures are sqlalchemy.exc.DBAPIError (SQLSTATE 22003), which the "
        "profile postgres knows to be an answer.",
        "remedy": 'Set profile="postgres".',
        "workers": 1,
    }


async def test_failures_that_are_the_callers_own_are_hinted_at(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    fail(registry, httpx.PoolTimeout(""), 10)
    profile_hint = await hint(full)
    assert profile_hint is not None
    assert profile_hint["hint"].endswith("which the profile http knows to be the caller's own.")


async def test_several_kinds_of_such_failures_are_one_hint(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    fail(registry, errors.WatchError(), 6)
    fail(registry, errors.LockError(), 4)
    profile_hint = await hint(full)
    assert profile_hint is not None
    assert profile_hint["hint"] == (
        "10 of 10 failures are none by the profile redis, most often redis.exceptions.WatchError, "
        "which it knows to be an answer."
    )


@pytest.mark.parametrize("error", [redis.ConnectionError(), httpx.ConnectError(""), OSError()])
async def test_failures_of_the_dependency_are_not_hinted_at(
    error: Exception, full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    fail(registry, error, 10)
    assert await hint(full) is None


async def test_fewer_than_half_of_the_failures_are_not_hinted_at(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    fail(registry, errors.WatchError(), 4)
    fail(registry, OSError(), 6)
    assert await hint(full) is None


@pytest.mark.parametrize("settings", [{"profile": "redis"}, {"failures": [errors.WatchError]}])
async def test_a_breaker_that_has_a_profile_or_names_its_failures_gets_no_hint(
    settings: dict[str, Any], full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    fail(registry, errors.WatchError(), 10, **settings)
    assert await hint(full) is None


async def test_answers_by_a_profile_are_not_hinted_at_as_excluded(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    breaker = registry.get("bank", profile="redis")
    for _ in range(10):
        with pytest.raises(errors.WatchError), breaker:
            raise errors.WatchError
    assert breaker.excluded == 10
    assert (await visit(full, "/bank")).json["hints"] == []


async def test_the_page_names_the_profile_of_a_breaker(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("bank", profile="redis")
    assert (await visit(full, "/bank")).json["settings"]["profile"] == "redis"
