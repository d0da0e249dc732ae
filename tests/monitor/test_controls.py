"""`POST /breakers/{name}/{action}`: states changed by hand."""

from __future__ import annotations

import os
from typing import Any

import pytest
from starlette.requests import Request

from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.asgi.types import Message, Receive
from tests.asgi.visitor import Reply, visit
from tests.monitor.conftest import HTML, allow, deny
from tests.monitor.forms import FORM, post_form

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
async def test_the_author_is_logged_even_if_the_state_stays(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, action: str
) -> None:
    registry.get("payments")
    await visit(full, f"/payments/{action}", "POST")
    (event,) = (await visit(full, "/events")).json["events"]
    assert event["who"] == "ann"
    assert (event["from"], event["to"]) == ("closed", ACTIONS[action])
    assert "by hand" in event["reason"]


async def test_a_later_automatic_transition_has_no_author(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    await visit(full, "/payments/half-open", "POST")
    payments.acquire().success()
    events = (await visit(full, "/events")).json["events"]
    assert [(event["to"], event["who"]) for event in events] == [
        ("closed", None),
        ("half_open", "ann"),
    ]


async def test_the_author_may_have_no_name(registry: BreakerRegistry) -> None:
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


async def test_a_browsers_form_is_redirected_to_the_page(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments")
    path = "/sub/breakers/payments/open"
    reply = await visit(full, path, "POST", [HTML], root_path="/sub/breakers")
    assert reply.status == 303
    assert reply.headers["location"] == f"/sub/breakers/?by={os.getpid()}"


async def test_a_form_is_never_redirected_to_another_origin(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments")
    reply = await visit(full, "//evil/payments/open", "POST", [HTML], root_path="//evil")
    assert reply.headers["location"] == f"/evil/?by={os.getpid()}"


# Why, and for how long


async def post(
    monitor: CircuitBreakerMonitor, action: str, *pieces: bytes, fields: Any = (FORM,)
) -> Reply:
    return await post_form(monitor, f"/payments/{action}", *pieces, fields=fields)


@pytest.mark.parametrize("action", ACTIONS)
async def test_why_stands_in_the_reason_and_in_the_log(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, action: str
) -> None:
    registry.get("payments")
    reply = await post(full, action, b"why=the+bank%27s ", b"maintenance")
    assert reply.json["reason"].endswith(" by hand: the bank's maintenance")
    (event,) = (await visit(full, "/events")).json["events"]
    assert (event["reason"], event["who"]) == (reply.json["reason"], "ann")


@pytest.mark.parametrize("action", ["open", "force-open", "disable", "metrics-only"])
async def test_manual_states_that_change_the_protection_accept_a_duration(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, action: str
) -> None:
    payments = registry.get("payments")
    reply = await post(full, action, b"for=600&why=")
    assert reply.status == 200
    assert payments._generation.transition.lasts == 600
    assert reply.json["reason"].endswith(" by hand")


async def test_empty_fields_of_a_form_are_ignored(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    assert (await post(full, "close", b"why=+&for=")).status == 200
    assert payments.snapshot().reason == "closed by hand"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\nb\r\n\tc\x00\x1b[2Jd\u2028e\u202ef", "a b c [2Jd e f"),
        ("K\xe4se \U0001f9c0", "K\xe4se \U0001f9c0"),
        ("x" * 1_000, "x" * 200),
    ],
)
async def test_why_is_kept_as_one_short_line(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, text: str, kept: str
) -> None:
    payments = registry.get("payments")
    await post(full, "reset", b"why=" + text.encode())
    assert payments.snapshot().reason == f"reset by hand: {kept}"


async def test_the_author_is_kept_as_one_short_line(registry: BreakerRegistry) -> None:
    registry.get("payments")
    who = "ann\nWARNING root is bob" + "x" * 1_000
    monitor = CircuitBreakerMonitor(registry=registry, authorize_control=lambda _request: who)
    await visit(monitor, "/payments/open", "POST")
    (event,) = (await visit(monitor, "/events")).json["events"]
    assert event["who"] == who.replace("\n", " ")[:200]


@pytest.mark.parametrize(
    ("action", "form", "detail"),
    [
        ("close", b"for=600", "for='600' is not allowed: close has no end. Leave it out; "),
        ("half-open", b"for=600&why=x", "for='600' is not allowed: half-open has no end."),
        ("reset", b"for=soon", "for='soon' is not allowed: reset has no end."),
        *(
            (
                "force-open",
                f"for={time}".encode(),
                " is not allowed: give seconds above 0, up to 31,536,000 (a year), such as 600.",
            )
            for time in (
                "0", "-1", "soon", "10 min", "nan", "inf", "1e999", "31536001", "1_000", "\u0661",
                "9" * 9_000, "0x10", "\x00", "true",
            )
        ),
        ("force-open", b"for=5&for=6", "for is given 2 times: give it once."),
        ("force-open", b"why=a&why=b", "why is given 2 times: give it once."),
        ("force-open", b"fro=600", "'fro' is not allowed: give why, for, or neither."),
        ("force-open", b"why=" + b"x" * 16_384, "The form is longer than 16,384 bytes."),
        ("force-open", b"a" + b"&a=" * 2_000, "There are more than 1,000 parameters."),
    ],
)  # fmt: skip
async def test_a_wrong_form_is_refused_and_changes_nothing(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, action: str, form: bytes, detail: str
) -> None:
    payments = registry.get("payments")
    reply = await post(full, action, form)
    assert reply.status == 400
    assert detail in reply.json["detail"]
    assert len(reply.body) < 1_000
    assert payments.snapshot().generation == 0


@pytest.mark.parametrize(
    "fields",
    [[], [("content-type", "application/json")], [FORM, FORM], [("content-type", "text/plain")]],
)
async def test_a_body_that_is_no_form_is_refused(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, fields: Any
) -> None:
    payments = registry.get("payments")
    reply = await post(full, "force-open", b'{"for": 600}', fields=fields)
    assert (reply.status, payments.state) == (400, "closed")
    assert "as a form: application/x-www-form-urlencoded" in reply.json["detail"]


async def test_a_forms_type_may_name_its_encoding(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments")
    fields = [("content-type", "Application/x-www-form-urlencoded; charset=UTF-8")]
    assert (await post(full, "open", b"for=5", fields=fields)).status == 200


@pytest.mark.parametrize("query", ["why=x", "for=600"])
async def test_why_and_for_are_refused_in_the_query(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, query: str
) -> None:
    payments = registry.get("payments")
    reply = await visit(full, f"/payments/force-open?{query}", "POST")
    assert (reply.status, payments.state) == (400, "closed")
    assert "in the body" in reply.json["detail"]


async def test_a_client_that_leaves_amid_its_form_has_changed_nothing(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    messages = iter([{"type": "http.request", "body": b"why=", "more_body": True}])

    async def app(scope: Any, _receive: Receive, send: Any) -> None:
        async def receive() -> Message:
            return next(messages, {"type": "http.disconnect"})

        await full(scope, receive, send)

    reply = await visit(app, "/payments/force-open", "POST", [FORM])
    assert (reply.status, payments.state) == (400, "closed")


async def test_authorize_control_may_read_the_form_too(registry: BreakerRegistry) -> None:
    payments = registry.get("payments")

    async def by_its_body(request: Request) -> object:
        return b"why=bob" in await request.body()

    monitor = CircuitBreakerMonitor(registry=registry, authorize_control=by_its_body)
    await post(monitor, "force-open", b"why=bob&", b"for=600")
    assert payments.snapshot().reason == "forced open by hand: bob"
    assert payments._generation.transition.lasts == 600


async def test_the_form_of_a_denied_request_is_not_read(registry: BreakerRegistry) -> None:
    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize_control=deny)
    assert (await post(monitor, "open", b"for=0")).status == 403


# Refusals


async def test_without_authorize_control_controls_are_off(
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


async def test_a_denied_request_does_not_reveal_which_breakers_exist(
    registry: BreakerRegistry,
) -> None:
    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize=deny, authorize_control=deny)
    replies = [
        (await visit(monitor, f"/{path}", "POST")).messages
        for path in ("payments/open", "nobody/open")
    ]
    assert replies[0] == replies[1]
    existing, missing = [
        (await visit(monitor, f"/{path}", "POST")).messages for path in ("payments", "nobody")
    ]
    assert existing == missing


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


async def test_a_get_does_not_run_an_action(
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


BROWSER = ("sec-fetch-site", "same-origin")


@pytest.mark.parametrize(
    ("host", "fields", "status"),
    [
        ("rebound.example", [BROWSER], 403),
        ("rebound.example:8000", [("origin", "http://rebound.example:8000")], 403),
        ("shop", [BROWSER, ("cookie", "session=1")], 200),
        ("shop", [BROWSER, ("authorization", "Basic YTpi")], 200),
        ("shop", [], 200),
        ("localhost:8000", [BROWSER], 200),
        ("10.0.0.7:8000", [BROWSER], 200),
        ("[fd00::7]:8000", [BROWSER], 200),
    ],
)
async def test_a_browser_without_a_credential_controls_by_address_only(
    full: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    host: str,
    fields: list[tuple[str, str]],
    status: int,
) -> None:
    bank = registry.get("bank")
    every = [("host", host), *fields]
    headers = [(name.encode(), value.encode()) for name, value in every]
    reply = await visit(full, "/bank/open", "POST", headers=headers)
    assert reply.status == status
    assert bank.state == ("open" if status == 200 else "closed")
    if status == 403:
        assert "Open the page at the server's IP address or localhost" in reply.text


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
async def test_the_same_site_and_other_clients_may_control(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, fields: list[tuple[str, str]]
) -> None:
    registry.get("payments")
    session = ("cookie", "session=1")
    assert (await visit(full, "/payments/open", "POST", [*fields, session])).status == 200
