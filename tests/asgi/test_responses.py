"""The 503 of a rejected request: its content, its formats, and the details that it omits."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from breaker_asgi import BreakerMiddleware, BreakerRegistry, CircuitBreakerError
from breaker_asgi.asgi.types import Receive, Scope, Send
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import Reply, visit

NASTY = '"}\\\r\nset-cookie: a=b\r\n\r\n<script>%s%d{}\x00\ud800☠'


async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("secret of the bank")


async def rejected(
    method: str = "GET",
    *accept: str,
    wait: float = 20,
    name: str = "bank",
    scope: dict[str, Any] | None = None,
    **settings: Any,
) -> Reply:
    """Return the response to a request that is rejected after a failure."""
    registry, clock = BreakerRegistry(), FakeClock()
    registry.get(name, fail_max=1, timeout_duration=wait, clock=clock)
    app = BreakerMiddleware(fails, registry=registry, name=lambda _route, _scope: name, **settings)
    with pytest.raises(RuntimeError):
        await visit(app)
    return await visit(
        app, "/", method, [("accept", value) for value in accept], **scope or {"scheme": "http"}
    )


@pytest.fixture
def no_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add nothing to `Retry-After`."""
    monkeypatch.setattr(random, "random", lambda: 0.0)


async def test_the_503_has_retry_after_and_no_store(no_luck: None) -> None:
    reply = await rejected()
    assert reply.status == 503
    assert sorted(reply.headers) == [
        "cache-control", "content-length", "content-type", "retry-after", "vary"
    ]  # fmt: skip
    assert reply.headers["retry-after"] == "20"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["vary"] == "accept"


async def test_the_body_of_the_503_is_a_problem_document(no_luck: None) -> None:
    reply = await rejected()
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert json.loads(reply.body) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "Temporarily unavailable. Try again in 20 s.",
        "retry_after": 20,
    }


async def test_the_document_and_the_header_agree() -> None:
    for _ in range(20):
        reply = await rejected(wait=100)
        assert reply.headers["retry-after"] == str(json.loads(reply.body)["retry_after"])


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        (0.1, 1, 2),
        (1, 1, 2),
        (1.001, 2, 3),
        (4.9, 5, 6),
        (5, 5, 6),
        (9, 9, 10),
        (10, 10, 12),
        (59.5, 60, 72),
        (3600, 3600, 4320),
    ],
)
async def test_retry_after_is_rounded_up_and_at_most_a_fifth_later_or_a_second(
    monkeypatch: pytest.MonkeyPatch, wait: float, least: int, most: int
) -> None:
    seconds = []
    for luck in (0.0, 0.999999999):
        monkeypatch.setattr(random, "random", lambda luck=luck: luck)
        seconds.append(int((await rejected(wait=wait)).headers["retry-after"]))
    assert seconds == [least, most]


async def test_clients_get_different_waits() -> None:
    waits = {(await rejected(wait=100)).headers["retry-after"] for _ in range(50)}
    assert len(waits) > 5
    assert {100 <= int(seconds) <= 120 for seconds in waits} == {True}


JSON, HTML = "application/problem+json", "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ([], JSON),
        (["*/*"], JSON),
        (["application/json"], JSON),
        (["application/problem+json"], JSON),
        (["text/*"], JSON),
        (["text/plain"], JSON),
        (["application/xhtml+xml"], JSON),
        (["text/html"], HTML),
        (["TEXT/HTML"], HTML),
        ([" text/html ; charset=utf-8 "], HTML),
        (["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], HTML),
        (["text/html, */*; q=0.01"], HTML),
        (["text/html, application/json"], HTML),
        (["application/json;q=0.9, text/html"], HTML),
        (["text/html;q=0.001"], HTML),
        (["text/html;level=1;q=1.000"], HTML),
        (["text/html;q=0"], JSON),
        (["text/html;Q=0.000, */*"], JSON),
        (["application/json, text/html;q=0.1"], JSON),
        (["application/problem+json, text/html;q=0.9"], JSON),
        (["*/*, text/html;q=0.5"], JSON),
        (["application/*, text/html;q=0.5"], JSON),
        (["*/*, application/*;q=0.1, text/html;q=0.5"], HTML),
        (["*/*, application/json;q=0, application/problem+json;q=0, text/html;q=0.5"], HTML),
        (["application/json", "text/html;q=0.1"], JSON),
        (["text/html;q=0.1", "application/json"], JSON),
        (["application/json;q=0.1", "text/html"], HTML),
        (["text/htmlx"], JSON),
        (["xtext/html"], JSON),
    ],
)
async def test_the_503_is_html_if_the_client_prefers_it(accept: list[str], kind: str) -> None:
    assert (await rejected("GET", *accept)).headers["content-type"] == kind


