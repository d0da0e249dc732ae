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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from breaker_asgi.monitor.traffic import SECONDS
from example_app.client import Poster

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 180.0
EXPECTED = re.compile(r"INFO: |WARNING:  Invalid HTTP request|breaker '.+': [a-z-]+ -> [a-z-]+ ")


class Server:
    """A running uvicorn."""

    def __init__(self, log: Path, url: str) -> None:
        self.log = log
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False)

    def read(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def breakers(self) -> dict[str, dict[str, Any]]:
        return {breaker["name"]: breaker for breaker in self.read("/breakers")["breakers"]}

    def complaints(self) -> list[str]:
        """Return the unexpected lines of the log."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if not EXPECTED.match(line)]

    def is_up(self) -> bool:
        try:
            return self.client.get("/openapi.json").is_success
        except httpx.TransportError:
            return False


@contextmanager
def server(log: Path, app: str, *options: str, **environment: str) -> Iterator[Server]:
    options = ("--port", "0", "--no-access-log", "--timeout-keep-alive", "120", *options)
    command = [sys.executable, "-m", "uvicorn", app, *options]
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
    match = re.search(r"running on (http://[\d.:]+)", log.read_text())
    return match[1] if match else ""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition` is true, and return its result."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.05)
    return pytest.fail(f"waited {DEADLINE} s: {what}")


# While payments hang

CALLERS = 200
LOOKERS = 30
WORKERS = 2
FAIL_MAX = 5
"""Failures that open the shop's breaker for payments; every worker has its own."""
TIMED_OUT, REJECTED = 504, 503
ALL_REJECTED = Counter({REJECTED: CALLERS})


@dataclass
class Rush:
    """Statuses of all callers that buy at once, and of some that list the products."""

    bought: Counter[int]
    looked: Counter[int]


@dataclass
class Story:
    """Statuses of the rushes, and the calls that reached payments after each."""

    rushes: list[Rush] = field(default_factory=list)
    reached: list[int] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def bought(self) -> list[Counter[int]]:
        return [rush.bought for rush in self.rushes]


Play: TypeAlias = Callable[..., Story]
"""A function that plays rushes until a condition is true, in an environment."""


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
                story.reached.append(await self._reached())
        story.complaints = self._running.complaints()
        return story

    async def _rush(self) -> Rush:
        bought, looked = await asyncio.gather(
            asyncio.gather(*(self._checkout.post() for _ in range(CALLERS))),
            asyncio.gather(*(self._client.get("/products") for _ in range(LOOKERS))),
        )
        return Rush(Counter(bought), Counter(response.status_code for response in looked))

    async def _reached(self) -> int:
        """Return the calls that reached payments, after those under way have arrived."""
        calls = -1
        while calls != (now := self._payments.read("/_stats")["calls"]):
            calls = now
            await asyncio.sleep(0.3)
        return calls


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A payment service that hangs."""
    log = tmp_path_factory.mktemp("payments") / "log"
    with server(log, "example_app.payments:app", "--timeout-graceful-shutdown", "1") as payments:
        payments.client.post("/_faults", json={"latency_s": 60}).raise_for_status()
        yield payments


@pytest.fixture(scope="module")
def play(payments: Server, tmp_path_factory: pytest.TempPathFactory) -> Play:
    def play(is_enough: Callable[[Story], bool], **environment: str) -> Story:
        log = tmp_path_factory.mktemp("shop") / "log"
        environment |= {"SHOP_PAYMENTS_URL": payments.url, "SHOP_OPEN_SECONDS": "600"}
        workers = ("--workers", str(WORKERS))
        with server(log, "example_app.shop:app", *workers, **environment) as shop:
            return asyncio.run(Shop(shop, payments).play(is_enough))

    return play


@pytest.fixture(scope="module")
def unprotected(play: Play) -> Story:
    return play(lambda story: len(story.rushes) == 2, SHOP_BREAKERS="off")


@pytest.fixture(scope="module")
def protected(play: Play) -> Story:
    """A story that ends when four rushes were rejected."""
    return play(lambda story: story.bought().count(ALL_REJECTED) == 4)


def test_without_breakers_every_caller_waits_for_the_timeout_every_time(unprotected: Story) -> None:
    assert unprotected.bought() == [{TIMED_OUT: CALLERS}] * 2


def test_with_breakers_only_the_callers_before_the_trip_wait(protected: Story) -> None:
    first, *later = (statuses[TIMED_OUT] for statuses in protected.bought())
    assert first >= FAIL_MAX
    assert sum(later) < 2 * FAIL_MAX * WORKERS


def test_with_breakers_no_caller_waits_after_the_trip(protected: Story) -> None:
    assert protected.bought()[-4:] == [ALL_REJECTED] * 4


def test_with_breakers_no_call_reaches_payments_after_the_trip(protected: Story) -> None:
    assert protected.reached[-4:] == [protected.reached[-1]] * 4


def test_with_breakers_the_other_routes_answer(protected: Story) -> None:
    assert [rush.looked for rush in protected.rushes] == [{200: LOOKERS}] * len(protected.rushes)


def test_with_breakers_the_log_has_state_changes_only(protected: Story) -> None:
    assert protected.complaints == []


# Under attack

ATTACKERS = 200
REQUESTS = 10_000
LOOKS = 2_000
FEW = 20
ROUNDS = 20
FRESH = count()
"""Numbers that no attack has used: every round has other paths and headers."""

Attack: TypeAlias = Callable[["Target", int], Awaitable[None]]


class Target:
    """An application of one worker, and the objects that attacks leave behind in it."""

    def __init__(self, attacked: Server) -> None:
        self.server = attacked
        self._address = attacked.url.removeprefix("http://").split(":")
        self._tasks = attacked.read("/kept")["tasks"]

    async def connect(self) -> Connection:
        return await asyncio.open_connection(*self._address)

    async def item(self) -> Any:
        return await asyncio.to_thread(self.server.read, "/items/tea")

    async def kept(self) -> Counter[str]:
        """Count the objects that are kept after all requests have ended."""
        kept = await asyncio.to_thread(until, self._kept, "all requests have ended")
        return Counter(kept)

    def _kept(self) -> dict[str, int] | None:
        kept: dict[str, int] = self.server.read("/kept")
        return kept if kept.pop("tasks") <= self._tasks else None

    async def total(self, total: str, *breakers: str) -> int:
        """Return a total of some breakers after all requests have ended."""
        await self.kept()
        listed = self.server.breakers()
        return sum(listed[name][total] for name in breakers or listed if name in listed)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    log = tmp_path_factory.mktemp("target") / "log"
    with server(log, "tests.integration.fire_app:app") as attacked:
        yield Target(attacked)
    assert attacked.complaints() == []


async def all_at_once(attack: Callable[[int], Awaitable[None]], attackers: int) -> None:
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*map(attack, range(attackers)))


async def leave(connection: Connection, number: int = 0) -> None:
    """Close a connection, or abort it if the number is odd."""
    _, writer = connection
    if number % 2:
        writer.transport.abort()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def slow_loris(target: Target, attackers: int) -> None:
    """Send parts of a request byte by byte, and keep the connections open."""
    request = b"POST /uploads HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\n\r\nlate"

    async def attack(number: int) -> None:
        connections.append(await target.connect())
        _, writer = connections[-1]
        for at in range(number % len(request)):
            writer.write(request[at : at + 1])
            await asyncio.sleep(0.001)

    connections: list[Connection] = []
    await all_at_once(attack, attackers)
    assert await target.item() == "tea"
    for number, connection in enumerate(connections):
        await leave(connection, number)


async def leave_mid_upload(target: Target, attackers: int) -> None:
    head = b"POST /uploads HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000\r\n"

    async def attack(number: int) -> None:
        reader, writer = connection = await target.connect()
        writer.write(head + b"Expect: 100-continue\r\n\r\n")
        await reader.readuntil(b"100 Continue\r\n\r\n")  # when the handler begins to read
        writer.write(b"a little")
        await leave(connection, number)

    await all_at_once(attack, attackers)


async def leave_mid_stream(target: Target, attackers: int) -> None:
    async def attack(number: int) -> None:
        reader, writer = connection = await target.connect()
        path = b"/events" if number % 4 > 1 else b"/stream"
        writer.write(b"GET %b HTTP/1.1\r\nHost: shop\r\n\r\n" % path)
        await reader.readuntil(b"data: more")
        await leave(connection, number)

    await all_at_once(attack, attackers)


async def header_bombs(target: Target, attackers: int) -> None:
    """Send a huge header, or very many: some servers refuse them."""

    async def attack(number: int) -> None:
        fresh = next(FRESH)
        big = b"X-%d: %b\r\n" % (fresh, b"x" * 64_000)
        many = b"".join(b"X-%d-%d: x\r\n" % (fresh, place) for place in range(1_000))
        reader, writer = connection = await target.connect()
        writer.write(b"GET /items/%d HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n" % fresh)
        writer.write((big, many)[number % 2] + b"\r\n")
        with suppress(ConnectionError):
            await reader.read()
        await leave(connection)

    await all_at_once(attack, attackers)


PATHS = [
    "/{}",
    "/items/{}",
    "/items/{}/{}",
    "/items/%f0%9f%8d%b5{}",
    "/%0a{}",
    "//{}//",
    "/../{}/..%2f",
    f"/{{}}/{'x' * 2_000}",
    "/breakers/{}",
    "/wp-admin/{}.php?{}",
]


def hostile_request(number: int) -> bytes:
    method = ("GET", "POST", "PROPFIND")[number % 3]
    path = PATHS[number % len(PATHS)].replace("{}", str(number))
    host = f"{number}.shop"
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()


async def hostile_paths(target: Target, requests: int) -> None:
    numbers = islice(FRESH, requests)

    async def attack(_: int) -> None:
        reader, writer = connection = await target.connect()
        for number in numbers:
            writer.write(hostile_request(number))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.split(b" ", 2)[1] in {b"200", b"404", b"405"}, (number, head)
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
        await leave(connection)

    await all_at_once(attack, FEW)


async def leave_the_monitor(target: Target, attackers: int) -> None:
    """Leave a stream of the monitor."""

    async def attack(number: int) -> None:
        reader, writer = connection = await target.connect()
        path = b"/breakers/stream?%d" % next(FRESH)
        writer.write(b"GET %b HTTP/1.1\r\nHost: shop\r\n\r\n" % path)
        await reader.readuntil(b"event: snapshot")
        await leave(connection, number)

    await all_at_once(attack, attackers)


async def hostile_queries(target: Target, requests: int) -> None:
    """Request many different listings of the monitor."""
    numbers = islice(FRESH, requests)
    queries = ["name=*{}*", "name=[!{}]?*&state=open", "state={}", "limit={}", "after={}", "{}"]

    async def attack(_: int) -> None:
        reader, writer = connection = await target.connect()
        for number in numbers:
            query = queries[number % len(queries)].replace("{}", str(number))
            header = f'If-None-Match: "{number}"'
            writer.write(
                f"GET /breakers?{query} HTTP/1.1\r\nHost: shop\r\n{header}\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.split(b" ", 2)[1] in {b"200", b"400"}, (number, head)
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
        await leave(connection)

    await all_at_once(attack, FEW)


ATTACKS: dict[Attack, int] = {
    slow_loris: ATTACKERS,
    leave_mid_upload: ATTACKERS,
    leave_mid_stream: ATTACKERS,
    header_bombs: ATTACKERS,
    hostile_paths: REQUESTS,
    leave_the_monitor: ATTACKERS,
    hostile_queries: LOOKS,
}
any_attack = pytest.mark.parametrize(
    "attack", ATTACKS, ids=[attack.__name__.replace("_", " ") for attack in ATTACKS]
)


@any_attack
async def test_an_attack_leaks_no_memory(attack: Attack, target: Target) -> None:
    """Attack in rounds: the first ones warm up the server, a leak grows with every round.

    On a busy machine a round takes seconds, and the monitor's minute of history grows in each until
    it is full.
    """
    size = ATTACKS[attack]
    await attack(target, FEW)
    grown = Counter[str]()
    is_full = time.monotonic() + SECONDS
    rounds = count()
    while next(rounds) < ROUNDS or time.monotonic() < is_full:
        before = await target.kept()
        await attack(target, size)
        grown = await target.kept() - before
        if all(growth < size / 10 for growth in grown.values()):
            return
    pytest.fail(f"{size} attackers left behind {grown}, time and again")


@any_attack
async def test_an_attack_creates_no_breaker(attack: Attack, target: Target) -> None:
    await attack(target, len(PATHS))
    breakers = target.server.breakers().keys()
    await attack(target, ATTACKERS)
    assert target.server.breakers().keys() == breakers


@any_attack
async def test_an_attack_counts_no_failure_and_no_rejection(attack: Attack, target: Target) -> None:
    await attack(target, ATTACKERS)
    assert await target.total("failures") == 0
    assert await target.total("rejected") == 0


@any_attack
async def test_an_attack_leaves_no_error_in_the_log(attack: Attack, target: Target) -> None:
    await attack(target, ATTACKERS)
    await target.kept()
    assert target.server.complaints() == []


async def test_a_client_that_leaves_mid_upload_is_ignored(target: Target) -> None:
    before = await target.total("ignored", "storage")
    await leave_mid_upload(target, ATTACKERS)
    assert await target.total("ignored", "storage") == before + ATTACKERS


async def test_a_client_that_leaves_mid_stream_is_a_success(target: Target) -> None:
    streams = ("GET /stream", "GET /events")
    before = await target.total("successes", *streams)
    await leave_mid_stream(target, ATTACKERS)
    assert await target.total("successes", *streams) == before + ATTACKERS
