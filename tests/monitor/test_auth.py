"""Authorization to read and to control."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from breaker_asgi import BreakerConfigError, BreakerRegistry, CircuitBreakerMonitor
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML, allow, deny

PATHS = ["/", "/payments", "/payments/events", "/events", "/stream", "/static/page.css", "/nobody"]


def failing(_request: object) -> bool:
    raise RuntimeError("no database")


async def later(_request: object) -> bool:
    return True


async def later_not(_request: object) -> bool:
    return False


async def later_failing(_request: object) -> bool:
    raise RuntimeError("no database")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("authorize", [deny, later_not, failing, later_failing])
async def test_a_denied_reader_gets_403(
    registry: BreakerRegistry, path: str, authorize: Any
) -> None:
    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize=authorize, authorize_control=allow)
    for fields in ([], [HTML]):
        reply = await visit(monitor, path, "GET", fields)
        assert reply.status == 403
        assert "Forbidden" in reply.text
        assert "payments" not in reply.text


@pytest.mark.parametrize("authorize", [allow, later])
async def test_an_allowed_reader_sees_details(registry: BreakerRegistry, authorize: Any) -> None:
    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize=authorize)
    listing = (await visit(monitor)).json
    assert (listing["details"], listing["controls"]) == (True, False)
    assert "settings" in (await visit(monitor, "/payments")).json


async def test_a_controller_sees_details(registry: BreakerRegistry) -> None:
    monitor = CircuitBreakerMonitor(registry=registry, authorize_control=later)
    listing = (await visit(monitor)).json
    assert (listing["details"], listing["controls"]) == (True, True)


@pytest.mark.parametrize("authorize_control", [deny, later_not, failing])
async def test_a_request_without_rights_sees_names_states_and_figures(
    registry: BreakerRegistry, authorize_control: Any
) -> None:
    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize_control=authorize_control)
    listing = (await visit(monitor)).json
    assert (listing["details"], listing["controls"]) == (False, False)
    assert "settings" not in (await visit(monitor, "/payments")).json


async def test_authors_of_changes_are_hidden_without_details(
    registry: BreakerRegistry,
) -> None:
    def by_token(request: Request) -> str | None:
        return request.headers.get("x-who")

    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize_control=by_token)
    await visit(monitor, "/payments/open", "POST", [("x-who", "ann")])
    (event,) = (await visit(monitor, "/events")).json["events"]
    assert event["who"] is None
    (event,) = (await visit(monitor, "/events", "GET", [("x-who", "bob")])).json["events"]
    assert event["who"] == "ann"


async def test_the_function_gets_the_request(registry: BreakerRegistry) -> None:
    requests: list[Request] = []
    monitor = CircuitBreakerMonitor(registry=registry, authorize=requests.append)
    await visit(monitor, "/events?limit=1", "GET", [("authorization", "Bearer x")])
    (request,) = requests
    assert isinstance(request, Request)
    assert request.headers["authorization"] == "Bearer x"
    assert request.query_params["limit"] == "1"


async def test_without_starlette_the_function_gets_the_scope(
    registry: BreakerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breaker_asgi.asgi.requests.find_spec", lambda _name: None)
    scopes: list[Any] = []
    await visit(CircuitBreakerMonitor(registry=registry, authorize=scopes.append))
    assert scopes[0]["type"] == "http"


async def test_an_exception_of_the_function_is_logged_once(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    def boom(_request: object) -> bool:
        raise RuntimeError("no database")

    monitor = CircuitBreakerMonitor(registry=registry, authorize=boom)
    for _ in range(3):
        await visit(monitor)
    assert [record.getMessage() for record in caplog.records] == [
        f"{boom.__qualname__} failed in the monitor; not logged again"
    ]


@pytest.mark.parametrize("setting", ["authorize", "authorize_control"])
def test_a_setting_that_is_no_function_is_refused(setting: str) -> None:
    settings: dict[str, Any] = {setting: "admin"}
    with pytest.raises(BreakerConfigError, match=f"{setting}='admin' is not allowed"):
        CircuitBreakerMonitor(**settings)


def test_a_setting_that_is_no_registry_is_refused() -> None:
    wrong: Any = {}
    with pytest.raises(BreakerConfigError, match=r"registry=.* is not allowed"):
        CircuitBreakerMonitor(registry=wrong)
