"""The client of `docs/monitor.md` follows a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.integration.monitor.serving import DEADLINE, serving
from tests.monitor.examples import example


def test_the_client_follows_the_stream() -> None:
    watch = example("The stream")["watch"]

    async def follow(url: str) -> list[tuple[str, Any]]:
        heard: list[tuple[str, Any]] = []
        async with asyncio.timeout(DEADLINE), httpx.AsyncClient(trust_env=False) as client:
            async for event, data in watch(url, trust_env=False):
                heard += [(event, data)] if event in {"snapshot", "change"} else []
                if event == "change":
                    break
                if event == "snapshot":
                    await client.post(f"{url}/payments/open")
        return heard

    with serving() as (_process, url):
        (first, snapshot), (second, change) = asyncio.run(follow(f"{url}/breakers"))
    assert (first, second) == ("snapshot", "change")
    assert snapshot["summary"]["closed"] == 1
    assert (change["breaker"], change["to"], change["id"]) == ("payments", "open", 1)
