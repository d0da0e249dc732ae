"""What is told of the store, and of the other workers: two of them in one process, turn by turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi._fleet.roster import KEPT, MOST, PAUSE, Roster
from breaker_asgi.monitor.history import History
from breaker_asgi.stores import MemoryStore
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.monitor.conftest import allow
from tests.monitor.test_schema import check
from tests.monitor.test_stream import Reader, look, settle, streaming


class CountingStore(MemoryStore):
    """Counts what it is asked for, and fails where that is wanted."""

    label = "redis://10.0.0.1:6379"

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.asked: list[str] = []
        self.fails = False
        self.refuses = False

    def __getattribute__(self, name: str) -> Any:
        if name in {"publish", "published", "exchange", "changes"}:
            self.asked.append(name)
            if self.fails or (self.refuses and name.startswith("publish")):
                raise OSError("no route to host")
        return super().__getattribute__(name)


class Worker:
    """A registry with a fleet whose thread the test is."""

    def __init__(self, name: str, store: CountingStore, clock: FakeClock, quorum: int) -> None:
        config = BreakerConfig(fail_max=2, timeout_duration=60, clock=clock)
        self.registry = BreakerRegistry(config)
        self.fleet = self.registry.fleet = Fleet(store, quorum=quorum, worker=name, clock=clock)
        self.fleet._roster = Roster(self.fleet)
        self.monitor = CircuitBreakerMonitor(registry=self.registry, authorize=allow)
        self.plain = CircuitBreakerMonitor(registry=self.registry)

    def fail(self, name: str, times: int = 2) -> None:
        for _ in range(times):
            self.registry.get(name).acquire().failure()

    async def store(self) -> Any:
        return check("list", (await visit(self.monitor)).text)["store"]

    async def workers(self, name: str = "payments") -> Any:
        return check("detail", (await visit(self.monitor, path=f"/{name}")).text)["workers"]


class Host:
    """Two workers, and the store between them."""

    def __init__(self, quorum: int = 1) -> None:
        self.clock = FakeClock(1_000)
        self.store = CountingStore(self.clock)
        self.a, self.b = (Worker(name, self.store, self.clock, quorum) for name in "ab")
        for each in (self.a, self.b):
            each.registry.get("payments")

    def turn(self, seconds: float = 0.0, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(seconds)
            for each in (self.a, self.b):
                each.fleet.step()

    def asked(self, what: str) -> int:
        count = self.store.asked.count(what)
        self.store.asked.clear()
        return count


@pytest.fixture
def host() -> Host:
    return Host()


# The store


async def test_without_a_store_there_is_none(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments")
    listing = check("list", (await visit(monitor)).text)
    assert (listing["store"], listing["breakers"][0]["alone"]) == (None, False)
    assert check("detail", (await visit(monitor, path="/payments")).text)["workers"] == []


async def test_the_store_is_told(host: Host) -> None:
    host.turn()
    assert await host.a.store() == {
        "label": "redis://10.0.0.1:6379",
        "works": True,
        "worker": "a",
        "problem": None,
        "workers": None,
    }
    host.turn()
    assert (await host.a.store())["workers"] == 2


async def test_without_details_it_is_not_told_where_the_store_is(host: Host) -> None:
    host.turn()
    host.store.fails = True
    host.turn(1)
    told = check("list", (await visit(host.a.plain)).text)["store"]
    assert (told["label"], told["works"], told["problem"]) == ("redis", False, None)
    assert told["worker"] != "a"
    (own,) = check("detail", (await visit(host.a.plain, path="/payments")).text)["workers"]
    assert (own["worker"], own["host"]) == (told["worker"], None)


async def test_a_store_that_fails_is_told_and_that_it_works_again(host: Host) -> None:
    host.a.registry.get("payments")
    host.turn()
    host.store.fails = True
    host.a.fail("payments", 1)
    host.turn(1)
    told = await host.a.store()
    assert (told["works"], told["problem"]) == (False, "OSError: no route to host")
    assert told["workers"] is None
    host.store.fails = False
    host.turn(5, times=2)
    assert (await host.a.store())["works"] is True


async def test_a_store_that_takes_no_figures_does_not_work(host: Host) -> None:
    host.store.refuses = True
    host.turn()
    assert (await host.a.store())["problem"] == "OSError: no route to host"
    assert host.a.fleet.step_trouble is None, "it does all that decisions need"
    host.store.refuses = False
    host.turn(PAUSE)
    assert (await host.a.store())["works"] is True


# The workers


async def test_each_worker_has_its_figures(host: Host) -> None:
    await host.a.workers()
    host.turn()
    for _ in range(10):
        host.b.registry["payments"].acquire().success()
    host.b.fail("payments", 1)
    host.turn(PAUSE, times=2)
    own, other = await host.a.workers()
    assert (own["worker"], own["successes"], own["failures"]) == ("a", 0, 0)
    assert (other["worker"], other["successes"], other["failures"]) == ("b", 10, 1)
    assert (other["state"], other["calls_per_second"]) == ("closed", 2.2)
    assert other["age"] == 0
    host.clock.advance(2)
    assert [each["age"] for each in await host.a.workers()] == [0, 2]


async def test_a_breaker_that_is_open_in_one_worker_only_says_so() -> None:
    host = Host(quorum=2)
    host.turn()
    host.a.fail("payments")
    await host.a.workers()
    await host.b.workers()
    host.turn(PAUSE, times=2)
    here, there = await host.a.workers()
    assert (here["state"], here["alone"]) == ("open", True)
    assert (there["state"], there["alone"]) == ("closed", False)
    assert [each["alone"] for each in await host.b.workers()] == [False, True]
    (told,) = check("list", (await visit(host.a.monitor)).text)["breakers"]
    assert told["alone"] is True
    assert (
        "open in this worker only"
        in (
            await visit(
                host.a.monitor,
                "/payments",
                "GET",
                [
                    ("accept", "text/html"),
                ],
            )
        ).text
    )


async def test_the_age_of_figures_is_no_news(host: Host) -> None:
    await host.a.workers()
    host.turn(PAUSE, times=2)
    first = await visit(host.a.monitor, path="/payments")
    host.clock.advance(1)
    again = await visit(host.a.monitor, path="/payments")
    assert first.text != again.text
    assert first.headers["etag"] == again.headers["etag"]


async def test_a_worker_that_is_gone_is_forgotten(host: Host) -> None:
    await host.a.workers()
    host.turn(PAUSE, times=2)
    assert len(await host.a.workers()) == 2
    found = []
    for _ in range(int(KEPT / PAUSE) + 1):
        host.clock.advance(PAUSE)
        host.a.fleet.step()
        found = await host.a.workers()
    assert [each["worker"] for each in found] == ["a"]


async def test_what_others_have_published_is_looked_at_with_care(host: Host) -> None:
    good = {"version": 1, "pid": 7, "host": "h", "breakers": []}
    row = ["payments", "open", False, 1.5, 1, 2, 3, 4]
    for number, text in enumerate(
        [
            "",
            "7",
            "[" * 100_000,
            "{}",
            json.dumps(good | {"version": 2}),
            json.dumps(good | {"pid": None}),
            *(
                json.dumps(good | {"breakers": [each]})
                for each in (
                    [],
                    7,
                    row[:-1],
                    [*row, 5],
                    ["payments", "ajar", *row[2:]],
                    [7, *row[1:]],
                    [*row[:3], float("nan"), *row[4:]],
                    [*row[:3], None, *row[4:]],
                )
            ),
        ]
    ):
        host.store.publish(f"odd {number}", text, 60)
    host.store.publish("fine", json.dumps(good | {"breakers": [row]}), 60)
    await host.a.workers()
    host.a.fleet.step()
    assert [each["worker"] for each in await host.a.workers()] == ["a", "fine"]
    assert await host.a.store() is not None


def test_a_worker_shows_what_is_not_closed_and_then_the_busiest(host: Host) -> None:
    for number in range(MOST + 50):
        breaker = host.a.registry.get(f"{number}")
        for _ in range(number):
            breaker.acquire().success()
    host.a.registry.get("quiet").open()
    host.turn()
    text = MemoryStore.published(host.store)["a"]
    shown = [each[0] for each in json.loads(text)["breakers"]]
    assert len(shown) == MOST
    assert shown[:2] == ["quiet", f"{MOST + 49}"]
    assert len(text) < 100 * MOST


# What it costs


def test_a_worker_shows_its_breakers_as_soon_as_there_are_some() -> None:
    clock = FakeClock(1_000)
    worker = Worker("a", CountingStore(clock), clock, 1)
    worker.fleet.step()
    assert worker.fleet.store.published() == {}
    worker.registry.get("payments")
    worker.fleet.step()
    assert "payments" in worker.fleet.store.published()["a"]


def test_an_idle_worker_says_so_twice_in_the_time_that_it_holds(host: Host) -> None:
    host.turn(times=3)
    host.asked("publish")
    host.turn(0.5, times=int(KEPT / 0.5))
    assert host.asked("publish") == 2 * 2


def test_a_busy_worker_publishes_every_five_seconds_and_fetches_nothing(host: Host) -> None:
    for _ in range(60):
        host.a.registry["payments"].acquire().success()
        host.turn(0.5)
    assert host.store.asked.count("published") == 0
    assert host.asked("publish") <= 7 + 3


async def test_what_others_show_is_fetched_while_somebody_looks(host: Host) -> None:
    await host.a.workers()
    host.turn(1, times=100)
    assert host.asked("published") == KEPT / PAUSE
    host.turn(1, times=100)
    assert host.asked("published") == 0


def test_a_store_that_is_out_is_not_told_anything(host: Host) -> None:
    host.turn()
    host.store.fails = True
    host.a.fail("payments", 1)
    host.turn(1)
    host.asked("publish")
    host.turn(PAUSE, times=5)
    assert host.a.fleet.step_trouble
    assert host.asked("publish") == 0


# The stream


async def test_readers_of_the_stream_are_told_of_the_store(host: Host) -> None:
    registry, reader = host.a.registry, Reader()
    History.of(registry).tick()
    host.turn()
    async with streaming(host.a.monitor, reader):
        await settle()
        host.turn()
        look(registry)
        await settle()
        host.store.fails = True
        host.a.fail("payments", 1)
        host.turn(1)
        look(registry)
        await settle()
    heard = [told["store"] for kind, told in reader.heard if kind in {"snapshot", "breakers"}]
    assert [each["workers"] for each in heard][-2:] == [2, None]
    assert [each["works"] for each in heard][-2:] == [True, False]
