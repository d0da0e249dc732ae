"""FastAPI's `Depends(...)` as the function that authorizes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Security
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from breaker_asgi import (
    BreakerConfigError,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreakerMonitor,
)
from tests.asgi.visitor import Fields, Reply, visit

ADMIN = ("x-user", "admin")
calls: list[str] = []


def current_user(x_user: Annotated[str, Header()]) -> str:
    return x_user


async def current_admin(
    request: Request, user: Annotated[str, Depends(current_user)]
) -> AsyncIterator[str]:
    calls.append(f"{request.method} {request.url.path}")
    if user != "admin":
        raise HTTPException(418, "no teapot", {"X-Remedy": "tea"})
    yield user
    calls.append("left")


def app_of(registry: BreakerRegistry, depends: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(
        BreakerMiddleware, registry=registry, authorize=depends, authorize_control=depends
    )
    return app


async def ask(app: Any, path: str = "", fields: Fields = (), method: str = "GET") -> Reply:
    return await visit(app, f"/breakers{path}", method, fields)


@pytest.fixture
def app(registry: BreakerRegistry) -> FastAPI:
    registry.get("bank")
    calls.clear()
    return app_of(registry, Depends(current_admin))


@pytest.mark.parametrize("path", ["", "/", "/bank", "/events"])
async def test_a_request_that_the_dependency_allows_is_allowed(app: FastAPI, path: str) -> None:
    assert (await ask(app, path, [ADMIN])).status == 200
    assert calls[:2] == [f"GET /breakers{path}", "left"]


async def test_its_exception_is_the_response(app: FastAPI) -> None:
    reply = await ask(app, "", [("x-user", "ann")])
    assert (reply.status, reply.headers["x-remedy"]) == (418, "tea")
    assert reply.headers["content-type"] == "application/problem+json"


async def test_a_request_that_it_cannot_read_is_denied(app: FastAPI) -> None:
    assert (await ask(app)).status == 403


async def test_its_result_is_the_operators_name(app: FastAPI) -> None:
    assert (await ask(app, "/bank/open", [("x-user", "ann")], "POST")).status == 418
    assert (await ask(app, "/bank/open", [ADMIN], "POST")).status == 200
    (event,) = (await ask(app, "/events", [ADMIN])).json["events"]
    assert event["who"] == "admin"


async def test_overrides_of_the_application_hold(app: FastAPI) -> None:
    app.dependency_overrides = {current_admin: lambda: "a test"}
    assert (await ask(app)).status == 200
    app.dependency_overrides.clear()
    assert (await ask(app)).status == 403


async def test_the_dependency_sees_the_application_that_the_request_came_to(
    registry: BreakerRegistry,
) -> None:
    def by_state(request: Request) -> bool:
        return bool(request.app.state.is_open)

    app = app_of(registry, Depends(by_state))
    for is_open, status in ((True, 200), (False, 403)):
        app.state.is_open = is_open
        assert (await ask(app)).status == status


async def test_a_mounted_monitor_takes_it(registry: BreakerRegistry) -> None:
    app = FastAPI()
    monitor = CircuitBreakerMonitor(registry=registry, authorize=Depends(current_admin))
    app.mount("/breakers", monitor)
    assert (await ask(app, "/", [ADMIN])).status == 200
    app.dependency_overrides[current_admin] = lambda: False
    assert (await ask(app, "/", [ADMIN])).status == 403


async def test_a_security_scheme_asks_for_its_credentials(registry: BreakerRegistry) -> None:
    def login(sent: Annotated[HTTPBasicCredentials, Security(HTTPBasic())]) -> str:
        return sent.username

    app = app_of(registry, Security(login))
    reply = await ask(app)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Basic")
    assert (await ask(app, "", [("authorization", "Basic YW5uOng=")])).status == 200


async def test_a_dependency_that_fails_denies_and_is_logged_once(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> bool:
        raise RuntimeError("no database")

    app = app_of(registry, Depends(broken))
    for _ in range(2):
        assert (await ask(app)).status == 403
    assert [record.getMessage() for record in caplog.records].count(
        f"{broken.__qualname__} failed in the monitor; not logged again"
    ) == 1


async def test_none_denies_and_the_log_has_the_remedy(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    def only_raises() -> None: ...

    app = app_of(registry, Depends(only_raises))
    with caplog.at_level(logging.WARNING, "breaker_asgi"):
        assert (await ask(app)).status == 403
    assert "Have it return the user, or True" in caplog.text


@pytest.mark.parametrize("setting", ["authorize", "authorize_control"])
def test_a_depends_on_nothing_is_refused(setting: str) -> None:
    settings: dict[str, Any] = {setting: Depends()}
    with pytest.raises(BreakerConfigError, match=rf"Write {setting}=Depends\(current_admin\)"):
        CircuitBreakerMonitor(**settings)
