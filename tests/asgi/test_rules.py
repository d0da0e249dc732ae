"""The breaker of a route: by `rules`, marks at endpoints, `name`, and the default."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from breaker_asgi import (
    BreakerConfigError,
    BreakerMiddleware,
    BreakerRegistry,
    CountWindow,
    protected,
)
from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
from tests.asgi.visitor import visit


async def answer(_request: Request) -> Response:
    return PlainTextResponse("answer")


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """An application without routes to read."""
    await PlainTextResponse("answer")(scope, receive, send)


def shop() -> Starlette:
    return Starlette(
        routes=[
            Route("/payments", answer, methods=["GET", "POST"]),
            Route("/payments/{id}", answer, methods=["GET", "POST"]),
            Route("/payments/{id}/refunds/{number:int}", answer, methods=["POST"]),
            Route("/health", answer),
            Mount("/admin", routes=[Route("/users/{id}", answer)]),
            WebSocketRoute("/chat", chat),
        ]
    )


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


REQUESTS = {
    "list": ("/payments", "GET"),
    "create": ("/payments", "POST"),
    "read": ("/payments/7", "GET"),
    "head": ("/payments/7", "HEAD"),
    "pay": ("/payments/7", "POST"),
    "refund": ("/payments/7/refunds/1", "POST"),
    "health": ("/health", "GET"),
    "user": ("/admin/users/7", "GET"),
}


async def breakers_of(app: ASGIApp, registry: BreakerRegistry) -> dict[str, str | None]:
    """Return the name of the breaker that has counted each request."""
    names: dict[str, str | None] = {}
    for request, (path, method) in REQUESTS.items():
        before = {breaker.name: breaker.calls for breaker in registry}
        await visit(app, path, method)
        counted = [judge.name for judge in registry if judge.calls > before.get(judge.name, 0)]
        names[request] = ", ".join(counted) or None
    return names


OWN = {
    "list": "GET /payments",
    "create": "POST /payments",
    "read": "GET /payments/{id}",
    "head": "GET /payments/{id}",
    "pay": "POST /payments/{id}",
    "refund": "POST /payments/{id}/refunds/{number:int}",
    "health": "GET /health",
    "user": "GET /admin/users/{id}",
}


@pytest.mark.parametrize(
    ("rules", "changed"),
    [
        ({}, {}),
        ({"/health": None}, {"health": None}),
        ({"GET /health": None}, {"health": None}),
        ({"POST /health": None}, {}),
        ({"/payments": "p"}, {"list": "p", "create": "p"}),
        ({"POST /payments": "p"}, {"create": "p"}),
        ({"POST /payments/*": "p"}, {"pay": "p", "refund": "p"}),
        ({"/payments/*": "p"}, dict.fromkeys(("read", "head", "pay", "refund"), "p")),
        ({"GET /payments/*": "p"}, {"read": "p", "head": "p"}),
        ({"/payments/{id}": "p"}, {"read": "p", "head": "p", "pay": "p"}),
        ({"/payments/7": "p"}, {}),
        ({"/payments/*/refunds/*": "p"}, {"refund": "p"}),
        ({"/*/{id}": "p"}, dict.fromkeys(("read", "head", "pay", "user"), "p")),
        ({"/admin/*": "p"}, {"user": "p"}),
        ({"/users/*": "p"}, {}),
        ({"*": "p"}, dict.fromkeys(OWN, "p")),
        ({"POST *": "p"}, {"create": "p", "pay": "p", "refund": "p"}),
        ({"*": None}, dict.fromkeys(OWN)),
        ({"/payment.": "p", "/payments/[{]id}": "p", "/HEALTH": "p"}, {}),
        ({"/health": protected("h")}, {"health": "h"}),
        ({"/health": protected()}, {}),
    ],
)
async def test_a_rule_matches_by_method_and_template(
    registry: BreakerRegistry, rules: Any, changed: dict[str, str | None]
) -> None:
    app = BreakerMiddleware(shop(), registry=registry, rules=rules)
    assert await breakers_of(app, registry) == OWN | changed


async def test_the_first_rule_that_fits_decides(registry: BreakerRegistry) -> None:
    rules = {"POST /payments/*": "post", "/payments/*": "payments", "*": None, "/health": "late"}
    app = BreakerMiddleware(shop(), registry=registry, rules=rules)
    names = await breakers_of(app, registry)
    assert {name for name in names.values() if name} == {"post", "payments"}
    assert (names["pay"], names["read"], names["health"]) == ("post", "payments", None)


async def test_routes_that_name_one_breaker_share_it(registry: BreakerRegistry) -> None:
    app = BreakerMiddleware(shop(), registry=registry, rules={"/payments*": "payments"})
    await visit(app, "/payments")
    registry["payments"].force_open()
    assert (await visit(app, "/payments/7", "POST")).status == 503
    assert (await visit(app, "/health")).status == 200


async def test_a_rule_may_have_settings(registry: BreakerRegistry) -> None:
    rules = {"/health": protected("health", failure_rate=0.9, window=CountWindow(50))}
    app = BreakerMiddleware(shop(), registry=registry, rules=rules)
    await visit(app, "/health")
    config = registry["health"].config
    assert (config.failure_rate, config.window) == (0.9, CountWindow(50))
    assert config.half_open_calls == 3  # still the middleware's


async def test_a_rule_matches_the_path_of_a_websocket(registry: BreakerRegistry) -> None:
    app = BreakerMiddleware(shop(), registry=registry, rules={"/chat": "talk"}, websockets=True)
    registry.get("talk").force_open()
    reply = await visit(app, "/chat", type="websocket", method="", extensions={})
    assert reply.messages[-1]["code"] == 1013


@pytest.mark.parametrize(
    ("path", "method", "breaker"),
    [
        ("/payments/7", "POST", "payments"),
        ("/payments/7", "GET", "app"),
        ("/health", "GET", None),
        ("/else", "GET", "app"),
        ("/api/payments/7", "POST", "payments"),
    ],
)
async def test_without_readable_routes_the_rules_match_the_path(
    registry: BreakerRegistry, path: str, method: str, breaker: str | None
) -> None:
    rules = {"POST /payments/*": "payments", "/health": None}
    app = BreakerMiddleware(bare, registry=registry, rules=rules)
    for _ in range(2):
        await visit(app, path, method, root_path="/api" if path.startswith("/api") else "")
    assert {judge.name: judge.successes for judge in registry} == ({breaker: 2} if breaker else {})


async def test_without_readable_routes_a_rule_without_a_name_has_its_own_breaker(
    registry: BreakerRegistry,
) -> None:
    rules = {"POST /pay/*": protected(fail_max=2), "/files/*": protected(fallback="later")}
    for paths in (["/pay/1", "/files/1", "/"], ["/", "/files/2", "/pay/2"]):
        app = BreakerMiddleware(bare, registry=registry, rules=rules)
        for path in paths:
            assert (await visit(app, path, "POST")).status == 200
    settings = {breaker.name: breaker.config.fail_max for breaker in registry}
    assert settings == {"POST /pay/*": 2, "/files/*": None, "app": None}


async def test_without_readable_routes_the_name_function_names_the_breaker_of_a_rule(
    registry: BreakerRegistry,
) -> None:
    app = BreakerMiddleware(
        bare,
        registry=registry,
        rules={"/pay/*": protected(fail_max=2)},
        name=lambda route, _scope: f"shop {route}",
    )
    await visit(app, "/pay/1")
    assert [breaker.name for breaker in registry] == ["shop /pay/*"]


@pytest.mark.parametrize("app", [bare, shop()], ids=["bare", "shop"])
async def test_a_path_that_a_client_makes_up_creates_no_breaker(
    registry: BreakerRegistry, app: ASGIApp
) -> None:
    rules: dict[str, Any] = {"/payments/*": "payments", "/files/*": protected(), "/health": None}
    guarded = BreakerMiddleware(app, registry=registry, rules=rules)
    for number in range(50):
        for path in ("/payments/{}", "/files/{}", "/{}", "/payments/\n{}", "/payments/../{}"):
            await visit(guarded, path.format(number))
            await visit(guarded, path.format(number), f"METHOD{number}")
    assert len(registry) <= 3


WRONG_RULES: list[tuple[Any, str]] = [
    ({"payments": "p"}, r"^a pattern of rules='payments' is not allowed: .*Paths begin with /"),
    ({"": "p"}, r"^a pattern of rules=''"),
    ({"POST": "p"}, r"^a pattern of rules='POST'"),
    ({"POST payments": "p"}, r"^a pattern of rules='POST payments'"),
    ({"post /payments": "p"}, r"^a pattern of rules='post /payments' .*capital"),
    ({"* /payments": "p"}, r"^a pattern of rules='\* /payments'"),
    ({"GET,POST /payments": "p"}, r"^a pattern of rules='GET,POST /payments'"),
    ({"POST  /payments": "p"}, r"^a pattern of rules='POST  /payments'"),
    ({1: "p"}, r"^a pattern of rules=1"),
    ({("GET", "/"): "p"}, r"^a pattern of rules=\('GET', '/'\)"),
    ({"/payments": 1}, r"^rules\['/payments'\]=1 is not allowed: give a breaker's name, protected"),
    ({"/payments": True}, r"^rules\['/payments'\]=True .*None leaves the routes alone"),
    ({"/payments": {"fail_max": 3}}, r"^rules\['/payments'\]=\{'fail_max': 3\}"),
    ({"/payments": protected}, r"^rules\['/payments'\]=<class"),
    ({"/payments": ""}, r"^name=''"),
    (["/payments"], r"^rules=\['/payments'\] is not allowed"),
    ("/payments", r"^rules='/payments' is not allowed"),
    (
        {"/payments": protected(failure_rate=0.5, window=CountWindow(7))},
        r"^minimum_calls=20 is not allowed: give 7 at most",
    ),
]


@pytest.mark.parametrize(("rules", "message"), WRONG_RULES)
def test_a_wrong_rule_is_refused(rules: Any, message: str) -> None:
    with pytest.raises(BreakerConfigError, match=message):
        BreakerMiddleware(bare, rules=rules)


async def test_without_readable_routes_head_has_the_rule_of_get(
    registry: BreakerRegistry,
) -> None:
    app = BreakerMiddleware(bare, registry=registry, rules={"GET /health": None})
    await visit(app, "/health", "HEAD")
    assert len(registry) == 0
