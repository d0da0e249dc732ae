"""Several applications in one process, and middleware at single routes: each has its breakers."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from breaker_asgi import BreakerConfig, BreakerMiddleware, BreakerRegistry, default_registry
from tests.asgi.conftest import Get


def shop(*, title: str = "FastAPI", fails: bool = False, **settings: Any) -> FastAPI:
    app = FastAPI(title=title)

    @app.get("/items")
    async def items() -> str:
        if fails:
            raise RuntimeError
        return "one"

    app.add_middleware(BreakerMiddleware, **settings)
    return app


def names(registry: BreakerRegistry = default_registry) -> set[str | None]:
    return {breaker.name for breaker in registry}


async def test_the_failures_of_one_application_do_not_shut_another(call: Get) -> None:
    admin, front = shop(fails=True), shop()
    for _ in range(20):
        await call(admin, "/items")
    assert (await call(admin, "/items")).status_code == 503
    assert (await call(front, "/items")).status_code == 200
    assert names() == {"GET /items", "GET /items #2"}


async def test_the_title_distinguishes_the_second_application(call: Get) -> None:
    apps = shop(title="Front"), shop(title="Admin")
    for app in apps:
        await call(app, "/items")
    assert names() == {"GET /items", "GET /items (Admin)"}


async def test_each_application_has_its_own_config(call: Get) -> None:
    apps = shop(), shop(config=BreakerConfig(fail_max=7))
    for app in apps:
        await call(app, "/items")
    assert default_registry["GET /items #2"].fail_max == 7


async def test_two_middlewares_of_one_application_share_the_breaker_of_a_route(call: Get) -> None:
    app = shop()
    app.add_middleware(BreakerMiddleware)
    await call(app, "/items")
    assert names() == {"GET /items"}


async def test_a_mounted_application_has_its_own_breaker_under_the_whole_template(
    call: Get,
) -> None:
    sub, outer = shop(fails=True), shop()
    outer.mount("/sub/{tenant}", sub)
    for tenant in range(20):
        await call(outer, f"/sub/{tenant}/items")
    assert (await call(outer, "/items")).status_code == 200
    whole = "GET /sub/{tenant}/items"
    assert names() == {whole, f"{whole} #2", "GET /items"}


async def test_a_mounted_application_is_named_by_its_template_below_one_without_middleware(
    call: Get,
) -> None:
    outer = Starlette(routes=[Mount("/sub/{tenant}", shop())])
    await call(outer, "/sub/acme/items")
    assert names() == {"GET /sub/{tenant}/items"}


async def test_applications_share_the_breaker_that_their_rules_name(call: Get) -> None:
    apps = shop(rules={"/items": "catalogue"}), shop(rules={"/items": "catalogue"})
    for app in apps:
        await call(app, "/items")
    assert default_registry["catalogue"].successes == 2


async def test_a_deleted_application_removes_its_breakers_from_the_registry() -> None:
    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(_: Any) -> None:
        pass

    async def use(fail_max: int) -> int | None:
        app = shop(config=BreakerConfig(fail_max=fail_max))
        scope = {"type": "http", "method": "GET", "path": "/items", "headers": []}
        await app({**scope, "query_string": b""}, receive, send)
        return default_registry["GET /items"].fail_max

    assert [await use(3), await use(4)] == [3, 4]
    gc.collect()
    assert "GET /items" not in default_registry


async def test_a_route_takes_an_existing_breaker_of_its_name(call: Get) -> None:
    mine = default_registry.get("GET /items", fail_max=2)
    await call(shop(), "/items")
    assert mine.successes == 1


@pytest.mark.parametrize("path", ["/{thing}", "/v1/{thing}"])
async def test_a_middleware_at_a_single_route_has_the_breaker_of_that_route(
    call: Get, path: str
) -> None:
    async def fine(request: Request) -> Response:
        return PlainTextResponse("route" if "route" in request.scope else "older Starlette")

    async def broken(_: Request) -> Response:
        return PlainTextResponse("broken", 500)

    guarded = [Middleware(BreakerMiddleware)]
    routes = [
        Route("/fine/{thing}", fine, middleware=guarded),
        Route("/broken/{thing}", broken, middleware=guarded),
    ]
    app = Starlette(routes=[Mount("/v1", routes=routes)] if "v1" in path else routes)
    prefix = "/v1" if "v1" in path else ""
    for thing in range(20):
        await call(app, f"{prefix}/broken/{thing}")
    assert (await call(app, f"{prefix}/broken/1")).status_code == 503
    answer = await call(app, f"{prefix}/fine/1")
    assert answer.status_code == 200
    expected = {f"GET {prefix}/broken/{{thing}}", f"GET {prefix}/fine/{{thing}}"}
    assert names() == (expected if answer.text == "route" else {"app", "app #2"})
