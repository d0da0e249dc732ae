"""Twenty clients of the service, and the faults of its dependencies."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from example_app.processes import child, listen, wait_for
from tests.integration.programs import redis_server
from tests.integration.sdks.postgres import Postgres

ROUTES = ("/chat", "/answer", "/items/1", "/visits")
CLIENTS = 20
PACE = 0.05
"""Seconds between two requests of a client."""
LONGEST_RECOVERY = 20.0


@dataclass
class Phase:
    """The answers that the clients got while something was broken."""

    name: str
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By route and by status, or "cut" for a body that broke off."""
    rejections: list[float] = field(default_factory=list)
    """Seconds that each rejected client waited for its 503.

    The longest are of calls that were admitted and failed, and were rejected at the SDK's retry.
    """
    without_retry_after: int = 0
    breakers: dict[str, str] = field(default_factory=dict)
    """The reasons of the breakers that are not closed at the end."""
    recovered_after: float = 0.0
    """Seconds from the end of the fault until each route answers, and each breaker is closed."""

    def statuses(self, *routes: str) -> set[str]:
        return {status for route, status in self.answers if not routes or route in routes}


async def _hammer(url: str, phase: Phase, seconds: float) -> None:
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(
        base_url=url, timeout=10, limits=limits, trust_env=False
    ) as client:

        async def call(number: int) -> None:
            while time.monotonic() < end:
                await _ask(client, ROUTES[number % len(ROUTES)], phase)
                await asyncio.sleep(PACE)
                number += 1

        await asyncio.gather(*(call(number) for number in range(CLIENTS)))


async def _ask(client: httpx.AsyncClient, route: str, phase: Phase) -> None:
    began = time.monotonic()
    try:
        response = await client.get(route)
    except httpx.RemoteProtocolError:
        phase.answers[route, "cut"] += 1
        return
    phase.answers[route, str(response.status_code)] += 1
    if response.status_code == 503:
        phase.rejections.append(time.monotonic() - began)
        phase.without_retry_after += "retry-after" not in response.headers


class Service:
    """The running service."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def troubled(self) -> dict[str, str]:
        """Return the breakers that are not closed, and why."""
        breakers = self._client.get("/breakers").json()["breakers"]
        return {
            breaker["name"]: f"{breaker['state']} ({breaker['reason']})"
            for breaker in breakers
            if breaker["state"] != "closed"
        }

    def is_well(self) -> bool:
        try:
            well = all(self._client.get(route).status_code == 200 for route in ROUTES)
        except httpx.RemoteProtocolError:
            return False
        return well and not self.troubled()

    def seconds_until_well(self) -> float:
        began = time.monotonic()
        while not self.is_well():
            assert time.monotonic() - began < LONGEST_RECOVERY, self.troubled()
            time.sleep(0.02)
        return time.monotonic() - began


@contextmanager
def _redis() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [redis_server(), "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            while "Ready to accept connections" not in process.stdout.readline():
                assert process.poll() is None
            yield f"redis://127.0.0.1:{port}", process
        finally:
            process.kill()


@contextmanager
def _postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp())
    try:
        server = Postgres(folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def play(seconds: float) -> list[Phase]:
    """Break one dependency after another, each for some seconds."""
    with (
        listen() as llm_listener,
        listen() as listener,
        _postgres() as database,
        _redis() as (cache_url, cache),
        child("example_app.chat.provider:app", llm_listener) as llm,
        child(
            "tests.integration.sdks.service:app",
            listener,
            LLM_URL=llm,
            DATABASE=database.place,
            CACHE_URL=cache_url,
        ) as url,
    ):
        wait_for(f"{llm}/behaviour")
        wait_for(f"{url}/breakers")

        def behave(**behaviour: float) -> Callable[[], object]:
            return lambda: httpx.post(f"{llm}/behaviour", json=behaviour, trust_env=False)

        faults: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
            ("all well", behave(), behave()),
            ("LLM hangs", behave(slow=60), behave()),
            ("LLM streams cut", behave(cut_after=2), behave()),
            ("PostgreSQL stopped", database.stop, database.start),
            (
                "Redis hangs",
                lambda: cache.send_signal(signal.SIGSTOP),
                lambda: cache.send_signal(signal.SIGCONT),
            ),
        ]
        service = Service(url)
        service.seconds_until_well()
        return [_phase(service, name, hurt, heal, seconds) for name, hurt, heal in faults]


def _phase(
    service: Service,
    name: str,
    hurt: Callable[[], object],
    heal: Callable[[], object],
    seconds: float,
) -> Phase:
    phase = Phase(name)
    hurt()
    asyncio.run(_hammer(service.url, phase, seconds))
    phase.breakers = service.troubled()
    heal()
    phase.recovered_after = service.seconds_until_well()
    return phase


def table(phases: list[Phase]) -> str:
    """Return the phases as text."""
    lines = []
    for phase in phases:
        waits = sorted(phase.rejections)
        lines += [
            f"{phase.name}: recovered after {phase.recovered_after:.1f} s",
            *(f"  {route:<9} {_counts(phase, route)}" for route in ROUTES),
        ]
        if waits:
            lines.append(
                f"  {len(waits)} rejections in {waits[len(waits) // 2] * 1000:.1f} ms, the longest "
                f"{waits[-1] * 1000:.1f} ms; {phase.without_retry_after} without Retry-After"
            )
        lines += [f"  {breaker}: {reason}" for breaker, reason in phase.breakers.items()]
    return "\n".join(lines) + "\n"


def _counts(phase: Phase, route: str) -> str:
    counts = sorted((status, n) for (path, status), n in phase.answers.items() if path == route)
    return ", ".join(f"{n} x {status}" for status, n in counts)
