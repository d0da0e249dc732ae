"""The judgement of responses by settings, and the middleware's place in an application."""

from __future__ import annotations

import gc
import weakref
from typing import Any, Literal

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreakerState,
)
from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
from tests.asgi.visitor import Reply, visit


async def answer(request: Request) -> Response:
    return PlainTextResponse("answer", int(request.query_params.get("status", 200)))


def shop(path: str = "/orders") -> Starlette:
    return Starlette(routes=[Route(path, answer)])


def counts(registry: BreakerRegistry, name: str = "GET /orders") -> tuple[int, int]:
    breaker = registry[name]
    return breaker.successes, breaker.failures


@pytest.mark.parametrize(
    ("status", "counted"),
    [(200, (1, 0)), (429, (0, 1)), (500, (1, 0))],
)
async def test_is_failure_overrides_the_judgement_of_a_status(
    registry: BreakerRegistry, status: int, counted: tuple[int, int]
) -> None:
    def too_many(status: int, scope: Scope) -> bool:
        assert scope["path"] == "/orders"
        return status == 429

    app = BreakerMiddleware(shop(), registry=registry, is_failure=too_many)
    assert (await visit(app, f"/orders?status={status}")).status == status
    assert counts(registry) == counted


@pytest.mark.parametrize(("status", "counted"), [(200, (2, 0)), (503, (0, 2))])
async def test_an_is_failure_that_raises_is_logged_once_and_the_status_decides(
    registry: BreakerRegistry,
    caplog: pytest.LogCaptureFixture,
    status: int,
    counted: tuple[int, int],
) -> None:
    def broken(_status: int, _scope: Scope) -> bool:
        raise LookupError

    app = BreakerMiddleware(shop(), registry=registry, is_failure=broken)
    for _ in range(2):
        assert (await visit(app, f"/orders?status={status}")).status == status
    assert counts(registry) == counted
    (record,) = caplog.records
    assert "is_failure" in record.getMessage()


async def breaks_late(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError


@pytest.mark.parametrize(("settle", "counted"), [("start", (1, 0)), ("end", (0, 1))])
async def test_a_body_that_breaks_is_a_failure_if_settled_by_the_end(
    registry: BreakerRegistry, settle: Literal["start", "end"], counted: tuple[int, int]
) -> None:
    app = BreakerMiddleware(breaks_late, registry=registry, settle=settle)
    with pytest.raises(RuntimeError):
        await visit(app)
    assert counts(registry, "app") == counted


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"settle": "middle"}, "settle='middle' is not allowed: give 'start' or 'end'"),
        ({"settle": None}, "settle=None"),
        ({"is_failure": 500}, "is_failure=500 is not allowed: give a function"),
        ({"name": "payments"}, "name='payments' is not allowed: give a function"),
        ({"fallback": 503}, "fallback=503 is not allowed"),
        (
            {"config": {"fail_max": 3}},
            "config={'fail_max': 3} is not allowed",
        ),
        ({"registry": {}}, "registry={} is not allowed: give a BreakerRegistry"),
        ({"monitor_path": 5}, "monitor_path=5 is not allowed: give a path, or None"),
        ({"monitor_path": "breakers"}, "monitor_path='breakers' is not allowed"),
        ({"websockets": "yes"}, "websockets='yes' is not allowed: give True or False"),
        ({"show_names": 1}, "show_names=1 is not allowed: give True or False"),
        ({"rules": {"health": None}}, "a pattern of rules='health' is not allowed"),
    ],
)
def test_a_wrong_setting_is_refused(settings: Any, message: str) -> None:
    with pytest.raises(BreakerConfigError) as refusal:
        BreakerMiddleware(shop(), **settings)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize("path", ["/breakers", "/breakers/"])
async def test_the_monitor_comes_before_a_route_of_the_same_path(
    registry: BreakerRegistry, path: str
) -> None:
    app = BreakerMiddleware(shop(path), registry=registry)
    assert (await visit(app, path)).json["breakers"] == []
    assert len(registry) == 0


@pytest.mark.parametrize("path", ["/breakers", "/breakers/"])
async def test_without_the_monitor_its_path_is_an_ordinary_route(
    registry: BreakerRegistry, path: str
) -> None:
    app = BreakerMiddleware(shop(path), registry=registry, monitor_path=None)
    assert (await visit(app, path)).text == "answer"
    assert registry[f"GET {path}"].successes == 1


@pytest.mark.parametrize(
    "path", ["/my/breakers", "/my/breakers/mine", "/circuit-breakers", "/breakers-2", "/BREAKERS"]
)
async def test_the_monitor_takes_no_similar_path(registry: BreakerRegistry, path: str) -> None:
    app = BreakerMiddleware(shop(path), registry=registry)
    assert (await visit(app, path)).text == "answer"


