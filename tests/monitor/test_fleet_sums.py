"""The figures of all workers, added up: two of them in one process, step by step."""

from __future__ import annotations

import json
from typing import Any

import pytest

from breaker_asgi import CircuitBreakerMonitor
from breaker_asgi._fleet.roster import PAUSE
from breaker_asgi.monitor.history import History
from tests.asgi.visitor import visit
from tests.monitor.conftest import deny
from tests.monitor.host import Host, Worker
from tests.monitor.test_schema import check


@pytest.fixture
def host() -> Host:
    return sharing(Host())


def sharing(host: Host) -> Host:
    for worker in (host.a, host.b):
        History.of(worker.registry)._clock = host.clock
    host.turn()
    return host


def call(worker: Worker, ok: int = 0, failed: int = 0, name: str = "payments") -> None:
    """Make calls that end at once."""
    for outcome in [True] * ok + [False] * failed:
        permit = worker.registry.get(name).acquire()
        if outcome:
            permit.success()
        else:
            permit.failure()


def pass_seconds(host: Host, seconds: float = PAUSE) -> None:
    """Pass the figures of both workers on, and let the second end."""
    for worker in (host.a, host.b):
        worker.fleet.workers()
    host.turn(seconds, times=2)
    for worker in (host.a, host.b):
        History.of(worker.registry).tick()


def exchange(host: Host) -> None:
    """Let the second end, and have b publish what a then fetches."""
    History.of(host.a.registry).tick()
    host.clock.advance(PAUSE)
    host.b.fleet.step()
    host.a.fleet.step()


def reject(worker: Worker, calls: int, name: str = "payments") -> None:
    """Count calls as rejected, as an open breaker does."""
    worker.registry.get(name).rejected += calls


async def listed(worker: Worker, query: str = "") -> Any:
    return check("list", (await visit(worker.monitor, f"/{query}")).text)


async def detail(worker: Worker, query: str = "", name: str = "payments") -> Any:
    return check("detail", (await visit(worker.monitor, f"/{name}{query}")).text)


def named(listing: Any, name: str) -> Any:
    return next(breaker for breaker in listing["breakers"] if breaker["name"] == name)


# Sums


async def test_totals_are_of_all_workers(host: Host) -> None:
    call(host.a, ok=3)
    call(host.b, ok=4, failed=1)
    pass_seconds(host)
    for worker in (host.a, host.b):
        breaker = await detail(worker)
        assert (breaker["successes"], breaker["failures"]) == (7, 1)
        assert breaker["states"] == {"closed": 2}


async def test_rates_and_shares_are_of_all_workers(host: Host) -> None:
    pass_seconds(host)
    call(host.a, ok=10)
    call(host.b, ok=9, failed=1)
    reject(host.b, calls=5)
    exchange(host)
    breaker = await detail(host.a)
    assert breaker["calls_per_second"] == pytest.approx(10 / 10 + 15 / 5)
    assert breaker["rejected_per_second"] == 1
    assert breaker["rejected_share"] == pytest.approx(1 / 4)
    assert breaker["failing_share"] == pytest.approx(0.2 / 3)


async def test_the_summary_is_of_all_workers(host: Host) -> None:
    pass_seconds(host)
    call(host.a, ok=10)
    call(host.b, ok=4, failed=1, name="search")
    exchange(host)
    summary = (await listed(host.a))["summary"]
    assert (summary["total"], summary["workers"]) == (2, 2)
    assert summary["calls_per_second"] == pytest.approx(10 / 10 + 5 / 5)
    assert summary["failing_share"] == pytest.approx(0.2 / 2)


async def test_percentiles_are_merged(host: Host) -> None:
    worker = host.b
    worker.registry.get("payments")
    History.of(worker.registry).tick()
    for took in [0.1] * 3 + [0.9]:
        permit = worker.registry.get("payments").acquire()
        host.clock.advance(took)
        permit.success()
    History.of(worker.registry).tick()
    pass_seconds(host)
    breaker = await detail(host.a)
    assert breaker["p50"] == pytest.approx(0.1, rel=0.03)
    assert breaker["p99"] == pytest.approx(0.9, rel=0.03)


