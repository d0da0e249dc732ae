"""Examples of `docs/monitor.md` that need a server, or another framework."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from breaker_asgi import CircuitBreaker
from tests.asgi.visitor import visit
from tests.integration.monitor.serving import DEADLINE, serving
from tests.monitor.conftest import HTML
from tests.monitor.examples import example


def test_the_client_follows_the_stream() -> None:
    names = example("The stream")
    watch, feed = names["watch"], names["Feed"]()

    async def follow(url: str) -> list[str]:
        states: list[str] = []
        async with asyncio.timeout(DEADLINE), httpx.AsyncClient(trust_env=False) as client:
            async for event, data in watch(url, trust_env=False):
                feed.apply(event, data)
                (row,) = feed.rows.values()
                states.append(row["state"])
                if row["state"] == "open":
                    break
                if event == "snapshot":
                    await client.post(f"{url}/payments/open")
        return states

    with serving() as (_process, url):
        states = asyncio.run(follow(f"{url}/breakers"))
    assert (states[0], states[-1]) == ("closed", "open")
    assert feed.summary["open"] == 1


@pytest.mark.parametrize("root", ["", "/shop"])
async def test_any_application_can_have_the_monitor_beside_it(root: str) -> None:
    bank = CircuitBreaker(name="bank")
    app = example("Any ASGI application")["app"]
    for path in ("", "/", "/bank"):
        reply = await visit(app, f"{root}/ops/breakers{path}", "GET", [HTML], root_path=root)
        assert f'data-base="{root}/ops/breakers"' in reply.text, bank
    assert (await visit(app, f"{root}/ops/breakersx", root_path=root, type="http")).status == 404
