"""The examples of `docs/monitor.md` work as described there."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from breaker_asgi import BreakerConfigError, CircuitBreaker, default_registry
from breaker_asgi.testing import fresh_registry
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML
from tests.monitor.examples import example

NOBODY: list[tuple[str, str]] = []


def authorization(value: str) -> list[tuple[str, str]]:
    return [("authorization", value)]


def basic(name: str, password: str) -> list[tuple[str, str]]:
    return authorization("Basic " + b64encode(f"{name}:{password}".encode()).decode())


@pytest.fixture(autouse=True)
def bank() -> Iterator[CircuitBreaker]:
    with fresh_registry():
        yield CircuitBreaker(name="bank")


async def rights(app: Any, fields: list[tuple[str, str]]) -> tuple[int, int]:
    """Return the status of a read, and of a control."""
    read = await visit(app, "/breakers/", "GET", fields)
    return read.status, (await visit(app, "/breakers/bank/open", "POST", fields)).status


async def test_a_token_grants_its_rights(
    monkeypatch: pytest.MonkeyPatch, bank: CircuitBreaker
) -> None:
    monkeypatch.setenv("BREAKERS_READER", "r")
    monkeypatch.setenv("BREAKERS_CONTROLLER", "c")
    app = example("A bearer token")["app"]
    assert await rights(app, NOBODY) == (401, 401)
    assert await rights(app, authorization("Bearer x")) == (401, 401)
    assert await rights(app, authorization("Bearer ")) == (401, 401)
    assert await rights(app, authorization("Bearer r")) == (200, 401)
    assert bank.state == "closed"
    assert await rights(app, authorization("Bearer c")) == (200, 200)
    assert bank.state == "open"


async def test_an_empty_token_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAKERS_READER", "r")
    monkeypatch.setenv("BREAKERS_CONTROLLER", "")
    with pytest.raises(BreakerConfigError, match="the token is empty"):
        example("A bearer token")


async def test_a_browser_is_asked_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNS_PASSWORD", "s3cret")
    app = example("HTTP basic")["app"]
    reply = await visit(app, "/breakers/", "GET", [HTML])
    assert (reply.status, "Basic" in reply.headers["www-authenticate"]) == (401, True)
    for wrong in (basic("ann", "x"), basic("bob", ""), authorization("Basic ?"), basic("ann", "")):
        assert await rights(app, wrong) == (401, 401)
    assert await rights(app, basic("ann", "s3cret")) == (200, 200)
    (event,) = (await visit(app, "/breakers/events", "GET", basic("ann", "s3cret"))).json["events"]
    assert event["who"] == "ann"
    assert [breaker.name for breaker in default_registry] == ["bank"]


async def test_a_dependency_grants_its_rights() -> None:
    app = example("FastAPI's dependencies")["app"]
    assert await rights(app, NOBODY) == (401, 401)
    assert await rights(app, basic("bob", "x")) == (200, 403)
    assert await rights(app, basic("ann", "x")) == (200, 200)


async def test_a_session_identifies_its_user() -> None:
    app = example("A session")["app"]

    async def login(request: Request) -> Response:
        request.session["user"] = request.path_params["user"]
        return Response()

    app.add_route("/login/{user}", login, methods=["POST"])
    transport = httpx.ASGITransport(app)
    for user, allowed in (("ann", (200, 200)), ("eve", (200, 403)), (None, (403, 403))):
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            if user is not None:
                await client.post(f"/login/{user}")
            read = await client.get("/breakers")
            control = await client.post("/breakers/bank/open")
            assert (read.status_code, control.status_code) == allowed


async def test_a_proxy_identifies_its_user() -> None:
    app = example("Behind an SSO proxy")["app"]
    eve, ann = [("x-forwarded-user", "eve")], [("x-forwarded-user", "ann")]
    assert await rights(app, NOBODY) == (403, 403)
    assert await rights(app, eve) == (200, 403)
    assert await rights(app, [*ann, ("x-forwarded-groups", "staff,on-call")]) == (200, 200)
    assert await rights(app, [("x-forwarded-groups", "on-call")]) == (403, 403)
