"""The monitor as `BreakerMiddleware` serves it."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from breaker_asgi import BreakerConfigError, BreakerMiddleware, BreakerRegistry
from breaker_asgi.monitor.history import History
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML, allow, deny


@pytest.fixture
def shop() -> Starlette:
    return Starlette(
        routes=[
            Route("/{path:path}", lambda request: PlainTextResponse(request.scope["path"])),
        ]
    )


@pytest.mark.parametrize("path", ["/breakers", "/breakers/"])
async def test_the_middleware_serves_the_list(
    shop: Starlette, registry: BreakerRegistry, path: str
) -> None:
    registry.get("payments")
    (breaker,) = (await visit(BreakerMiddleware(shop, registry=registry), path)).json["breakers"]
    assert breaker["name"] == "payments"


@pytest.mark.parametrize("monitor_path", ["/breakers", "/breakers/"])
async def test_the_middleware_serves_all_paths_below_its_own(
    shop: Starlette, registry: BreakerRegistry, monitor_path: str
) -> None:
    registry.get("GET /breakers/x")
    app = BreakerMiddleware(shop, registry=registry, monitor_path=monitor_path)
    reply = await visit(app, path="/breakers/GET /breakers/x")
    assert reply.json["name"] == "GET /breakers/x"
    assert (await visit(app, "/breakers/events")).json["events"] == []
    assert (await visit(app, "/breakers/nobody")).status == 404


@pytest.mark.parametrize("path", ["/breakersx", "/a/breakers", "/breaker", "/x/breakers/y"])
async def test_other_paths_are_the_applications(
    shop: Starlette, registry: BreakerRegistry, path: str
) -> None:
    assert (await visit(BreakerMiddleware(shop, registry=registry), path)).text == path


async def test_the_monitor_path_can_be_changed_or_disabled(
    shop: Starlette, registry: BreakerRegistry
) -> None:
    elsewhere = BreakerMiddleware(shop, registry=registry, monitor_path="/_/breakers")
    assert "breakers" in (await visit(elsewhere, "/_/breakers")).json
    assert (await visit(elsewhere, "/breakers")).text == "/breakers"
    nowhere = BreakerMiddleware(shop, registry=registry, monitor_path=None)
    for path in ("/breakers", "/\0"):
        assert (await visit(nowhere, path)).text == path


@pytest.mark.parametrize("path", ["/api/breakers/payments/open", "/breakers/payments/open"])
async def test_a_redirect_keeps_the_prefix(
    shop: Starlette, registry: BreakerRegistry, path: str
) -> None:
    registry.get("payments")
    app = BreakerMiddleware(shop, registry=registry, authorize_control=allow)
    reply = await visit(app, path, "POST", [HTML], root_path="/api")
    assert (reply.status, reply.headers["location"]) == (
        303,
        f"/api/breakers/?by={os.getpid()}",
    )


async def test_the_middleware_serves_the_list_in_a_mounted_application(
    registry: BreakerRegistry,
) -> None:
    registry.get("payments")
    inner = Starlette(middleware=[Middleware(BreakerMiddleware, registry=registry)])
    app = Starlette(routes=[Mount("/inner", inner)])
    assert (await visit(app, "/inner/breakers/payments")).json["name"] == "payments"


async def test_the_middleware_applies_both_authorize_functions(
    shop: Starlette, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    app = BreakerMiddleware(
        shop, registry=registry, authorize=deny, authorize_control=lambda _request: "ann"
    )
    assert (await visit(app, "/breakers")).status == 403
    assert (await visit(app, "/breakers/payments/disable", "POST")).status == 200
    assert payments.state == "disabled"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"monitor_path": "/"}, "monitor_path='/' is not allowed: give a path, or None"),
        ({"monitor_path": "//"}, "monitor_path='//' is not allowed"),
        ({"authorize": 1}, "authorize=1 is not allowed: give a function"),
        ({"authorize_control": "x"}, "authorize_control='x' is not allowed"),
        ({"monitor_path": None, "authorize": allow}, "authorize=<function allow"),
        ({"monitor_path": None, "authorize_control": allow}, "authorize_control=<function"),
    ],
)
def test_a_wrong_setting_is_refused(shop: Starlette, settings: Any, message: str) -> None:
    with pytest.raises(BreakerConfigError) as refusal:
        BreakerMiddleware(shop, **settings)
    assert str(refusal.value).startswith(message)


async def test_a_request_to_the_monitor_counts_for_no_breaker(
    shop: Starlette, registry: BreakerRegistry
) -> None:
    await visit(BreakerMiddleware(shop, registry=registry), "/breakers")
    assert list(registry) == []


async def test_a_lifespan_and_a_new_route_start_the_history(shop: Starlette) -> None:
    for scope in ({"type": "lifespan"}, {}):
        registry = BreakerRegistry()
        app = BreakerMiddleware(shop, registry=registry)
        assert History.of(registry)._loop is None
        if scope:
            messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

            async def receive(messages: Any = messages) -> Any:
                return next(messages)

            async def send(_message: Any) -> None: ...

            await app(scope, receive, send)
        else:
            await visit(app, "/orders")
        assert History.of(registry)._loop is asyncio.get_running_loop()
