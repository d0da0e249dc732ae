"""`GET /breakers`: all breakers, as JSON."""

from __future__ import annotations

from datetime import datetime

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from breaker_asgi import (
    BreakerConfig,
    BreakerMiddleware,
    BreakerRegistry,
    BreakerSnapshot,
    CircuitBreakerMonitor,
)
from tests.asgi.conftest import Get


async def test_it_lists_the_breakers_by_name(call: Get, registry: BreakerRegistry) -> None:
    for name in ("stock", "payments"):
        registry.get(name)
    listed = (await call(CircuitBreakerMonitor(registry=registry), "/")).json()
    assert [each["name"] for each in listed["breakers"]] == ["payments", "stock"]


async def test_each_has_the_fields_of_its_snapshot(
    call: Get, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    payments = registry.get("payments", defaults=config)
    payments.open()
    (shown,) = (await call(CircuitBreakerMonitor(registry=registry), "/")).json()["breakers"]
    assert set(shown) == set(BreakerSnapshot.__slots__)
    assert shown["state"] == "open"
    assert shown["reason"] == "opened by hand"
    assert shown["retry_after"] == 10
    assert datetime.fromisoformat(shown["changed_at"]).tzinfo is not None


async def test_it_tells_no_exception_texts(call: Get, registry: BreakerRegistry) -> None:
    payments = registry.get("payments", keep_messages=True)
    payments.acquire().failure(RuntimeError("secret"))
    response = await call(CircuitBreakerMonitor(registry=registry), "/")
    assert response.json()["breakers"][0]["last_failure_type"] == "RuntimeError"
    assert "secret" not in response.text


async def test_what_it_says_is_never_cached(call: Get, registry: BreakerRegistry) -> None:
    response = await call(CircuitBreakerMonitor(registry=registry), "/")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"


async def test_head_gets_the_headers_alone(call: Get, registry: BreakerRegistry) -> None:
    response = await call(CircuitBreakerMonitor(registry=registry), "/", "HEAD")
    assert response.status_code == 200
    assert response.content == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_it_can_only_be_read(call: Get, registry: BreakerRegistry, method: str) -> None:
    response = await call(CircuitBreakerMonitor(registry=registry), "/", method)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


async def test_it_can_be_mounted(call: Get, registry: BreakerRegistry) -> None:
    monitor = CircuitBreakerMonitor(registry=registry)
    response = await call(
        Starlette(routes=[Mount("/health/breakers", monitor)]), "/health/breakers/"
    )
    assert response.json() == {"breakers": []}


@pytest.mark.parametrize("path", ["/breakers", "/breakers/"])
async def test_the_middleware_serves_it(call: Get, registry: BreakerRegistry, path: str) -> None:
    registry.get("payments")
    app = BreakerMiddleware(Starlette(), registry=registry)
    (shown,) = (await call(app, path)).json()["breakers"]
    assert shown["name"] == "payments"


async def test_the_middleware_serves_it_elsewhere_or_not_at_all(
    call: Get, registry: BreakerRegistry
) -> None:
    elsewhere = BreakerMiddleware(Starlette(), registry=registry, monitor_path="/_breakers")
    assert (await call(elsewhere, "/_breakers")).status_code == 200
    assert (await call(elsewhere, "/breakers")).status_code == 404
    nowhere = BreakerMiddleware(Starlette(), registry=registry, monitor_path=None)
    assert (await call(nowhere, "/breakers")).status_code == 404