async def test_the_last_failure_is_the_latest_of_all(host: Host) -> None:
    host.b.registry.get("payments").acquire().failure(OSError())
    pass_seconds(host)
    assert (await detail(host.a))["last_failure_type"] == "OSError"


async def test_failures_by_type_are_summed(host: Host) -> None:
    host.a.registry.get("payments").acquire().failure(OSError())
    host.b.registry.get("payments").acquire().failure(KeyError())
    host.b.registry.get("payments").acquire().success()
    host.b.registry.get("payments").acquire().failure(OSError())
    pass_seconds(host)
    assert (await detail(host.a))["failure_types"] == {"OSError": 2, "KeyError": 1}


async def test_a_hint_is_given_once_with_the_workers_in_which_it_holds(host: Host) -> None:
    for worker in (host.a, host.b):
        breaker = worker.registry.get("tax", ignore=[KeyError])
        for _ in range(10):
            breaker.acquire().raised(KeyError())
    for worker in (host.a, host.b):
        worker.fleet.observer._hinted_at = -1e9  # type: ignore[union-attr]
    pass_seconds(host)
    (hint,) = (await detail(host.a, name="tax"))["hints"]
    assert (hint["setting"], hint["workers"]) == ("ignore", 2)


async def test_the_figures_that_trip_are_those_of_the_store(host: Host) -> None:
    call(host.a, failed=1)
    host.turn(1)
    call(host.b, ok=1)
    host.turn(1, times=2)
    call(host.b, failed=1)
    host.turn(1, times=2)
    assert (await detail(host.b))["consecutive_failures"] == 1


async def test_an_outage_has_the_rejections_of_all_workers(host: Host) -> None:
    host.a.fail("payments")
    host.turn(1, times=2)
    pass_seconds(host)
    reject(host.a, calls=2)
    reject(host.b, calls=5)
    host.turn(0, times=2)
    exchange(host)
    breaker = await detail(host.a)
    assert breaker["states"] == {"open": 2}
    assert breaker["outage"]["rejected"] == 7
    assert breaker["outage"]["rejected_per_second"] == pytest.approx(2 / 10 + 5 / 5)


# States


async def test_a_breaker_open_in_another_worker_only_is_shown_open() -> None:
    host = sharing(Host(quorum=2))
    host.b.fail("payments")
    pass_seconds(host)
    listing = await listed(host.a)
    breaker = listing["breakers"][0]
    assert (breaker["state"], breaker["states"]) == ("open", {"closed": 1, "open": 1})
    assert breaker["reason"].startswith("2 failures")
    assert breaker["outage"]["consecutive_failures"] == 2
    assert listing["summary"]["open"] == 1
    assert (await listed(host.a, "?state=open"))["breakers"] != []


async def test_a_state_that_is_shared_is_not_taken_from_old_figures(host: Host) -> None:
    host.b.registry["payments"].force_open()
    pass_seconds(host)
    await listed(host.a)
    host.b.registry["payments"].reset()
    host.turn(0.5, times=2)
    content = await detail(host.a)
    assert content["workers"][1]["state"] == "forced_open"
    assert content["states"] == {"closed": 2}


async def test_a_breaker_that_only_another_worker_has_is_listed(host: Host) -> None:
    call(host.b, ok=2, name="search")
    pass_seconds(host)
    breaker = named(await listed(host.a), "search")
    assert (breaker["state"], breaker["successes"], breaker["generation"]) == ("closed", 2, None)
    content = await detail(host.a, name="search")
    assert [row["worker"] for row in content["workers"]] == ["b"]
    assert content["settings"] is None


# One worker


