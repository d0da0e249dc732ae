"""Four workers of one server over one file: what one of them learns, all know.

Each test has a breaker of its own, whose name says how many seconds it stays open.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from breaker_asgi.stores import SQLiteStore
from tests.integration.clients.server import started
from tests.integration.stores.fleet_app import FAIL_MAX, LEASE, LONG_LEASE, PROBES
from tests.integration.stores.processes import WORKERS, Service, Sick, Worker, running, trip, until

SOON = 10.0
"""Seconds that a busy machine may take for what takes milliseconds."""


@pytest.fixture(scope="module")
def dependency() -> Iterator[Sick]:
    with started("tests.integration.stores.sick") as address:
        yield Sick(address)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet") / "run/breakers.db"


@pytest.fixture(scope="module")
def service(dependency: Sick, file: Path) -> Iterator[Service]:
    log = file.parent.parent / "log"
    with running(log, FLEET_STORE=f"sqlite:///{file}", DEPENDENCY=dependency.url) as service:
        yield service


@pytest.fixture
def workers(service: Service) -> list[Worker]:
    return service.find_workers()


def open_everywhere(service: Service, dependency: Sick, name: str) -> None:
    dependency.make("sick", name)
    trip(service.workers[0], name, FAIL_MAX)
    service.all_are(name, "open")


def hang_all_probes(service: Service, dependency: Sick, name: str) -> list[Worker]:
    """Open the breaker, and have all its probes hang: the workers that probe."""
    open_everywhere(service, dependency, name)
    dependency.make("hang", name)
    probing: list[Worker] = []

    def probe() -> bool:
        for each in service.workers:
            before = dependency.calls(name)
            each.post(f"/begin/{name}")
            with_deadline = time.monotonic() + 0.5
            while dependency.calls(name) == before and time.monotonic() < with_deadline:
                time.sleep(0.01)
            probing.extend([each] * (dependency.calls(name) - before))
        return len(probing) >= PROBES

    until(probe, "all probes are under way")
    return probing


def test_a_breaker_that_opens_in_one_worker_rejects_in_all(
    service: Service, dependency: Sick, workers: list[Worker]
) -> None:
    open_everywhere(service, dependency, "one-60")
    assert Counter(each.call("one-60") for each in workers) == {"rejected": WORKERS}
    assert dependency.calls("one-60") == FAIL_MAX


def test_failures_spread_over_the_workers_open_as_if_one_had_seen_them(
    service: Service, dependency: Sick, workers: list[Worker]
) -> None:
    dependency.make("sick", "spread-60")
    assert [each.call("spread-60") for each in workers[:FAIL_MAX]] == ["failed"] * FAIL_MAX
    service.all_are("spread-60", "open")
    assert dependency.calls("spread-60") == FAIL_MAX


def test_one_transition_is_one_event_in_each_worker(
    service: Service, dependency: Sick, workers: list[Worker]
) -> None:
    open_everywhere(service, dependency, "event-60")
    for each in workers:
        (change,) = each.changes("event-60")
        assert (change["from"], change["to"]) == ("closed", "open")


def test_of_all_workers_that_fail_together_one_warns_of_the_opening(
    service: Service, dependency: Sick, workers: list[Worker], file: Path
) -> None:
    name = "warns-60"
    dependency.make("sick", name)

    def fail(worker: Worker) -> None:
        for _ in range(FAIL_MAX):
            worker.call(name)

    with ThreadPoolExecutor(WORKERS) as callers:
        list(callers.map(fail, workers))
    service.all_are(name, "open")
    log = file.parent.parent / "log"
    until(lambda: f"{name!r}: closed -> open" in log.read_text(), "it is logged")
    assert log.read_text().count(f"{name!r}: closed -> open") == 1


def test_as_many_probes_as_allowed_reach_the_dependency_however_many_workers_ask(
    service: Service, dependency: Sick, workers: list[Worker]
) -> None:
    name = "probes-0.5"
    open_everywhere(service, dependency, name)
    dependency.make("hang", name)
    before = dependency.calls(name)
    until(lambda: workers[0].state(name) != "open" or _begin_all(workers, name), "half-open")
    until(lambda: _begin_all(workers, name) and dependency.calls(name) > before, "a probe")
    end = time.monotonic() + LEASE / 2
    while time.monotonic() < end:
        _begin_all(workers, name)
    assert dependency.calls(name) - before <= PROBES


def _begin_all(workers: list[Worker], name: str) -> bool:
    for each in workers:
        each.post(f"/begin/{name}")
    return True


def test_no_episode_sends_more_calls_to_a_dependency_that_stays_sick(
    service: Service, dependency: Sick, workers: list[Worker], file: Path
) -> None:
    name = "sick-0.5"
    open_everywhere(service, dependency, name)
    end = time.monotonic() + 3

    def hammer(worker: Worker) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        while time.monotonic() < end:
            outcomes[worker.call(name)] += 1
        return outcomes

    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = sum(pool.map(hammer, workers), Counter[str]())
    probed = dependency.calls(name) - FAIL_MAX
    assert outcomes["failed"] == probed
    service.all_are(name, "open")
    with closing(SQLiteStore(file)) as store:
        generation = store.exchange("onlooker", 0, (), [name])[name].generation
    episodes = generation // 2  # opened, half-open, opened, half-open, ...
    assert 1 <= episodes <= probed <= PROBES * episodes


def test_recovery_closes_all(service: Service, dependency: Sick, workers: list[Worker]) -> None:
    name = "recovery-0.5"
    open_everywhere(service, dependency, name)
    dependency.make("well", name)
    until(lambda: workers[1].call(name) == "ok", "a probe is admitted")
    until(lambda: workers[2].call(name) == "ok", "the next one too")
    service.all_are(name, "closed")
    assert [each.call(name) for each in workers] == ["ok"] * WORKERS


@pytest.mark.parametrize(
    ("action", "state", "outcome"),
    [
        ("open", "open", "rejected"),
        ("force-open", "forced_open", "rejected"),
        ("disable", "disabled", "failed"),
        ("metrics-only", "metrics_only", "failed"),
    ],
)
def test_what_is_done_by_hand_reaches_all_with_who_did_it(
    service: Service,
    dependency: Sick,
    workers: list[Worker],
    action: str,
    state: str,
    outcome: str,
) -> None:
    name = f"{action}-60"
    dependency.make("sick", name)
    assert service.states(name) == {"closed"}
    workers[0].post(f"/breakers/{name}/{action}")
    service.all_are(name, state)
    assert [each.call(name) for each in workers] == [outcome] * WORKERS
    assert [each.changes(name)[-1]["who"] for each in workers] == ["ann"] * WORKERS
    assert all("by hand" in each.changes(name)[-1]["reason"] for each in workers)
    workers[1].post(f"/breakers/{name}/reset")
    service.all_are(name, "closed")


def test_what_is_forced_for_some_time_ends_everywhere(
    service: Service, workers: list[Worker]
) -> None:
    name = "forced-60"
    workers[0].post(f"/force/{name}/1.5")
    service.all_are(name, "forced_open")
    assert [each.changes(name)[-1]["who"] for each in workers] == ["bob"] * WORKERS
    assert all("maintenance" in each.changes(name)[-1]["reason"] for each in workers)
    for each in workers:
        until(partial(_is_ok, each, name), "it has ended here", SOON)
    service.all_are(name, "closed")


def _is_ok(worker: Worker, name: str) -> bool:
    return worker.call(name) == "ok"


def test_a_cancelled_probe_is_refunded_at_once(
    service: Service, dependency: Sick, workers: list[Worker]
) -> None:
    name = "long-0.5"
    probing = hang_all_probes(service, dependency, name)
    dependency.make("well", name)
    cancelled = time.monotonic()
    for each in set(probing):
        each.post(f"/cancel/{name}")
    until(lambda: workers[0].call(name) == "ok", "the next call is admitted")
    assert time.monotonic() - cancelled < LONG_LEASE / 2


def test_a_prober_that_is_killed_gives_its_probe_back_when_the_lease_ends(
    service: Service, dependency: Sick, workers: list[Worker]
) -> None:
    name = "killed-0.5"
    probing = hang_all_probes(service, dependency, name)
    dependency.make("well", name)
    for each in set(probing):
        service.kill(each)
    if not service.workers:
        service.find_workers()
    survivor = service.workers[0]
    until(lambda: survivor.call(name) == "ok", "the next call is admitted", LEASE + SOON)
    service.find_workers()
    until(lambda: survivor.call(name) == "ok" and survivor.state(name) == "closed", "it closes")
    service.all_are(name, "closed")


def test_a_prober_that_stands_still_holds_nobody_up(
    service: Service, dependency: Sick, workers: list[Worker]
) -> None:
    name = "stopped-0.5"
    probing = set(hang_all_probes(service, dependency, name))
    dependency.make("well", name)
    others = [each for each in workers if each not in probing]
    for each in probing:
        each.signal(signal.SIGSTOP)
    try:
        until(lambda: others[0].call(name) == "ok", "the next call is admitted", LEASE + SOON)
        until(lambda: others[0].call(name) == "ok" and others[0].state(name) == "closed", "closed")
    finally:
        for each in probing:
            each.signal(signal.SIGCONT)
    service.all_are(name, "closed")


def test_workers_that_start_in_the_middle_of_an_outage_know_of_it(
    dependency: Sick, tmp_path: Path
) -> None:
    name = "restart-60"
    environment = {
        "BREAKER_ASGI_STORE": f"sqlite:///{tmp_path}/breakers.db",
        "DEPENDENCY": dependency.url,
    }
    with running(tmp_path / "first", **environment) as service:
        open_everywhere(service, dependency, name)
        service.kill(service.workers[0])
        service.find_workers()
        assert service.states(name) == {"open"}
    with running(tmp_path / "second", **environment) as service:
        assert [each.call(name) for each in service.workers] == ["rejected"] * WORKERS
    assert dependency.calls(name) == FAIL_MAX
