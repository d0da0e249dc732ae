"""Latencies of a service's other routes while a dependency hangs, with breakers and without."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from time import perf_counter

import httpx

from benchmarks.tables import Table, mark, number
from example_app.client import Poster
from example_app.processes import child, listen, wait_for

WORKERS = 2
_CHECKOUTS = 150
_LOOKS = 50
"""Requests a second, however long the earlier ones wait."""
_HUNG = {"latency_s": 60}
_AIM = 2.0
_SHORTEST = 2
_STATUSES = (200, 503, 504)
PHASES = ("healthy", "begins to hang", "hung")
_HEADER = ["payments", "p50 ms", "p99 ms", "x healthy", "aim", "is"]
_HEADER += ["well", "rejected", "timed out", "reached", "piled up"]


@dataclass
class Figures:
    """Measurements of the clients during a phase."""

    looks: list[float] = field(default_factory=list)
    """Milliseconds of each request for the products."""
    statuses: Counter[int] = field(default_factory=Counter)
    reached: int = 0
    waiting: int = 0
    piled_up: int = 0
    """The most checkouts that waited at one time."""

    def percentile(self, share: float) -> float:
        return sorted(self.looks)[ceil(share * len(self.looks)) - 1]


class Looker:
    """Looks at the products, over connections that it keeps."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._address = host, int(port)
        self._request = f"GET /products HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def look(self) -> None:
        connection = self._idle.pop(0) if self._idle else await self._connect()
        reader, writer = connection
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.decode())
        self._idle.append(connection)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._address)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


class Side:
    """A shop, its payment service, and its clients."""

    def __init__(self, shop: str, payments: str) -> None:
        self._checkout = Poster(f"{shop}/checkout")
        self._looker = Looker(shop)
        self._payments = httpx.AsyncClient(base_url=payments, trust_env=False)

    async def play(self, seconds: float) -> list[Figures]:
        """Play the same load while payments are healthy, begin to hang, and hang."""
        async with self._checkout, self._payments:
            await self._phase(1)  # a process that has served nothing yet is slow at first
            healthy = await self._phase(seconds)
            (await self._payments.post("/_faults", json=_HUNG)).raise_for_status()
            hangs = await self._phase(1)
            hung = await self._phase(seconds)
        self._looker.close()
        return [healthy, hangs, hung]

    async def _phase(self, seconds: float) -> Figures:
        figures = Figures()
        before = await self._reached()
        async with asyncio.TaskGroup() as tasks:
            for job, rate in ((self._buy, _CHECKOUTS), (self._look, _LOOKS)):
                tasks.create_task(_arrive(job, rate, seconds, figures, tasks))
        figures.reached = await self._reached() - before
        return figures

    async def _buy(self, figures: Figures, _due: float) -> None:
        figures.waiting += 1
        figures.piled_up = max(figures.piled_up, figures.waiting)
        figures.statuses[await self._checkout.post()] += 1
        figures.waiting -= 1

    async def _look(self, figures: Figures, due: float) -> None:
        await self._looker.look()
        figures.looks.append((perf_counter() - due) * 1000)

    async def _reached(self) -> int:
        calls: int = (await self._payments.get("/_stats")).json()["calls"]
        return calls


async def _arrive(
    job: Callable[[Figures, float], Awaitable[None]],
    rate: int,
    seconds: float,
    figures: Figures,
    tasks: asyncio.TaskGroup,
) -> None:
    """Start a job at a steady rate, with the time at which it was due."""

    async def do(due: float) -> None:
        await job(figures, due)

    start = perf_counter()
    for number_ in range(int(rate * seconds)):
        due = start + number_ / rate
        await asyncio.sleep(max(0, due - perf_counter()))
        tasks.create_task(do(due))


def play(seconds: float, **environment: str) -> list[Figures]:
    """Play the load on a shop of several workers, which share its port, and a payment service."""
    with ExitStack() as processes:
        payments = processes.enter_context(child("example_app.payments:app", listen()))
        listener = processes.enter_context(listen())
        shop = ""
        for _ in range(WORKERS):
            worker = child(
                "example_app.shop:app",
                listener.dup(),
                SHOP_PAYMENTS_URL=payments,
                **environment,
            )
            shop = processes.enter_context(worker)
        wait_for(f"{payments}/_stats")
        wait_for(f"{shop}/products")
        return asyncio.run(Side(shop, payments).play(seconds))


def tables(rounds: int) -> Iterator[Table]:
    """Yield the table; more rounds are more seconds."""
    seconds = max(_SHORTEST, rounds // 3)
    sides = {"with breakers": play(seconds), "without": play(seconds, SHOP_BREAKERS="off")}
    rows = []
    for side, phases in sides.items():
        healthy, _, hung = phases
        for phase, figures in zip(PHASES, phases, strict=True):
            ratio = figures.percentile(0.99) / healthy.percentile(0.99)
            judged = figures is hung and side == "with breakers"
            aim = [number(_AIM), mark(met=ratio <= _AIM)] if judged else ["", ""]
            latencies = (figures.percentile(0.5), figures.percentile(0.99), ratio)
            counts = (
                *(figures.statuses[status] for status in _STATUSES),
                figures.reached,
                figures.piled_up,
            )
            rows.append(
                [f"{phase}, {side}", *map(number, latencies), *aim, *map("{:,}".format, counts)]
            )
    yield Table(
        "A service whose dependency hangs: how its other routes fare",
        _HEADER,
        rows,
        f"The example shop with {WORKERS} workers, {seconds} s each but for the beginning: "
        f"{_CHECKOUTS} checkouts and {_LOOKS} looks at the products a second. The latencies "
        "are those of the looks, and the aim is for their p99. The counts are those of the "
        "checkouts: how they were answered, how many reached the payment service, how many waited "
        "at one time.",
    )
