"""Real servers: under load while their dependency hangs, and under attack."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from example_app.client import Poster

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

ROOT = Path(__file__).parent.parent
DEADLINE = 60.0
EXPECTED = re.compile(
    r"INFO: |WARNING:  (payments: \w+ -> \w+ |POST /checkout: \w+ -> \w+ |Invalid HTTP request)"
)

pytestmark = pytest.mark.slow


class Server:
    """A running uvicorn."""

    def __init__(self, log: Path, url: str) -> None:
        self.log = log
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False)

    def read(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def breakers(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.read("/breakers")["breakers"]}

    def complaints(self) -> list[str]:
        """What is in the log and should not be."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if not EXPECTED.match(line)]

    def is_up(self) -> bool:
        try:
            return self.client.get("/openapi.json").is_success
        except httpx.TransportError:
            return False


@contextmanager
def server(log: Path, app: str, *options: str, **environment: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "uvicorn", app, "--port", "0", "--no-access-log", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        running = Server(log, until(lambda: address_in(log), f"{app} listens"))
        with running.client:
            until(running.is_up, f"{app} answers")
            yield running
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def address_in(log: Path) -> str:
    found = re.search(r"running on (http://[\d.:]+)", log.read_text())
    return found[1] if found else ""


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` gives as soon as it is true."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.05)
    return pytest.fail(f"waited {DEADLINE} s: {what}")


# While payments hang

CALLERS = 300
LOOKERS = 30
WORKERS = 2
FAIL_MAX = 5
"""Of the shop's breaker for payments; every worker has its own."""
TIMED_OUT, REJECTED = 504, 503


@dataclass
class Rush:
    """All callers buy at once, while some look around. How many got which status."""

    bought: Counter[int]
    looked: Counter[int]


@dataclass
class Story:
    """What came of the rushes, and how many calls payments have got meanwhile."""

    rushes: list[Rush] = field(default_factory=list)
    reached: list[int] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def looked(self) -> Counter[int]:
        return sum((each.looked for each in self.rushes), Counter())

    def bought(self) -> list[Counter[int]]:
        return [each.bought for each in self.rushes]


class Shop:
    """A shop of several workers; hundreds of callers keep their connections to it."""

    def __init__(self, running: Server, payments: Server) -> None:
        self._running = running
        self._payments = payments
        self._checkout = Poster(f"{running.url}/checkout")
        self._client = httpx.AsyncClient(base_url=running.url, timeout=DEADLINE, trust_env=False)

    async def play(self, is_enough: Callable[[Story], bool]) -> Story:
        story, end = Story(), time.monotonic() + DEADLINE
        async with self._checkout, self._client:
            while not is_enough(story):
                assert time.monotonic() < end, story
                story.rushes.append(await self._rush())
                story.reached.append(await asyncio.to_thread(self._reached))
        story.complaints = self._running.complaints()
        return story

    async def _rush(self) -> Rush:
        bought, looked = await asyncio.gather(
            asyncio.gather(*(self._checkout.post() for _ in range(CALLERS))),
            asyncio.gather(*(self._client.get("/products") for _ in range(LOOKERS))),
        )
        return Rush(Counter(bought), Counter(each.status_code for each in looked))

    def _reached(self) -> int:
        """How many calls payments got; a late one may still be on its way at first."""
        calls: list[int] = [-1]
        while not calls[-1] == self._payments.read("/_stats")["calls"]:
            pass
        return calls[-1]