async def test_one_worker_can_be_chosen(host: Host) -> None:
    call(host.a, ok=3)
    call(host.b, ok=4)
    pass_seconds(host)
    assert (await listed(host.a))["scope"] == {"worker": None}
    for name, successes in (("a", 3), ("b", 4)):
        listing = await listed(host.a, f"?worker={name}")
        assert listing["scope"] == {"worker": name}
        assert (listing["breakers"][0]["successes"], listing["summary"]["workers"]) == (
            successes,
            1,
        )


async def test_the_details_of_one_worker_keep_the_table_of_all(host: Host) -> None:
    call(host.b, ok=4)
    pass_seconds(host)
    content = await detail(host.a, "?worker=b")
    assert (content["successes"], content["scope"]) == (4, {"worker": "b"})
    assert [row["successes"] for row in content["workers"]] == [0, 4]
    assert content["total"]["successes"] == 4


async def test_an_unknown_worker_is_refused_with_the_names_that_exist(host: Host) -> None:
    pass_seconds(host)
    reply = await visit(host.a.monitor, "/?worker=c")
    assert reply.status == 400
    assert "give a, b, or leave it out" in check("problem", reply.text)["detail"]


async def test_strangers_do_not_learn_the_names_of_workers(host: Host) -> None:
    pass_seconds(host)
    stranger = CircuitBreakerMonitor(registry=host.a.registry, authorize=deny)
    assert (await visit(stranger, "/?worker=c")).status == 403


async def test_without_a_store_no_worker_can_be_chosen(monitor: CircuitBreakerMonitor) -> None:
    reply = await visit(monitor, "/?worker=a")
    assert (reply.status, "no store" in reply.json["detail"]) == (400, True)


# The table


async def test_the_table_has_a_total(host: Host) -> None:
    call(host.a, ok=3)
    call(host.b, ok=4, failed=1)
    pass_seconds(host)
    content = await detail(host.a)
    assert [row["successes"] for row in content["workers"]] == [3, 4]
    assert (content["total"]["successes"], content["total"]["failures"]) == (7, 1)


# The charts


async def test_the_last_minute_has_the_calls_of_other_workers(host: Host) -> None:
    pass_seconds(host)
    await detail(host.a)
    host.turn(PAUSE)
    call(host.b, ok=7)
    host.turn(PAUSE, times=2)
    assert sum(second[1] for second in (await detail(host.a))["history"]) == 7


# What is published


def test_an_earlier_version_can_read_the_figures(host: Host) -> None:
    call(host.a, ok=1, failed=1)
    pass_seconds(host)
    content = json.loads(host.a.fleet.board.published()["a"])
    assert content["version"] == 1
    assert [len(figures) for figures in content["breakers"]] == [10]


async def test_figures_of_an_earlier_version_are_added(host: Host) -> None:
    row = ["payments", "closed", False, 1.5, 1, 2, 3, 4, 5, None]
    figures = {"version": 1, "number": 1, "pid": 7, "host": "h", "breakers": [row]}
    host.store.publish("earlier", json.dumps(figures), 600)
    pass_seconds(host)
    breaker = await detail(host.a)
    assert (breaker["successes"], breaker["rejected"]) == (1, 4)
    assert breaker["calls_per_second"] == pytest.approx(1.5)


async def test_additions_that_are_malformed_are_left_out(host: Host) -> None:
    row = ["payments", "closed", False, 0, 1, 0, 0, 0, None, None]
    odd: list[Any] = [
        {"times": 7},
        {"times": [[1]]},
        {"times": [[1e999, 1]]},
        {"failure_types": {"OSError": "many"}},
        {"hints": [{"setting": "x"}]},
        {"times": [[1, 1]] * 1_000},
    ]
    for number, extra in enumerate(odd):
        figures = {"version": 1, "pid": 7, "host": "h", "breakers": [row]}
        text = json.dumps(figures | {"extras": {"payments": extra}})
        host.store.publish(f"odd {number}", text, 600)
    pass_seconds(host)
    breaker = await detail(host.a)
    assert (breaker["successes"], breaker["p50"]) == (len(odd), None)
    assert (breaker["hints"], breaker["failure_types"]) == ([], {})
