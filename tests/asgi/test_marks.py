"""`@protected` and `@unprotected` at an endpoint, and `name` for all others."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from breaker_asgi import (
    BreakerConfigError,
    BreakerMiddleware,
    BreakerRegistry,
    protected,
    unprotected,
)
from breaker_asgi.asgi.types import Scope
from tests.asgi.visitor import visit


async def answer(_request: Request) -> Response:
    return PlainTextResponse("answer")


def names(registry: BreakerRegistry) -> list[str]:
    return [breaker.name for breaker in registry]


@protected("payments", failure_rate=0.3)
async def pay_async(_request: Request) -> Response:
    return PlainTextResponse("paid")


@protected("payments", failure_rate=0.3)
def pay(_request: Request) -> Response:
    return PlainTextResponse("paid")


@protected("payments", failure_rate=0.3)
class Pay(HTTPEndpoint):
    async def get(self, _request: Request) -> Response:
        return PlainTextResponse("paid")


class Bank:
    @protected("payments", failure_rate=0.3)
    async def pay(self, _request: Request) -> Response:
        return PlainTextResponse("paid")


@functools.wraps(pay)
def wrapped(request: Request) -> Response:
    return pay(request)


ENDPOINTS = [pay_async, pay, Pay, Bank().pay, wrapped]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=["async", "sync", "class", "method", "wraps"])
async def test_a_mark_names_the_breaker_of_an_endpoint_and_its_settings(
    registry: BreakerRegistry, endpoint: Any
) -> None:
    app = BreakerMiddleware(Starlette(routes=[Route("/pay", endpoint)]), registry=registry)
    assert (await visit(app, "/pay")).text == "paid"
    assert names(registry) == ["payments"]
    assert registry["payments"].config.failure_rate == 0.3
    assert registry["payments"].successes == 1


def pay_amount(amount: int) -> int:
    return amount


async def pay_amount_async(amount: int) -> int:
    return amount


@pytest.mark.parametrize("endpoint", [pay_amount, pay_amount_async])
@pytest.mark.parametrize("first", ["mark", "route"])
async def test_a_fastapi_route_may_be_marked_before_or_after_it_is_made(
    registry: BreakerRegistry, endpoint: Callable[[int], Any], first: str
) -> None:
    endpoint = functools.wraps(endpoint)(functools.partial(endpoint))
    app, router = FastAPI(), APIRouter(prefix="/shop")
    steps: list[Callable[[Any], Any]] = [protected("payments"), router.get("/pay/{amount}")]
    for step in steps if first == "mark" else reversed(steps):
        endpoint = step(endpoint)
    app.include_router(router)
    app.add_middleware(BreakerMiddleware, registry=registry)
    assert (await visit(app, "/shop/pay/5")).text == "5"
    assert names(registry) == ["payments"]


@pytest.mark.parametrize(
    "mark", [protected("payments", failure_rate=0.3), protected(), unprotected]
)
def test_a_mark_changes_neither_the_signature_nor_the_result(mark: Any) -> None:
    async def pay(amount: int, *, tip: float = 0) -> str:
        """Pays."""
        return f"{amount} {tip}"

    before = inspect.signature(pay)
    assert mark(pay) is pay
    assert inspect.signature(pay) == before
    assert inspect.iscoroutinefunction(pay)
    assert pay.__doc__ == "Pays."


async def test_a_direct_call_of_a_marked_function_is_not_guarded() -> None:
    @protected("payments")
    async def pay() -> str:
        return "paid"

    assert await pay() == "paid"


@pytest.mark.parametrize("mark", [protected(), protected(fail_max=9), unprotected])
async def test_a_mark_without_a_name_keeps_the_routes_name(
    registry: BreakerRegistry, mark: Any
) -> None:
    endpoint = mark(functools.partial(answer))
    app = BreakerMiddleware(Starlette(routes=[Route("/pay", endpoint)]), registry=registry)
    await visit(app, "/pay")
    assert names(registry) == ([] if mark is unprotected else ["GET /pay"])


async def test_an_unprotected_route_has_no_breaker(registry: BreakerRegistry) -> None:
    @unprotected
    async def health(request: Request) -> Response:
        assert "breaker_asgi" in request.scope
        return PlainTextResponse("down", 500)

    app = BreakerMiddleware(Starlette(routes=[Route("/health", health)]), registry=registry)
    for _ in range(50):
        assert (await visit(app, "/health")).status == 500
    assert len(registry) == 0


async def test_marked_routes_of_one_name_share_a_breaker(registry: BreakerRegistry) -> None:
    pay, refund = (protected("bank")(functools.partial(answer)) for _ in range(2))
    shop = Starlette(routes=[Route("/pay", pay), Mount("/sub", routes=[Route("/refund", refund)])])
    app = BreakerMiddleware(shop, registry=registry)
    await visit(app, "/pay")
    registry["bank"].force_open()
    assert (await visit(app, "/sub/refund")).status == 503


async def test_the_mark_of_a_class_is_inherited_and_can_be_taken_back(
    registry: BreakerRegistry,
) -> None:
    class PayLater(Pay):
        pass

    @unprotected
    class PayNever(Pay):
        pass

    shop = Starlette(routes=[Route("/later", PayLater), Route("/never", PayNever)])
    app = BreakerMiddleware(shop, registry=registry)
    await visit(app, "/never")
    assert names(registry) == []
    await visit(app, "/later")
    assert names(registry) == ["payments"]


def test_the_upper_of_two_marks_counts() -> None:
    endpoint = unprotected(protected("payments")(functools.partial(answer)))
    assert endpoint.__breaker_asgi__ is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((1,), {}, "^name=1 is not allowed"),
        ((answer,), {}, r'Write @protected\("payments"\)'),
        (("",), {}, "^name='' is not allowed"),
        (("payments",), {"failure_rate": 30}, "For 30 % write 0.3"),
        (("payments",), {"fallback": 503}, "^fallback=503"),
        (("payments",), {"exclude": [Exception]}, "exclude"),
    ],
)
def test_a_wrong_mark_is_refused(
    arguments: tuple[Any, ...], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BreakerConfigError, match=message):
        protected(*arguments, **settings)


def test_an_unknown_setting_of_a_mark_is_refused() -> None:
    with pytest.raises(TypeError, match="failure_rat"):
        protected("payments", failure_rat=0.3)


@pytest.mark.parametrize("mark", [protected("payments"), unprotected])
def test_a_mark_on_anything_but_an_endpoint_is_refused(mark: Any) -> None:
    for endpoint in (len, object(), "pay"):
        with pytest.raises((TypeError, BreakerConfigError), match="mark"):
            mark(endpoint)


def by_tenant(route: str, scope: Scope) -> str | None:
    tenant: str = scope["query_string"].decode()
    return f"{tenant}: {route}" if tenant else None


@pytest.mark.parametrize(
    ("path", "breaker"),
    [
        ("/marked?acme", "of the mark"),
        ("/both?acme", "of the mark"),
        ("/ruled?acme", "of the rule"),
        ("/plain?acme", "acme: GET /plain"),
        ("/unnamed?acme", "acme: GET /unnamed"),
        ("/plain", None),
        ("/unnamed", None),
        ("/none?acme", None),
        ("/out?acme", None),
        ("/nothing?acme", None),
    ],
)
async def test_a_mark_precedes_a_rule_and_a_rule_precedes_the_name(
    registry: BreakerRegistry, path: str, breaker: str | None
) -> None:
    marked = protected("of the mark")(functools.partial(answer))
    shop = Starlette(
        routes=[
            Route("/marked", marked),
            Route("/both", marked),
            Route("/ruled", answer),
            Route("/plain", answer),
            Route("/unnamed", protected(fail_max=9)(functools.partial(answer))),
            Route("/none", answer),
            Route("/out", unprotected(functools.partial(answer))),
        ]
    )
    rules = {"/both": "of the rule", "/ruled": "of the rule", "/out": "of the rule", "/none": None}
    app = BreakerMiddleware(shop, registry=registry, rules=rules, name=by_tenant)
    await visit(app, path)
    assert names(registry) == ([breaker] if breaker else [])


async def test_the_name_function_is_called_for_each_request(registry: BreakerRegistry) -> None:
    app = BreakerMiddleware(
        Starlette(routes=[Route("/", answer)]), registry=registry, name=by_tenant
    )
    for tenant in ("acme", "else", "acme"):
        await visit(app, f"/?{tenant}")
    assert {breaker.name: breaker.calls for breaker in registry} == {
        "acme: GET /": 2,
        "else: GET /": 1,
    }


async def test_the_registry_bounds_the_names_that_clients_make_up() -> None:
    registry = BreakerRegistry(limit=20)
    app = BreakerMiddleware(
        Starlette(routes=[Route("/", answer)]), registry=registry, name=by_tenant
    )
    for number in range(100):
        await visit(app, f"/?{number}")
    assert len(registry) <= 20


def raises(_route: str, _scope: Scope) -> str:
    raise RuntimeError("no name today")


@pytest.mark.parametrize("name", [raises, lambda _route, _scope: 5, lambda _route, _scope: ["a"]])
async def test_a_failing_name_function_is_logged_once_and_the_route_keeps_its_name(
    registry: BreakerRegistry, name: Any, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Starlette(routes=[Route("/list", answer)])
    app = BreakerMiddleware(shop, registry=registry, name=name)
    for _ in range(2):
        assert (await visit(app, "/list")).status == 200
    assert names(registry) == ["GET /list"]
    assert [
        record.message.endswith("failed in name; not logged again") for record in caplog.records
    ] == [True]
