"""The store and the other workers in responses: two of them in one process, step by step."""

from __future__ import annotations

import json

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi._fleet.roster import FETCH_PAUSE, KEPT, MOST, PAUSE
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.html.wording import alarm
from breaker_asgi.stores import MemoryStore
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.monitor.host import CountingStore, Host, Worker
from tests.monitor.readers import Reader, look, settle, streaming
from tests.monitor.test_schema import check


@pytest.fixture
def host() -> Host:
    return Host()


# The store


async def test_without_a_store_the_field_is_null(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments")
    listing = check("list", (await visit(monitor)).text)
    assert (listing["store"], listing["breakers"][0]["alone"]) == (None, False)
    assert check("detail", (await visit(monitor, path="/payments")).text)["workers"] == []


async def test_the_store_is_listed(host: Host) -> None:
    host.turn()
    store = await host.a.store()
    assert store.pop("members")[0]["worker"] == "a"
    assert store == {
        "label": "redis://10.0.0.1:6379",
        "works": True,
        "worker": "a",
        "problem": None,
        "workers": 1,
    }
    host.turn(PAUSE)
    store = await host.a.store()
    assert store["workers"] == 2
    assert {member["worker"] for member in store["members"]} == {"a", "b"}


async def test_without_details_the_stores_address_is_hidden(host: Host) -> None:
    host.turn()
    host.store.fails = True
    host.turn(1)
    store = check("list", (await visit(host.a.plain)).text)["store"]
    assert (store["label"], store["works"], store["problem"]) == ("redis", False, None)
    assert store["worker"] != "a"
    (own,) = check("detail", (await visit(host.a.plain, path="/payments")).text)["workers"]
    assert (own["worker"], own["host"]) == (store["worker"], None)


async def test_a_failing_store_is_reported_until_it_works_again(host: Host) -> None:
    host.a.registry.get("payments")
    host.turn()
    host.store.fails = True
    host.a.fail("payments", 1)
    host.turn(1)
    store = await host.a.store()
    assert (store["works"], store["problem"]) == (False, "OSError: no route to host")
    assert store["workers"] is None
    host.store.fails = False
    host.turn(5, times=2)
    assert (await host.a.store())["works"] is True


async def test_a_store_that_refuses_figures_works_in_part(host: Host) -> None:
    host.store.refuses = True
    host.turn()
    store = await host.a.store()
    assert (store["works"], store["problem"]) == (True, "OSError: no route to host")
    assert alarm(store) == f"The store {store['label']} works only in part: {store['problem']}."
    assert host.a.registry.health().status == "ok", "no worker decides alone"
    assert host.a.fleet.step_trouble is None, "decisions do not need figures"
    host.store.refuses = False
    host.turn(PAUSE)
    assert (await host.a.store())["problem"] is None


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
    assert [worker["age"] for worker in await host.a.workers()] == [0, 2]


async def test_each_worker_has_its_calls_under_way(host: Host) -> None:
    await host.a.workers()
    timed = host.b.registry.get("search", slow_call_rate=1, slow_call_duration=2)
    host.a.registry.get("search")
    old, new = timed.acquire(), timed.acquire()
    host.turn(PAUSE, times=2)
    own, other = await host.a.workers("search")
    assert (own["calls_under_way"], own["slow_calls_under_way"]) == (None, None)
    assert (other["calls_under_way"], other["slow_calls_under_way"]) == (2, 2)
    old.success()
    new.success()


async def test_a_breaker_open_in_one_worker_only_is_marked() -> None:
    host = Host(quorum=2)
    host.turn()
    host.a.fail("payments")
    await host.a.workers()
    await host.b.workers()
    host.turn(PAUSE, times=2)
    here, there = await host.a.workers()
    assert (here["state"], here["alone"]) == ("open", True)
    assert (there["state"], there["alone"]) == ("closed", False)
    assert [worker["alone"] for worker in await host.b.workers()] == [False, True]
    (breaker,) = check("list", (await visit(host.a.monitor)).text)["breakers"]
    assert breaker["alone"] is True
    assert (
        "open in 1 of 2 workers"
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


async def test_the_age_of_figures_does_not_change_the_etag(host: Host) -> None:
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
    workers = []
    for _ in range(int(KEPT / PAUSE) + 1):
        host.clock.advance(PAUSE)
        host.a.fleet.step()
        workers = await host.a.workers()
    assert [worker["worker"] for worker in workers] == ["a"]


async def test_malformed_figures_of_other_workers_are_ignored(host: Host) -> None:
    good = {"version": 1, "pid": 7, "host": "h", "breakers": []}
    row = ["payments", "open", False, 1.5, 1, 2, 3, 4, 5, None]
    for number, text in enumerate(
        [
            "",
            "7",
            "[" * 100_000,
            "{}",
            json.dumps(good | {"version": 2}),
            json.dumps(good | {"pid": None}),
            *(
                json.dumps(good | {"breakers": [entry]})
                for entry in (
                    [],
                    7,
                    row[:-1],
                    [*row, 5],
                    ["payments", "ajar", *row[2:]],
                    [7, *row[1:]],
                    [*row[:3], float("nan"), *row[4:]],
                    [*row[:3], None, *row[4:]],
                    [*row[:-1], "many"],
                )
            ),
            *(
                json.dumps(good | {"breakers": [row], "more": {"payments": more}})
                for more in ({"ignored": "x"}, {"ok_per_second": 1e999}, {"outage": 7}, 7)
            ),
            json.dumps(good | {"breakers": [row], "extras": 7}),
        ]
    ):
        host.store.publish(f"odd {number}", text, 60)
    host.store.publish("fine", json.dumps(good | {"breakers": [row]}), 60)
    await host.a.workers()
    host.a.fleet.step()
    assert [worker["worker"] for worker in await host.a.workers()] == ["a", "fine"]
    assert await host.a.store() is not None


async def test_figures_of_an_earlier_version_lack_the_calls_under_way(host: Host) -> None:
    row = ["payments", "open", False, 1.5, 1, 2, 3, 4]
    figures = {"version": 1, "number": 1, "pid": 7, "host": "h", "breakers": [row]}
    host.store.publish("earlier", json.dumps(figures), 60)
    await host.a.workers()
    host.a.fleet.step()
    earlier = (await host.a.workers())[1]
    assert (earlier["rejected"], earlier["calls_under_way"]) == (4, None)


def test_a_worker_publishes_breakers_that_are_not_closed_and_then_the_busiest(host: Host) -> None:
    for number in range(MOST + 50):
        breaker = host.a.registry.get(f"{number}")
        for _ in range(number):
            breaker.acquire().success()
    host.a.registry.get("quiet").open()
    host.turn()
    text = MemoryStore.published(host.store)["a"]
    names = [entry[0] for entry in json.loads(text)["breakers"]]
    assert len(names) == MOST
    assert names[:2] == ["quiet", f"{MOST + 49}"]
    assert len(text) < 200 * MOST


# Cost


def test_a_worker_publishes_its_first_breaker_at_once() -> None:
    clock = FakeClock(1_000)
    worker = Worker("a", CountingStore(clock), clock, 1)
    worker.fleet.step()
    assert worker.fleet.board.published() == {}
    worker.registry.get("payments")
    worker.fleet.step()
    assert "payments" in worker.fleet.board.published()["a"]


def test_an_idle_worker_publishes_twice_per_time_to_live(host: Host) -> None:
    host.turn(times=3)
    host.take_calls("publish")
    host.turn(0.5, times=int(KEPT / 0.5))
    assert host.take_calls("publish") == 2 * 2


def test_a_busy_worker_publishes_every_five_seconds_and_fetches_nothing(host: Host) -> None:
    for worker in (host.a, host.b):
        worker.fleet.observer = None  # there is no monitor
    host.take_calls("published")
    for _ in range(60):
        host.a.registry["payments"].acquire().success()
        host.turn(0.5)
    assert host.store.calls.count("published") == 0
    assert host.take_calls("publish") <= 7 + 3


async def test_figures_of_other_workers_are_fetched_more_often_while_observed(host: Host) -> None:
    host.b.fleet.observer = None  # it has no monitor, and fetches nothing
    host.turn()
    await host.a.workers()
    host.take_calls("published")
    host.turn(1, times=30)
    assert host.take_calls("published") == KEPT / FETCH_PAUSE
    host.turn(1, times=60)
    assert host.take_calls("published") == 4


async def test_the_first_answer_has_all_workers(host: Host) -> None:
    host.turn(PAUSE, times=10)
    assert [row["worker"] for row in await host.a.workers()] == ["a", "b"]


def test_figures_are_not_published_to_a_failing_store(host: Host) -> None:
    host.turn()
    host.store.fails = True
    host.a.fail("payments", 1)
    host.turn(1)
    host.take_calls("publish")
    host.turn(PAUSE, times=5)
    assert host.a.fleet.step_trouble
    assert host.take_calls("publish") == 0


# The stream


async def test_the_stream_reports_the_store(host: Host) -> None:
    registry, reader = host.a.registry, Reader()
    History.of(registry).tick()
    host.turn()
    async with streaming(host.a.monitor, reader):
        await settle()
        host.turn(PAUSE)
        look(registry)
        await settle()
        host.store.fails = True
        host.a.fail("payments", 1)
        host.turn(1)
        look(registry)
        await settle()
    stores = [content["store"] for content in reader.named("figures") if "store" in content]
    assert [store["workers"] for store in stores][-2:] == [2, None]
    assert [store["works"] for store in stores][-2:] == [True, False]


async def test_a_stream_may_be_of_one_worker(host: Host) -> None:
    registry, own, other = host.a.registry, Reader(), Reader()
    host.a.registry["payments"].acquire().success()
    host.b.fail("payments", 1)
    History.of(registry).tick()
    await host.a.workers()
    host.turn(PAUSE, times=3)
    async with (
        streaming(host.a.monitor, own, query="worker=a"),
        streaming(host.a.monitor, other, query="worker=b"),
    ):
        assert own.snapshot["scope"] == {"worker": "a"}
        assert other.snapshot["scope"] == {"worker": "b"}
        assert own.rows["payments"]["consecutive_failures"] == 0
        assert other.rows["payments"]["consecutive_failures"] == 1
        assert own.snapshot["traffic"]["seconds"]
        assert not other.snapshot["traffic"]["seconds"]
