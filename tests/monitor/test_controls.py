"""`POST /breakers/{name}/{action}`: states changed by hand."""

from __future__ import annotations

import os

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML, allow, deny

ACTIONS = {
    "force-open": "forced_open",
    "open": "open",
    "close": "closed",
    "half-open": "half_open",
    "disable": "disabled",
    "metrics-only": "metrics_only",
    "reset": "closed",
}


@pytest.mark.parametrize(("action", "state"), ACTIONS.items())
async def test_an_action_changes_the_state_and_answers_with_the_breaker(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, action: str, state: str
) -> None:
    payments = registry.get("payments")
    reply = await visit(full, f"/payments/{action}", "POST")
    assert (reply.status, reply.json["name"], reply.json["state"]) == (200, "payments", state)
    assert payments.state == state


@pytest.mark.parametrize("action", ACTIONS)
async def test_who_did_it_stands_in_the_log_even_if_the_state_stays(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, action: str
) -> None:
    registry.get("payments")
    await visit(full, f"/payments/{action}", "POST")
    (event,) = (await visit(full, "/events")).json["events"]
    assert event["who"] == "ann"
    assert (event["from"], event["to"]) == ("closed", ACTIONS[action])
    assert "by hand" in event["reason"]


async def test_what_happens_by_itself_afterwards_is_nobodys_doing(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    await visit(full, "/payments/half-open", "POST")
    payments.acquire().success()
    events = (await visit(full, "/events")).json["events"]
    assert [(each["to"], each["who"]) for each in events] == [
        ("closed", None),
        ("half_open", "ann"),
    ]


async def test_who_needs_no_name(registry: BreakerRegistry) -> None:
    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize_control=allow)
    assert (await visit(monitor, "/payments/open", "POST")).status == 200
    (event,) = (await visit(monitor, "/events")).json["events"]
    assert event["who"] is None


@pytest.mark.parametrize("name", ["GET /a/{b}", "x/open", "events", "stream", "", "/", 'a"b'])
async def test_a_name_may_be_any_text(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, name: str
) -> None:
    breaker = registry.get(name)
    reply = await visit(full, "/", "POST", path=f"/{name}/open")
    assert reply.json["name"] == name
    assert breaker.state == "open"


async def test_a_browsers_form_is_led_back_to_the_page(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments")
    path = "/sub/breakers/payments/open"
    reply = await visit(full, path, "POST", [HTML], root_path="/sub/breakers")
    assert reply.status == 303
    assert reply.headers["location"] == f"/sub/breakers/?worker={os.getpid()}"


async def test_it_is_never_led_to_another_origin(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments")
    reply = await visit(full, "//evil/payments/open", "POST", [HTML], root_path="//evil")
    assert reply.headers["location"] == f"/evil/?worker={os.getpid()}"


# Refusals


async def test_without_authorize_control_nobody_controls(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    reply = await visit(monitor, "/payments/open", "POST")
    assert reply.status == 403
    assert payments.state == "closed"


async def test_the_right_to_read_is_not_the_right_to_control(registry: BreakerRegistry) -> None:
    payments = registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize=allow, authorize_control=deny)
    assert (await visit(monitor, "/payments/open", "POST")).status == 403
    assert payments.state == "closed"


async def test_who_may_not_control_does_not_learn_which_breakers_exist(
    registry: BreakerRegistry,
) -> None:
    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize=deny, authorize_control=deny)
    replies = [
        (await visit(monitor, f"/{path}", "POST")).messages
        for path in ("payments/open", "nobody/open")
    ]
    assert replies[0] == replies[1]
    known, unknown = [
        (await visit(monitor, f"/{path}", "POST")).messages for path in ("payments", "nobody")
    ]
    assert known == unknown


@pytest.mark.parametrize("path", ["/nobody/open", "/payments/explode", "/nobody", "/payments/"])
async def test_an_unknown_name_or_action_gets_404(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, path: str
) -> None:
    registry.get("payments")
    assert (await visit(full, path, "POST")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("POST", "/payments", "GET, HEAD"),
        ("PUT", "/payments", "GET, HEAD"),
        ("PUT", "/payments/open", "GET, HEAD, POST"),
        ("DELETE", "/nobody", "GET, HEAD"),
    ],
)
async def test_another_method_gets_405(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, method: str, path: str, allowed: str
) -> None:
    registry.get("payments")
    reply = await visit(full, path, method)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)


async def test_an_action_is_not_done_by_reading(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    assert (await visit(full, "/payments/open")).status == 404
    assert payments.state == "closed"


@pytest.mark.parametrize(
    "fields",
    [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "")],
        [("sec-fetch-site", "cross-site"), ("origin", "http://shop")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("origin", "http://evil")],
        [("origin", "http://shop:8000")],
        [("origin", "null")],
        [("origin", "http://[")],
        [("origin", "http://shop"), ("origin", "http://evil")],
    ],
)
async def test_another_sites_page_changes_nothing(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, fields: list[tuple[str, str]]
) -> None:
    payments = registry.get("payments")
    assert (await visit(full, "/payments/open", "POST", fields)).status == 403
    assert payments.state == "closed"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("sec-fetch-site", "same-origin")],
        [("sec-fetch-site", "none")],
        [("sec-fetch-site", "same-origin"), ("origin", "http://evil")],
        [("origin", "http://shop")],
        [("origin", "https://shop")],
    ],
)
async def test_the_same_site_and_what_is_no_browser_may(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, fields: list[tuple[str, str]]
) -> None:
    registry.get("payments")
    assert (await visit(full, "/payments/open", "POST", fields)).status == 200
