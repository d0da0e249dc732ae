"""`install(app)`: the settings of a FastAPI application itself."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from breaker_asgi import (
    BreakerMiddleware,
    CircuitBreaker,
    CircuitBreakerError,
    Permit,
    breaker,
    default_registry,
    install,
    protected,
    unprotected,
)
from tests.asgi.conftest import Get


@pytest.fixture
def payments() -> CircuitBreaker:
    return default_registry.get("payments", timeout_duration=30)


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    install(app)
    return app


async def pay() -> str:
    return "paid"


def guard() -> Any:
    return Depends(breaker("payments"))


def documented_503s(app: FastAPI) -> dict[str, Any]:
    """Return the schema's descriptions of the 503, by operation."""
    paths = app.openapi()["paths"]
    return {
        f"{method.upper()} {path}": operation["responses"]["503"]
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "503" in operation["responses"]
    }


# The answer


async def test_a_rejection_that_leaves_a_handler_becomes_the_503(call: Get, app: FastAPI) -> None:
    bank = CircuitBreaker(name="bank", timeout_duration=30)
    bank.open()
    app.get("/pay")(bank(pay))
    response = await call(app, "/pay")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert 30 <= int(response.headers["retry-after"]) <= 36
    assert response.json()["status"] == 503
    assert "bank" not in response.text


async def test_a_rejection_by_a_dependency_becomes_the_503(
    call: Get, app: FastAPI, payments: CircuitBreaker
) -> None:
    app.get("/pay", dependencies=[guard()])(pay)
    payments.open()
    response = await call(app, "/pay")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["retry_after"] == int(response.headers["retry-after"])


async def test_a_browser_gets_a_page(call: Get, app: FastAPI, payments: CircuitBreaker) -> None:
    app.get("/pay", dependencies=[guard()])(pay)
    payments.open()
    response = await call(app, "/pay", headers={"accept": "text/html"})
    assert response.status_code == 503
    assert response.headers["content-type"].startswith("text/html")


async def test_the_applications_own_handler_answers_instead(
    call: Get, app: FastAPI, payments: CircuitBreaker
) -> None:
    @app.exception_handler(CircuitBreakerError)
    async def apologize(_request: Request, _error: CircuitBreakerError) -> Response:
        return JSONResponse({"detail": "sorry"}, 503)

    app.get("/pay", dependencies=[guard()])(pay)
    payments.open()
    assert (await call(app, "/pay")).json() == {"detail": "sorry"}


@pytest.mark.parametrize("place", ["mounted", "around"])
async def test_a_mounted_application_answers_by_its_own_503(
    call: Get, app: FastAPI, payments: CircuitBreaker, place: str
) -> None:
    whole, inner = FastAPI(), app
    if place == "around":
        install(whole)
        inner = FastAPI()
    inner.get("/pay", dependencies=[guard()])(pay)
    whole.mount("/shop", inner)
    payments.open()
    response = await call(whole, "/shop/pay")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"


# The schema


def test_the_schema_describes_the_503_at_guarded_routes_only(app: FastAPI) -> None:
    app.get("/health")(pay)
    app.get("/pay", dependencies=[guard()])(pay)
    assert [*documented_503s(app)] == ["GET /pay"]


def test_the_schema_describes_the_headers_and_the_body_of_the_503(app: FastAPI) -> None:
    app.get("/pay", dependencies=[guard()])(pay)
    response = documented_503s(app)["GET /pay"]
    assert response["description"] == "Temporarily unavailable."
    assert response["headers"]["Retry-After"]["schema"] == {"type": "integer"}
    properties = response["content"]["application/problem+json"]["schema"]["properties"]
    assert [*properties] == ["type", "title", "detail", "status", "retry_after"]


def test_the_schema_includes_a_guard_on_a_parameter(app: FastAPI) -> None:
    async def refund(permit: Annotated[Permit, guard()]) -> str:
        return "refunded"

    app.post("/refund")(refund)
    assert [*documented_503s(app)] == ["POST /refund"]


def test_the_schema_includes_a_guard_on_a_router(app: FastAPI) -> None:
    router = APIRouter(dependencies=[guard()])
    router.get("/pay")(pay)
    app.include_router(router, prefix="/shop")
    assert [*documented_503s(app)] == ["GET /shop/pay"]