@pytest.mark.parametrize(
    "accept",
    [
        "text/html;q=",
        "text/html;q=2",
        "text/html;q=-1",
        "text/html;q=nan",
        "text/html;q=1e-3",
        "text/html;q=0.0001",
        "text/html;q=\xb2",
        "text/html;q=inf",
        ";;;,,,html",
        "html",
        "text/html;q=0" + "," * 50_000,
        "text/html;q=0" + ";q=1" * 20_000,
        ",text/html;q=9" * 5_000,
        "\x00html\xff",
    ],
)
async def test_a_malformed_accept_header_gets_json(accept: str) -> None:
    assert (await rejected("GET", accept)).headers["content-type"] == JSON


async def test_the_page_has_the_detail_and_the_headers_of_the_document(no_luck: None) -> None:
    reply = await rejected("GET", "text/html")
    assert reply.text.startswith("<!doctype html>")
    assert "Temporarily unavailable. Try again in 20 s." in reply.text
    assert reply.headers["retry-after"] == "20"
    assert reply.headers["cache-control"] == "no-store"
    assert "<script" not in reply.text


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
async def test_head_gets_the_same_headers_and_no_body(no_luck: None, accept: str) -> None:
    head, get = await rejected("HEAD", accept), await rejected("GET", accept)
    assert head.body == b""
    assert head.kinds == get.kinds
    assert head.headers == get.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "MADE-UP"])
async def test_the_503_is_the_same_for_every_other_method(no_luck: None, method: str) -> None:
    reply, get = await rejected(method), await rejected()
    assert (reply.headers, reply.body) == (get.headers, get.body)


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
@pytest.mark.parametrize("show_names", [False, True])
async def test_the_503_contains_no_text_of_an_exception(accept: str, show_names: bool) -> None:  # noqa: FBT001
    reply = await rejected("GET", accept, show_names=show_names)
    sent = repr(reply.messages)
    assert "secret" not in sent
    assert "RuntimeError" not in sent
    assert "failure" not in sent


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
async def test_the_503_does_not_contain_the_breakers_name(accept: str) -> None:
    assert "bank" not in repr((await rejected("GET", accept)).messages)


async def test_the_document_contains_the_breakers_name_with_show_names() -> None:
    reply = await rejected(show_names=True)
    assert json.loads(reply.body)["breaker"] == "bank"


async def test_the_page_does_not_contain_the_name_with_show_names() -> None:
    assert "bank" not in (await rejected("GET", "text/html", show_names=True)).text


@pytest.mark.parametrize("name", [NASTY, "%", "%s", "{name}", "</script>", '", "status": 200, "'])
async def test_a_hostile_name_breaks_neither_the_document_nor_the_headers(name: str) -> None:
    reply = await rejected(name=name, show_names=True)
    document = json.loads(reply.body)
    assert document["breaker"] == name
    assert document["status"] == 503
    assert len(reply.fields) == 5
    assert all("\n" not in value for _, value in reply.fields)


async def test_the_503s_of_two_breakers_have_their_own_names(no_luck: None) -> None:
    names = [(await rejected(name=name, show_names=True)).body for name in ("bank", "post", "bank")]
    assert [json.loads(body)["breaker"] for body in names] == ["bank", "post", "bank"]


async def test_headers_of_outer_middleware_do_not_stay_in_the_next_503(
    no_luck: None,
) -> None:
    first = await rejected()
    first.messages[0]["headers"].append((b"set-cookie", b"session=1"))
    assert "set-cookie" not in (await rejected()).headers


async def test_a_rejection_without_a_breaker_gives_the_503() -> None:
    async def pay(_request: Request) -> Response:
        raise CircuitBreakerError("secret of the bank")

    shop = Starlette(routes=[Route("/pay", pay)])
    shop.add_middleware(BreakerMiddleware, registry=BreakerRegistry())
    reply = await visit(shop, "/pay")
    assert reply.status == 503
    assert reply.headers["retry-after"] in {"1", "2"}
    assert "secret" not in reply.text


async def test_a_handshake_gets_the_503_if_the_server_can_send_it() -> None:
    scope = {"type": "websocket", "extensions": {"websocket.http.response": {}}}
    reply = await rejected(scope=scope, websockets=True)
    assert reply.kinds == ["websocket.http.response.start", "websocket.http.response.body"]
    assert (reply.status, json.loads(reply.body)["status"]) == (503, 503)


@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {}}])
async def test_a_websocket_is_closed_by_try_again_later_if_the_server_can_not_send_the_503(
    extensions: dict[str, Any],
) -> None:
    reply = await rejected(scope={"type": "websocket"} | extensions, websockets=True)
    assert reply.kinds == ["websocket.accept", "websocket.close"]
    assert reply.messages[-1]["code"] == 1013
    assert len(reply.messages[-1]["reason"].encode()) <= 123
