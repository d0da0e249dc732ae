"""Readers without `authorize`: strangers get names and states, this host gets figures."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from breaker_asgi import BreakerMiddleware, BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.monitor import this_host
from breaker_asgi.monitor.rows import FIELDS, without_details
from tests.asgi.visitor import Fields, Reply, visit
from tests.monitor.conftest import HTML, as_ann, deny

FAR = ("203.0.113.5", 40_000)
NEAR = ("127.0.0.1", 40_000)


async def ask(
    monitor: CircuitBreakerMonitor,
    path: str = "/",
    *,
    peer: tuple[str, int] | None = NEAR,
    host: str = "localhost:8000",
    fields: Fields = (),
    method: str = "GET",
    **more: Any,
) -> Reply:
    """Make one request of a peer, to a host."""
    every = [("host", host), *fields]
    headers = [(name.encode(), value.encode("latin-1")) for name, value in every]
    return await visit(monitor, path, method, headers=headers, client=peer, **more)


async def sees_figures(monitor: CircuitBreakerMonitor, **request: Any) -> bool:
    figures: bool = (await ask(monitor, **request)).json["figures"]
    return figures


@pytest.fixture
def trouble(registry: BreakerRegistry) -> BreakerRegistry:
    """A registry with a breaker that has tripped, which a reader could learn much from."""
    bank = registry.get("bank", failure_rate=0.5, minimum_calls=2, timeout_duration=9.5)
    for _ in range(2):
        bank.acquire().failure(ConnectionError("db-7.internal"))
    return registry


async def test_a_stranger_gets_names_states_and_whole_seconds_only(
    monitor: CircuitBreakerMonitor, trouble: BreakerRegistry
) -> None:
    listing = (await ask(monitor, peer=FAR)).json
    assert listing["breakers"] == [{"name": "bank", "state": "open", "retry_after": 10}]
    assert listing.keys() == {
        *("version", "now", "figures", "details", "controls", "summary", "breakers", "next")
    }
    assert [listing[right] for right in ("figures", "details", "controls")] == [False] * 3


async def test_a_stranger_may_filter_and_page_the_list(
    monitor: CircuitBreakerMonitor, trouble: BreakerRegistry
) -> None:
    trouble.get("cache")
    listing = (await ask(monitor, "/?name=b*&limit=1", peer=FAR)).json
    assert [breaker["name"] for breaker in listing["breakers"]] == ["bank"]
    assert (await ask(monitor, "/?limit=1", peer=FAR)).json["next"] == "bank"


@pytest.mark.parametrize(
    "path",
    ["/bank", "/bank/events", "/events", "/stream", "/-/events", "/-/stream", "/-/log", "/none"],
)
async def test_a_stranger_gets_nothing_else(
    monitor: CircuitBreakerMonitor, trouble: BreakerRegistry, path: str
) -> None:
    for fields in ([], [HTML]):
        reply = await ask(monitor, path, peer=FAR, fields=fields)
        assert reply.status == 403
        assert "ConnectionError" not in reply.text


async def test_a_strangers_page_has_no_figures_no_script_and_reloads_itself(
    monitor: CircuitBreakerMonitor, trouble: BreakerRegistry
) -> None:
    reply = await ask(monitor, peer=FAR, fields=[HTML])
    assert reply.status == 200
    assert ">bank<" in reply.text
    assert "1 open" in reply.text
    assert "as of " in reply.text
    for secret in ("ConnectionError", "db-7", "failure rate", "script"):
        assert secret not in reply.text
    assert reply.headers["refresh"] == "10"
    assert "refresh" not in (await ask(monitor, "/?still=1", peer=FAR, fields=[HTML])).headers


async def test_a_strangers_page_offers_the_next_one(
    monitor: CircuitBreakerMonitor, trouble: BreakerRegistry
) -> None:
    trouble.get("cache")
    page = await ask(monitor, "/?limit=1", peer=FAR, fields=[HTML])
    assert 'href="/?limit=1&amp;after=bank"' in page.text


# This host


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST",
        "a.localhost",
        "testserver",
        "test",
        "127.0.0.1:8000",
        "[::1]:80",
    ],
)
async def test_a_peer_on_loopback_gets_figures(
    monitor: CircuitBreakerMonitor, address: str, host: str
) -> None:
    assert await sees_figures(monitor, peer=(address, 1), host=host)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "::", "0.0.0.0", "128.0.0.1", "localhost", "", "x"],
)
async def test_another_peer_gets_none(monitor: CircuitBreakerMonitor, address: str) -> None:
    assert not await sees_figures(monitor, peer=(address, 1))


async def test_a_unix_socket_gets_none(monitor: CircuitBreakerMonitor) -> None:
    assert not await sees_figures(monitor, peer=None)


@pytest.mark.parametrize(
    "header",
    [
        *("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"),
        *("via", "cf-connecting-ip", "cf-ray", "true-client-ip", "x-client-ip", "client-ip"),
        *("fastly-client-ip", "x-cluster-client-ip", "x-original-host", "x-amzn-trace-id"),
        *("x-envoy-external-address", "x-azure-clientip", "x-appengine-user-ip", "l5d-client-id"),
        *("X-Forwarded-For", "x_forwarded_for", "x-original-forwarded-for", "x-remote-addr"),
    ],
)
@pytest.mark.parametrize("peer", [NEAR, ("testclient", 50_000)])
async def test_a_request_that_a_proxy_passed_on_gets_none(
    monitor: CircuitBreakerMonitor, header: str, peer: tuple[str, int]
) -> None:
    for value in ("127.0.0.1", ""):
        assert not await sees_figures(monitor, peer=peer, fields=[(header, value)])


async def test_a_proxy_that_speaks_http_1_0_gets_none(monitor: CircuitBreakerMonitor) -> None:
    assert not await sees_figures(monitor, http_version="1.0")
    for version in ("1.1", "2", "3"):
        assert await sees_figures(monitor, http_version=version)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8000"),
        *("notlocalhost", "203.0.113.5", "10.0.0.1:8000", "", "localhost:", "localhost@evil"),
        *("[::1", "[evil]", "127.0.0.1#evil", "localhost, evil", "127.1", "2130706433", "\xff"),
    ],
)
async def test_a_host_that_names_another_one_gets_none(
    monitor: CircuitBreakerMonitor, host: str
) -> None:
    assert not await sees_figures(monitor, host=host)


async def test_two_hosts_or_none_get_none(monitor: CircuitBreakerMonitor) -> None:
    assert not await sees_figures(monitor, fields=[("host", "localhost")])
    reply = await visit(monitor, headers=[], client=NEAR)
    assert not reply.json["figures"]


def test_the_test_client_gets_figures(registry: BreakerRegistry) -> None:
    app = Starlette(middleware=[Middleware(BreakerMiddleware, registry=registry)])
    assert TestClient(app).get("/breakers").json()["figures"]


# Limits


async def test_figures_without_details_give_no_limit_away(
    monitor: CircuitBreakerMonitor, trouble: BreakerRegistry
) -> None:
    reason = "failure rate 100% of 2 calls: ConnectionError"
    assert (await ask(monitor)).json["breakers"][0]["reason"] == reason
    for path in ("/bank", "/events", "/"):
        for fields in ([], [HTML]):
            assert "limit 50%" not in (await ask(monitor, path, fields=fields)).text


def test_a_row_of_the_stream_without_details_has_no_limit() -> None:
    reason = "failure rate 60% of 9 calls, limit 50%: OSError"
    content = {"reason": reason, "outage": {"reason": reason, "who": "ann"}, "limits": {}}
    row = [content.get(field) for field in FIELDS]
    masked = dict(zip(FIELDS, without_details(row), strict=True))
    reason = "failure rate 60% of 9 calls: OSError"
    assert (masked["reason"], masked["limits"]) == (reason, None)
    assert masked["outage"] == {"reason": reason, "who": None}


async def test_details_have_the_limit_in_the_reason(
    full: CircuitBreakerMonitor, trouble: BreakerRegistry
) -> None:
    assert ", limit 50%" in (await ask(full)).json["breakers"][0]["reason"]


# With `authorize_control` alone


async def test_an_operator_sees_all_from_anywhere(
    registry: BreakerRegistry,
) -> None:
    operated = CircuitBreakerMonitor(registry=registry, authorize_control=as_ann)
    listing = (await ask(operated, peer=FAR)).json
    assert (listing["figures"], listing["details"], listing["controls"]) == (True,) * 3


async def test_all_others_see_what_they_see_without(registry: BreakerRegistry) -> None:
    operated = CircuitBreakerMonitor(registry=registry, authorize_control=deny)
    assert not await sees_figures(operated, peer=FAR)
    listing = (await ask(operated)).json
    assert (listing["figures"], listing["details"], listing["controls"]) == (True, False, False)


async def test_this_host_may_be_the_operator(registry: BreakerRegistry) -> None:
    bank = registry.get("bank")
    local = CircuitBreakerMonitor(registry=registry, authorize_control=this_host)
    assert not await sees_figures(local, peer=FAR)
    assert (await ask(local, "/bank/open", peer=FAR, method="POST")).status == 403
    assert (await ask(local, "/bank/open", method="POST")).status == 200
    assert bank.state == "open"