async def test_the_monitor_answers_below_a_root_path(registry: BreakerRegistry) -> None:
    app = BreakerMiddleware(shop(), registry=registry)
    reply = await visit(app, "/api/breakers", root_path="/api")
    assert reply.json["breakers"] == []


async def test_the_monitor_answers_while_all_routes_are_open(registry: BreakerRegistry) -> None:
    app = BreakerMiddleware(shop(), registry=registry, rules={"*": "all"})
    registry.get("all").force_open()
    assert (await visit(app, "/breakers")).status == 200
    assert (await visit(app, "/orders")).status == 503


async def test_two_middlewares_with_two_registries_count_separately() -> None:
    inner, outer = BreakerRegistry(), BreakerRegistry()
    app = BreakerMiddleware(BreakerMiddleware(shop(), registry=inner), registry=outer)
    await visit(app, "/orders")
    await visit(app, "/orders?status=500")
    assert counts(inner) == counts(outer) == (1, 1)


async def test_a_probe_through_two_middlewares_closes_their_shared_breaker(
    registry: BreakerRegistry, config: BreakerConfig
) -> None:
    once = BreakerMiddleware(shop(), registry=registry, config=config)
    app = BreakerMiddleware(once, registry=registry, config=config)
    await visit(app, "/orders")
    breaker = registry["GET /orders"]
    breaker.half_open()
    assert (await visit(app, "/orders")).status == 200
    assert breaker.state is CircuitBreakerState.CLOSED
    breaker.force_open()
    assert (await visit(app, "/orders")).status == 503


def mounted(inner: BreakerRegistry, outer: BreakerRegistry) -> Starlette:
    guarded = Starlette(
        routes=[Route("/orders", answer)],
        middleware=[Middleware(BreakerMiddleware, registry=inner)],
    )
    return Starlette(
        routes=[Mount("/shop", guarded)],
        middleware=[Middleware(BreakerMiddleware, registry=outer)],
    )


async def test_a_middleware_in_a_mounted_application_finds_its_routes() -> None:
    inner, outer = BreakerRegistry(), BreakerRegistry()
    await visit(mounted(inner, outer), "/shop/orders")
    assert [breaker.name for breaker in inner] == ["GET /shop/orders"]
    assert [breaker.name for breaker in outer] == ["GET /shop/orders"]


async def test_the_outer_breaker_ignores_the_503_of_a_mounted_application() -> None:
    inner, outer = BreakerRegistry(), BreakerRegistry()
    app = mounted(inner, outer)
    await visit(app, "/shop/orders")
    inner["GET /shop/orders"].force_open()
    assert (await visit(app, "/shop/orders")).status == 503
    breaker = outer["GET /shop/orders"]
    assert (breaker.successes, breaker.failures, breaker.ignored) == (1, 0, 1)


async def test_the_routes_of_a_mounted_fastapi_are_named_with_their_prefix(
    registry: BreakerRegistry,
) -> None:
    api = FastAPI()

    @api.get("/users/{name}")
    def user(name: str) -> str:
        return name

    app = BreakerMiddleware(Starlette(routes=[Mount("/api", api)]), registry=registry)
    await visit(app, "/api/users/alice")
    assert counts(registry, "GET /api/users/{name}") == (1, 0)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("POST", "/orders"), ("GET", "/orders/"), ("GET", "/shop")],
)
async def test_a_rule_does_not_guard_requests_without_a_route(
    registry: BreakerRegistry, method: str, path: str
) -> None:
    app = BreakerMiddleware(shop(), registry=registry, rules={"*": "all"})
    await visit(app, "/orders")
    registry["all"].force_open()
    assert (await visit(app, path, method)).status in {307, 404, 405}


@pytest.mark.parametrize("state", ["closed", "half_open", "forced_open"])
@pytest.mark.parametrize("app", [shop(), breaks_late], ids=["answers", "breaks"])
async def test_the_middleware_leaves_no_key_in_the_scope(
    registry: BreakerRegistry, app: ASGIApp, state: str
) -> None:
    guarded = BreakerMiddleware(app, registry=registry, name=lambda *_: "all")
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/orders", "query_string": b"", "headers": []
    }  # fmt: skip
    breaker = registry.get("all")
    {"closed": breaker.close, "half_open": breaker.half_open, "forced_open": breaker.force_open}[
        state
    ]()
    try:
        await guarded(scope, NotImplemented, Reply().receive)
    except RuntimeError:
        assert app is breaks_late
    assert not [key for key in scope if "breaker" in key]


async def test_the_middleware_holds_no_finished_request(registry: BreakerRegistry) -> None:
    class Tracked(dict[str, Any]):
        pass

    app = BreakerMiddleware(shop(), registry=registry)
    scope = Tracked(type="http", method="GET", path="/orders", query_string=b"", headers=[])
    await app(scope, NotImplemented, Reply().receive)
    gone = weakref.ref(scope)
    del scope
    gc.collect()
    assert gone() is None
