"""Repeated requests: the second one to a path is routed as the first one was."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route

from breaker_asgi import BreakerMiddleware, BreakerRegistry
from breaker_asgi.middleware.recent_paths import LONGEST, MOST
from tests.asgi.visitor import visit


async def answer(request: Request) -> Response:
    return PlainTextResponse(request.url.path)


async def other_answer(request: Request) -> Response:
    return PlainTextResponse(request.url.path)


def calls(registry: BreakerRegistry) -> dict[str, int]:
    return {breaker.name: breaker.calls for breaker in registry}


def guarded(registry: BreakerRegistry, app: Starlette) -> BreakerMiddleware:
    return BreakerMiddleware(app, registry=registry)


async def test_each_method_of_a_path_keeps_its_breaker(registry: BreakerRegistry) -> None:
    routes = [Route("/it", answer, methods=["GET"]), Route("/it", answer, methods=["POST"])]
    app = guarded(registry, Starlette(routes=routes))
    for _ in range(3):
        for method in ("GET", "POST"):
            assert (await visit(app, "/it", method)).status == 200
    assert calls(registry) == {"GET /it": 3, "POST /it": 3}


async def test_a_path_below_another_root_is_another_route(registry: BreakerRegistry) -> None:
    app = guarded(registry, Starlette(routes=[Route("/eu/it", answer), Route("/it", answer)]))
    for _ in range(3):
        for root in ("", "/eu"):
            assert (await visit(app, "/eu/it", root_path=root)).status == 200
    assert calls(registry) == {"GET /eu/it": 3, "GET /it": 3}


async def test_a_path_of_another_host_is_another_route(registry: BreakerRegistry) -> None:
    eu = Starlette(routes=[Route("/it", answer)])
    app = guarded(registry, Starlette(routes=[Host("eu.shop", eu), Route("/it", answer)]))
    for _ in range(3):
        for host in (b"eu.shop", b"shop"):
            assert (await visit(app, "/it", headers=[(b"host", host)])).status == 200
    assert calls(registry) == {"GET eu.shop/it": 3, "GET /it": 3}


async def test_a_path_without_a_route_touches_no_breaker(registry: BreakerRegistry) -> None:
    app = guarded(registry, Starlette(routes=[Route("/it", answer)]))
    for _ in range(3):
        assert (await visit(app, "/no")).status == 404
        assert (await visit(app, "/it", "POST")).status == 405
    assert calls(registry) == {}


async def test_a_breaker_that_opens_rejects_the_next_request(registry: BreakerRegistry) -> None:
    app = guarded(registry, Starlette(routes=[Route("/it", answer)]))
    statuses = [(await visit(app, "/it")).status for _ in range(3)]
    registry["GET /it"].open()
    statuses.append((await visit(app, "/it")).status)
    registry["GET /it"].close()
    statuses.append((await visit(app, "/it")).status)
    assert statuses == [200, 200, 200, 503, 200]


async def test_the_monitor_stays_at_its_path(registry: BreakerRegistry) -> None:
    app = guarded(registry, Starlette(routes=[Route("/{any:path}", answer)]))
    for _ in range(3):
        assert "breakers" in (await visit(app, "/breakers")).json
        assert (await visit(app, "/breaker")).text == "/breaker"
    assert calls(registry) == {"GET /{any:path}": 3}


@pytest.mark.parametrize("inner", [False, True])
async def test_a_route_that_takes_a_path_over_is_learnt(
    registry: BreakerRegistry, *, inner: bool
) -> None:
    shop = Starlette(routes=[Route("/{id}", answer)])
    app = guarded(registry, Starlette(routes=[Mount("/shop", shop)]) if inner else shop)
    path, prefix = ("/shop/it", "/shop") if inner else ("/it", "")
    for _ in range(3):
        await visit(app, path)
    shop.router.routes.insert(0, Route("/it", other_answer))
    for _ in range(3):
        await visit(app, path)
    assert calls(registry) == {f"GET {prefix}/{{id}}": 4, f"GET {prefix}/it": 2}


async def test_a_flood_of_paths_fills_no_memory(registry: BreakerRegistry) -> None:
    app = guarded(registry, Starlette(routes=[Route("/{id}", answer)]))
    for number in range(MOST + 10):
        assert (await visit(app, f"/{number}")).status == 200
    assert calls(registry) == {"GET /{id}": MOST + 10}
    assert 0 < len(app._recent) <= MOST


async def test_a_long_path_is_not_remembered(registry: BreakerRegistry) -> None:
    app = guarded(registry, Starlette(routes=[Route("/{id}", answer)]))
    for length in (LONGEST, LONGEST + 1):
        for _ in range(3):
            assert (await visit(app, "/".ljust(length, "x"))).status == 200
    assert calls(registry) == {"GET /{id}": 6}
    assert [path for _, path, _ in app._recent] == ["/".ljust(LONGEST, "x")]
