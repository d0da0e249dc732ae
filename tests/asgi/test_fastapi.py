"""`Depends(breaker("payments"))`: one route, by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.responses import StreamingResponse

from breaker_asgi import (
    BreakerConfigError,
    BreakerMiddleware,
    BreakerSnapshot,
    CircuitBreaker,
    CountWindow,
    Outage,
    Permit,
    RegistryHealth,
    TimeWindow,
    breaker,
    default_registry,
)
from tests.asgi.conftest import Get


@pytest.fixture
def payments() -> CircuitBreaker:
    """Two failures in a row open it."""
    return default_registry.get("payments", fail_max=2, timeout_duration=30)


@pytest.fixture
def app(payments: CircuitBreaker) -> FastAPI:
    del payments
    app = FastAPI()

    @app.get("/pay", dependencies=[Depends(breaker("payments"))])
    async def pay(status: int = 200, *, raises: bool = False) -> Response:
        if raises:
            raise RuntimeError("secret")
        if status >= 1000:
            raise HTTPException(status - 1000)
        return Response("paid", status)

    return app


def outcomes(breaker: CircuitBreaker) -> dict[str, int]:
    counts = {
        "success": breaker.successes,
        "failure": breaker.failures,
        "ignored": breaker.ignored,
        "rejected": breaker.rejected,
    }
    return {outcome: count for outcome, count in counts.items() if count}


@pytest.mark.parametrize(
    ("query", "alone", "with_middleware"),
    [
        ("", "success", "success"),
        ("?status=404", "success", "success"),
        ("?status=503", "success", "failure"),  # a returned status is seen by the middleware only
        ("?status=1404", "success", "success"),
        ("?status=1500", "failure", "failure"),
        ("?raises=true", "failure", "failure"),
        ("?status=nonsense", "ignored", "ignored"),
    ],
)
async def test_each_kind_of_response_has_its_outcome(
    call: Get,
    app: FastAPI,
    payments: CircuitBreaker,
    query: str,
    alone: str,
    with_middleware: str,
) -> None:
    await call(app, f"/pay{query}")
    assert outcomes(payments) == {alone: 1}
    payments.successes = payments.failures = payments.ignored = 0
    app.middleware_stack = None
    app.add_middleware(BreakerMiddleware)
    await call(app, f"/pay{query}")
    assert outcomes(payments) == {with_middleware: 1}


async def test_an_open_breaker_gives_a_503_with_retry_after(
    call: Get, app: FastAPI, payments: CircuitBreaker
) -> None:
    payments.open()
    response = await call(app, "/pay")
    assert response.status_code == 503
    assert 29 <= int(response.headers["retry-after"]) <= 36
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert outcomes(payments) == {"rejected": 1}


async def test_a_rejection_by_the_dependency_is_no_failure_of_the_route(
    call: Get, app: FastAPI, payments: CircuitBreaker
) -> None:
    app.add_middleware(BreakerMiddleware)
    payments.open()
    assert (await call(app, "/pay")).status_code == 503
    assert outcomes(default_registry["GET /pay"]) == {"ignored": 1}


async def test_a_handler_may_settle_the_permit(call: Get, payments: CircuitBreaker) -> None:
    app = FastAPI()

    @app.get("/pay")
    async def pay(permit: Annotated[Permit, Depends(breaker("payments"))]) -> str:
        assert permit.breaker is payments
        permit.failure()
        return "an apology"

    assert (await call(app, "/pay")).status_code == 200
    assert outcomes(payments) == {"failure": 1}


@pytest.mark.parametrize("in_a_thread", [False, True])
async def test_a_call_of_the_same_breaker_inside_the_route_is_part_of_its_probe(
    call: Get, payments: CircuitBreaker, *, in_a_thread: bool
) -> None:
    app = FastAPI()

    @payments
    def charge() -> str:
        return "charged"

    async def pay() -> str:
        return charge()

    endpoint = charge if in_a_thread else pay
    app.get("/pay", dependencies=[Depends(breaker("payments"))])(endpoint)
    payments.half_open()
    assert (await call(app, "/pay")).json() == "charged"
    assert payments.state == "closed"


async def test_a_plain_handler_in_a_worker_thread_is_guarded_too(
    call: Get, payments: CircuitBreaker
) -> None:
    app = FastAPI()

    @app.get("/pay", dependencies=[Depends(breaker("payments"))])
    def pay() -> str:
        raise RuntimeError

    for _ in range(2):
        assert (await call(app, "/pay")).status_code == 500
    assert (await call(app, "/pay")).status_code == 503


async def test_the_failure_of_another_dependency_is_no_failure_of_this_one(
    call: Get, payments: CircuitBreaker
) -> None:
    def refuse() -> None:
        raise HTTPException(401)

    app = FastAPI()

    @app.get("/pay", dependencies=[Depends(breaker("payments")), Depends(refuse)])
    async def pay() -> str:
        return "paid"

    assert (await call(app, "/pay")).status_code == 401
    assert "failure" not in outcomes(payments)


async def test_a_stream_is_judged_by_its_first_chunk_with_the_middleware(
    call: Get, payments: CircuitBreaker
) -> None:
    def broken() -> Iterator[bytes]:
        raise RuntimeError
        yield b""

    app = FastAPI()
    app.add_middleware(BreakerMiddleware)

    @app.get("/pay", dependencies=[Depends(breaker("payments"))])
    async def pay() -> StreamingResponse:
        return StreamingResponse(broken())

    await call(app, "/pay")
    assert outcomes(payments) == {"failure": 1}


async def test_a_dependency_named_twice_counts_once(call: Get, payments: CircuitBreaker) -> None:
    app = FastAPI(dependencies=[Depends(breaker("payments"))])

    @app.get("/pay", dependencies=[Depends(breaker("payments"))])
    async def pay() -> str:
        return "paid"

    await call(app, "/pay")
    assert outcomes(payments) == {"success": 1}


async def test_a_test_can_override_the_dependency(
    call: Get, app: FastAPI, payments: CircuitBreaker
) -> None:
    payments.open()
    app.dependency_overrides[breaker("payments")] = lambda: None
    assert (await call(app, "/pay")).status_code == 200


def test_the_same_name_gives_the_same_dependency() -> None:
    assert breaker("payments", fail_max=3) is breaker("payments")


def test_other_settings_for_the_same_name_are_refused() -> None:
    breaker("payments", fail_max=3)
    with pytest.raises(BreakerConfigError, match="exists with fail_max=3"):
        breaker("payments", fail_max=4)


@pytest.mark.parametrize(
    "model", [BreakerSnapshot, Outage, RegistryHealth, CountWindow, TimeWindow]
)
def test_a_public_dataclass_is_a_response_model(model: type) -> None:
    app = FastAPI()
    app.get("/breaker", response_model=model)(lambda: None)
    assert model.__name__ in app.openapi()["components"]["schemas"]
