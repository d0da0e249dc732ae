"""Load on a shop: callers at a steady rate, however long the earlier ones wait."""

import asyncio
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from example_app.client import Poster

INTERVAL = 1 / 30
REJECTED = 503
"""The status of the shop while a breaker is open; when payments fail it is 502 or 504."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the story, with the faults that the payment service has in it."""

    name: str
    seconds: float
    faults: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    phase: str
    ended: float
    milliseconds: float
    status: int


class Side:
    """A shop, its payment service, and all calls so far.

    Two sides take turns, by their offsets: one is not measured while the other is at work.
    """

    def __init__(self, name: str, shop: str, payments: str, offset: float = 0) -> None:
        self.name = name
        self.shop = shop
        self.payments = payments
        self.calls: list[Call] = []
        self.reached: dict[str, int] = {}
        self.state = "none"
        self._offset = offset
        self._checkout = Poster(f"{shop}/checkout")
        self._shop_client = httpx.AsyncClient(base_url=shop, trust_env=False)
        self._payments_client = httpx.AsyncClient(base_url=payments, trust_env=False)

    async def __aenter__(self) -> Self:
        for _ in range(20):  # a process that has served nothing yet is slow at first
            await self._checkout.post()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._checkout.__aexit__(exc_type, exception, traceback)
        await self._shop_client.aclose()
        await self._payments_client.aclose()

    async def play(self, phase: Phase, tasks: asyncio.TaskGroup) -> None:
        """Start calls for as long as the phase lasts; the last ones may still be waiting."""
        (await self._payments_client.post("/_faults", json=phase.faults)).raise_for_status()
        before = await self._payments_calls()
        end = time.perf_counter() + phase.seconds
        arrival = time.perf_counter() + self._offset
        while arrival < end:
            await asyncio.sleep(arrival - time.perf_counter())
            tasks.create_task(self._call(phase.name))
            arrival += INTERVAL
        await asyncio.sleep(end - time.perf_counter())
        self.reached[phase.name] = await self._payments_calls() - before

    async def fetch_state(self) -> None:
        """Fetch the breaker's state."""
        breakers = (await self._shop_client.get("/breakers")).json()["breakers"]
        self.state = next(breaker["state"] for breaker in breakers if breaker["name"] == "payments")

    async def fetch_event_log(self) -> list[dict[str, Any]]:
        """Fetch the state changes of the breakers."""
        entries: list[dict[str, Any]] = (await self._shop_client.get("/diary")).json()
        return entries

    async def _call(self, phase: str) -> None:
        started = time.perf_counter()
        status = await self._checkout.post()
        ended = time.perf_counter()
        self.calls.append(Call(phase, ended, (ended - started) * 1000, status))

    async def _payments_calls(self) -> int:
        calls: int = (await self._payments_client.get("/_stats")).json()["calls"]
        return calls
