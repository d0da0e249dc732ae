"""Examples of `docs/monitor.md` that need a server, or another framework."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from breaker_asgi import CircuitBreaker
from tests.asgi.visitor import visit
from tests.integration.monitor.serving import DEADLINE, serving
from tests.monitor.conftest import HTML
from tests.monitor.examples import example


def test_the_client_follows_the_stream() -> None:
    watch = example("The stream")["watch"]

    async def follow(url: str) -> list[tuple[str, Any]]:
        events: list[tuple[str, Any]] = []
        async with asyncio.timeout(DEADLINE), httpx.AsyncClient(trust_env=False) as client:
            async for event, data in watch(url, trust_env=False):
                events += [(event, data)] if event in {"snapshot", "change"} else []
                if event == "change":
                    break
                if event == "snapshot":
                    await client.post(f"{url}/payments/open")
        return events

    with serving() as (_process, url):
        (first, snapshot), (second, change) = asyncio.run(follow(f"{url}/breakers"))
    assert (first, second) == ("snapshot", "change")
    assert snapshot["summary"]["closed"] == 1
    assert (change["breaker"], change["to"], change["id"]) == ("payments", "open", 1)


@pytest.mark.parametrize("root", ["", "/shop"])
async def test_any_application_can_have_the_monitor_beside_it(root: str) -> None:
    bank = CircuitBreaker(name="bank")
    app = example("Any ASGI application")["app"]
    for path in ("", "/", "/bank"):
        reply = await visit(app, f"{root}/ops/breakers{path}", "GET", [HTML], root_path=root)
        assert f'data-base="{root}/ops/breakers"' in reply.text, bank
    assert (await visit(app, f"{root}/ops/breakersx", root_path=root, type="http")).status == 404
