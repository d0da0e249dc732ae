"""A dependency that hangs, behind uvicorn: it is cut off while its calls hang, and comes back."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

ROOT = Path(__file__).parent.parent.parent.parent
DEADLINE = 120.0
HANGING = httpx.Timeout(DEADLINE, read=0.1)  # only the answer may be late, not the connection


class Shop:
    """A server with a client, and the file that lets it hang."""

    def __init__(self, client: httpx.AsyncClient, file: Path) -> None:
        self.client = client
        self._file = file

    def hang(self) -> None:
        self._file.touch()

    def go_on(self) -> None:
        self._file.unlink()

    async def breaker(self) -> dict[str, Any]:
        """Return the breaker of the route, in the worker that takes the request."""
        page = (await self.client.get("/breakers", headers={"accept": "application/json"})).json()
        return {**page["breakers"][0], "pid": page["worker"]["pid"]}


@contextmanager
def serving(workers: int, environment: dict[str, str]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = f"-m uvicorn --port {port} --workers {workers} --log-level warning"
    process = subprocess.Popen(
        [sys.executable, *words.split(), "tests.integration.asgi.apps.hanging_app:app"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(DEADLINE)


@pytest_asyncio.fixture(params=[1, 2], ids=["one worker", "two workers with a store"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    file, environment = tmp_path / "hung", {"HUNG_FILE": str(tmp_path / "hung")}
    if request.param > 1:
        environment["HUNG_STORE"] = f"sqlite:///{tmp_path / 'breakers.db'}"
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=0)
    with serving(request.param, environment) as url:
        async with httpx.AsyncClient(
            base_url=url, timeout=DEADLINE, trust_env=False, limits=limits
        ) as client:
            async with asyncio.timeout(DEADLINE):
                while True:
                    try:
                        await client.get("/pay")
                        break
                    except httpx.ConnectError:
                        await asyncio.sleep(0.05)
            yield Shop(client, file)
            file.unlink(missing_ok=True)


async def rejection(shop: Shop) -> httpx.Response:
    """Return the first rejection of calls that come one after the other, and may hang."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                response = await shop.client.get("/pay", timeout=HANGING)
            except httpx.ReadTimeout:
                continue
            if response.status_code == 503:
                return response


async def test_calls_are_rejected_while_the_first_ones_hang(shop: Shop) -> None:
    shop.hang()
    async with asyncio.TaskGroup() as group:
        stuck = [group.create_task(shop.client.get("/pay")) for _ in range(40)]
        await asyncio.sleep(0)
        response = await rejection(shop)
        assert int(response.headers["retry-after"]) >= 1
        hanging = [task for task in stuck if not task.done()]
        assert len(hanging) >= 10  # as many as the rule of the application needs
        async with asyncio.timeout(DEADLINE):
            while "slow-call rate" not in (await shop.breaker())["reason"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the other worker follows soon
        shop.go_on()
    answers = [task.result().status_code for task in stuck]
    assert set(answers) <= {200, 503}
    assert answers.count(200) >= len(hanging)


async def test_the_dependency_comes_back_gently_in_all_workers(shop: Shop) -> None:
    shop.hang()
    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(shop.client.get("/pay"))
        await asyncio.sleep(0)
        await rejection(shop)
        shop.go_on()
    shares: dict[int, list[float]] = {}
    statuses: list[tuple[float, int]] = []
    began = None
    async with asyncio.timeout(DEADLINE):
        while True:
            statuses.append((time.monotonic(), (await shop.client.get("/pay")).status_code))
            breaker = await shop.breaker()
            if breaker["state"] == "closing":
                began = began or time.monotonic()
                shares.setdefault(breaker["pid"], []).append(breaker["admitted_share"])
            elif began is not None and breaker["state"] == "closed":
                break
            await asyncio.sleep(0.01)
    assert began is not None
    for share in shares.values():
        assert share == sorted(share)
        assert 0.1 <= share[0] < 0.5 < share[-1] <= 1
    early = [status for at, status in statuses if began <= at < began + 1]
    late = [status for at, status in statuses if at > began + 3]
    assert early.count(503) >= early.count(200)
    assert late.count(200) >= late.count(503)