def test_the_schema_includes_a_guard_on_an_included_router(app: FastAPI) -> None:
    inner, outer = APIRouter(), APIRouter()
    inner.get("/pay")(pay)
    outer.include_router(inner, prefix="/eu", dependencies=[guard()])
    outer.include_router(inner, prefix="/us")
    app.include_router(outer, prefix="/shop")
    assert [*documented_503s(app)] == ["GET /shop/eu/pay"]


def test_the_schema_includes_a_guard_on_the_application() -> None:
    app = FastAPI(dependencies=[guard()])
    install(app)
    app.get("/pay")(pay)
    app.post("/refund")(pay)
    assert [*documented_503s(app)] == ["GET /pay", "POST /refund"]


def test_the_schema_includes_a_guard_in_a_nested_dependency(app: FastAPI) -> None:
    def session(permit: Annotated[Permit, guard()]) -> str:
        return "session"

    def customer(session: Annotated[str, Depends(session)]) -> str:
        return "customer"

    app.get("/pay", dependencies=[Depends(customer)])(pay)
    assert [*documented_503s(app)] == ["GET /pay"]


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_the_schema_describes_the_503_of_each_method(app: FastAPI) -> None:
    app.api_route("/pay", methods=["GET", "POST"], dependencies=[guard()])(pay)
    assert sorted(documented_503s(app)) == ["GET /pay", "POST /pay"]


def test_with_the_middleware_the_schema_includes_all_but_unprotected_routes(app: FastAPI) -> None:
    async def health() -> str:
        return "ok"

    app.add_middleware(BreakerMiddleware)
    app.get("/pay")(pay)
    app.get("/health")(unprotected(health))
    assert [*documented_503s(app)] == ["GET /pay"]


def test_a_route_that_is_not_in_the_schema_stays_out(app: FastAPI) -> None:
    app.get("/pay", dependencies=[guard()], include_in_schema=False)(pay)
    assert app.openapi()["paths"] == {}


def test_a_routes_own_description_of_the_503_stays(app: FastAPI) -> None:
    responses: dict[int | str, dict[str, Any]] = {503: {"description": "The bank is closed."}}
    app.get("/pay", dependencies=[guard()], responses=responses)(pay)
    assert documented_503s(app)["GET /pay"] == {"description": "The bank is closed."}


def test_a_customized_schema_stays_customized(monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastAPI()
    before = app.openapi

    def openapi() -> dict[str, Any]:
        return before() | {"x-shop": "yes"}

    monkeypatch.setattr(app, "openapi", openapi)
    install(app)
    app.get("/pay", dependencies=[guard()])(pay)
    assert app.openapi()["x-shop"] == "yes"
    assert [*documented_503s(app)] == ["GET /pay"]


def test_the_schema_is_the_same_at_a_second_call(app: FastAPI) -> None:
    app.get("/pay", dependencies=[guard()])(pay)
    assert app.openapi() == app.openapi()


async def test_a_second_install_has_no_effect(
    call: Get, app: FastAPI, payments: CircuitBreaker
) -> None:
    install(app)
    app.get("/pay", dependencies=[guard()])(pay)
    assert [*documented_503s(app)] == ["GET /pay"]
    payments.open()
    assert (await call(app, "/pay")).status_code == 503
    assert payments.rejected == 1


async def test_the_schema_is_served(call: Get, app: FastAPI) -> None:
    app.get("/pay", dependencies=[guard()])(pay)
    schema = (await call(app, "/openapi.json")).json()
    assert "503" in schema["paths"]["/pay"]["get"]["responses"]


def test_the_schema_includes_marked_routes_for_a_middleware_around_the_application(
    app: FastAPI,
) -> None:
    async def refund() -> str:
        return "refunded"

    app.get("/pay")(pay)
    app.get("/refund")(protected("refunds")(refund))
    assert [*documented_503s(app)] == ["GET /refund"]


# Unchanged behaviour


async def test_the_other_settings_of_a_route_keep_working(
    call: Get, app: FastAPI, payments: CircuitBreaker
) -> None:
    async def order() -> dict[str, int]:
        return {"amount": 5, "secret": 7}

    app.post(
        "/orders",
        status_code=201,
        response_model=dict[str, int],
        response_class=JSONResponse,
        dependencies=[guard()],
    )(order)
    response = await call(app, "/orders", "POST")
    assert (response.status_code, response.json()) == (201, {"amount": 5, "secret": 7})
    assert payments.successes == 1
    assert [*app.openapi()["paths"]["/orders"]["post"]["responses"]] == ["201", "503"]
