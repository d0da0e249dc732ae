"""Refusals as pages: what happened, and what to do next."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.monitor.problems import names_near
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML, deny


@pytest.mark.parametrize(
    ("path", "method", "status", "advice"),
    [
        ("/nobody", "GET", 404, "It may have been removed"),
        ("/?state=opne", "GET", 400, "state=&#x27;opne&#x27; is not allowed"),
        ("/bank", "DELETE", 405, "Use the buttons of the page"),
        ("/bank/close?for=6", "POST", 400, "Send the fields as a form"),
    ],
)
async def test_a_refusal_is_a_page_for_a_browser(
    full: CircuitBreakerMonitor, path: str, method: str, status: int, advice: str
) -> None:
    full.registry.get("bank")
    reply = await visit(full, path, method, [HTML])
    assert (reply.status, reply.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert advice in reply.text
    assert '<a href="/">All breakers</a>' in reply.text


async def test_a_denial_names_no_breaker(registry: BreakerRegistry) -> None:
    registry.get("bank")
    closed = CircuitBreakerMonitor(registry=registry, authorize=deny)
    for path in ("/", "/bank", "/bnak"):
        reply = await visit(closed, path, "GET", [HTML])
        assert reply.status == 403
        assert ">bank" not in reply.text
        assert "lets them by its setting authorize" in reply.text


async def test_an_unknown_name_leads_to_the_nearest_ones(full: CircuitBreakerMonitor) -> None:
    for name in ("payments", "GET /payments", "cache"):
        full.registry.get(name)
    page = await visit(full, "/paymnets", "GET", [HTML])
    assert 'href="/payments"' in page.text
    assert 'href="/GET%20%2Fpayments"' in page.text
    assert "cache" not in page.text


def test_a_part_of_a_name_is_near() -> None:
    assert names_near("PAY", ["payments", "cache", "repay"]) == ["repay", "payments"]
    assert names_near("", ["payments"]) == []
    assert names_near("x" * 1_000_000, ["x" * 500]) == []


async def test_the_style_is_allowed_by_its_hash_and_nothing_else_is(
    full: CircuitBreakerMonitor,
) -> None:
    reply = await visit(full, "/nobody", "GET", [HTML])
    (style,) = re.findall(r"<style>(.*?)</style>", reply.text, re.DOTALL)
    policy = reply.headers["content-security-policy"]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script|\bon\w+=|\bstyle=", reply.text)
