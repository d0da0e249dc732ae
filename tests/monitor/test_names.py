"""Names of breakers: each breaker is listed, and each name has an address."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from breaker_asgi.monitor.html.wording import address_of
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML


def path_of(name: str, *action: str) -> str:
    """Return the path of a breaker, as a server gives it to the application."""
    return unquote(address_of("", name, *action))


OWN = ["-/stream", "-/events", "-/static/page.js", "-/log", "-/traffic"]
FORMER = ["stream", "events", "static/page.js"]
PATHS = [*OWN, *FORMER, "~", "~stream", "~-/stream", "-", "-x"]


@pytest.mark.parametrize("name", [*PATHS, "payments"])
async def test_a_breaker_of_any_name_has_details(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, name: str
) -> None:
    registry.get(name)
    assert (await visit(full, path_of(name))).json["name"] == name
    page = await visit(full, path_of(name), "GET", [HTML])
    assert page.status == 200
    assert (await visit(full, path_of(name, "events"))).json["events"] == []


@pytest.mark.parametrize("name", PATHS)
async def test_a_breaker_of_any_name_can_be_controlled(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, name: str
) -> None:
    breaker = registry.get(name)
    await visit(full, path_of(name, "open"), "POST")
    assert breaker.state == "open"


async def test_the_monitors_own_paths_stay(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("-/events")
    assert "events" in (await visit(full, "/-/events")).json


@pytest.mark.parametrize("path", ["/-/events", "/events", "/-/static/page.js", "/static/page.js"])
async def test_the_monitors_own_paths_have_their_former_names_too(
    full: CircuitBreakerMonitor, path: str
) -> None:
    assert (await visit(full, path)).status == 200


async def test_a_breaker_hides_a_former_path_of_its_name(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("events")
    assert (await visit(full, "/events")).json["name"] == "events"
    assert (await visit(full, "/~events")).json["name"] == "events"


async def test_a_breaker_that_begins_like_an_own_path_needs_its_tilde(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    breaker = registry.get("-/bank")
    assert (await visit(full, "/-/bank")).status == 404
    assert (await visit(full, "/-/bank/open", "POST")).status == 404
    assert breaker.state == "closed"


@pytest.fixture
def twins(registry: BreakerRegistry) -> tuple[CircuitBreaker, CircuitBreaker]:
    """Two breakers of one name, the newer one first."""
    older, newer = (CircuitBreaker.from_config(BreakerConfig(), "bank") for _ in range(2))
    registry._register_weakly(older)
    registry._register_weakly(newer)
    return newer, older


async def test_all_breakers_of_a_name_are_listed(
    full: CircuitBreakerMonitor, twins: tuple[CircuitBreaker, CircuitBreaker]
) -> None:
    twins[1].open()
    listed = (await visit(full)).json["breakers"]
    assert [(breaker["name"], breaker["state"]) for breaker in listed] == [
        ("bank", "closed"),
        ("bank (2)", "open"),
    ]
    assert (await visit(full, "/bank (2)")).json["state"] == "open"


@pytest.mark.parametrize("path", ["/bank/force-open", "/bank (2)/force-open"])
async def test_a_control_reaches_all_breakers_of_a_name(
    full: CircuitBreakerMonitor, twins: tuple[CircuitBreaker, CircuitBreaker], path: str
) -> None:
    assert (await visit(full, path, "POST")).status == 200
    assert {breaker.state for breaker in twins} == {"forced_open"}


async def hinted(monitor: CircuitBreakerMonitor) -> set[str]:
    hints = (await visit(monitor, "/bank")).json["hints"]
    return {hint["setting"] for hint in hints}


def fail(registry: BreakerRegistry, error: Exception, times: int) -> None:
    breaker = registry.get("bank", fail_max=500)
    for _ in range(times):
        breaker.acquire().failure(error)


async def test_failures_that_look_like_the_callers_own_are_hinted_at(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    fail(registry, ValueError(), 9)
    assert "failures" not in await hinted(full)
    fail(registry, ValueError(), 1)
    assert "failures" in await hinted(full)


@pytest.mark.parametrize(
    "error",
    [
        KeyError(),
        PermissionError(),
        RecursionError(),
        UnicodeEncodeError("ascii", "", 0, 0, ""),
        ZeroDivisionError(),
        type("ValidationError", (Exception,), {})(),
        type("RequestValidationError", (Exception,), {})(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_each_type_of_a_callers_own_error_is_hinted_at(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, error: Exception
) -> None:
    fail(registry, error, 10)
    assert "failures" in await hinted(full)


async def test_failures_of_a_dependency_are_not_hinted_at(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    fail(registry, ConnectionError(), 10)
    fail(registry, ValueError(), 10)
    assert "failures" not in await hinted(full)
