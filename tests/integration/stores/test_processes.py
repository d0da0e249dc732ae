"""Four workers of one server share their state over one file.

Each test has a breaker of its own, whose name has the seconds for which it stays open.
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
from tests.integration.stores.processes import (
    WORKERS,
    RemoteDependency,
    Service,
    Worker,
    running,
    trip,
    until,
)
from tests.stores.place import record_in

SOON = 10.0
"""Seconds that a busy machine may need for milliseconds of work."""


@pytest.fixture(scope="module")
def dependency() -> Iterator[RemoteDependency]:
    with started("tests.integration.stores.dependency") as address:
        yield RemoteDependency(address)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet") / "run/breakers.db"


@pytest.fixture(scope="module")
def service(dependency: RemoteDependency, file: Path) -> Iterator[Service]:
    log = file.parent.parent / "log"
    with running(log, FLEET_STORE=f"sqlite:///{file}", DEPENDENCY=dependency.url) as service:
        yield service


@pytest.fixture
def workers(service: Service) -> list[Worker]:
    return service.find_workers()


def open_everywhere(service: Service, dependency: RemoteDependency, name: str) -> None:
    dependency.make("sick", name)
    trip(service.workers[0], name, FAIL_MAX)
    service.all_are(name, "open")


def hang_all_probes(service: Service, dependency: RemoteDependency, name: str) -> list[Worker]:
    """Open the breaker, let all its probes hang, and return the workers that probe."""
    open_everywhere(service, dependency, name)
    dependency.make("hang", name)
    probing: list[Worker] = []

    def probe() -> bool:
        for worker in service.workers:
            before = dependency.calls(name)
            worker.post(f"/begin/{name}")
            until(
                lambda: worker.get(f"/ended/{name}")["ended"] or dependency.calls(name) > before,  # noqa: B023
                "the call is rejected or reaches the dependency",
            )
            probing.extend([worker] * (dependency.calls(name) - before))
        return len(probing) >= PROBES

    until(probe, "all probes are under way")
    return probing


def test_a_breaker_that_opens_in_one_worker_rejects_in_all(
    service: Service, dependency: RemoteDependency, workers: list[Worker]
) -> None:
    open_everywhere(service, dependency, "one-60")
    assert Counter(worker.call("one-60") for worker in workers) == {"rejected": WORKERS}
    assert dependency.calls("one-60") == FAIL_MAX


def test_failures_spread_over_the_workers_open_the_breaker(
    service: Service, dependency: RemoteDependency, workers: list[Worker]
) -> None:
    dependency.make("sick", "spread-60")
    assert [worker.call("spread-60") for worker in workers[:FAIL_MAX]] == ["failed"] * FAIL_MAX
    service.all_are("spread-60", "open")
    assert dependency.calls("spread-60") == FAIL_MAX


def test_one_transition_is_one_event_in_each_worker(
    service: Service, dependency: RemoteDependency, workers: list[Worker]
) -> None:
    open_everywhere(service, dependency, "event-60")
    for worker in workers:
        changes = worker.changes("event-60")
        assert [(change["from"], change["to"]) for change in changes] == [("closed", "open")]


def test_one_of_the_workers_that_trip_together_logs_the_warning(
    service: Service, dependency: RemoteDependency, workers: list[Worker], file: Path
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


def test_no_more_probes_than_allowed_reach_the_dependency_from_all_workers(
    service: Service, dependency: RemoteDependency, workers: list[Worker]
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
    for worker in workers:
        worker.post(f"/begin/{name}")
    return True


def test_half_open_episodes_send_probes_only_to_a_failing_dependency(
    service: Service, dependency: RemoteDependency, workers: list[Worker], file: Path
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
        generation = record_in(store, name).generation
    episodes = generation // 2  # opened, half-open, opened, half-open, ...
    assert 1 <= episodes <= probed <= PROBES * episodes


def test_recovery_closes_the_breaker_in_all_workers(
    service: Service, dependency: RemoteDependency, workers: list[Worker]
) -> None:
    name = "recovery-0.5"
    open_everywhere(service, dependency, name)
    dependency.make("well", name)
    until(lambda: workers[1].call(name) == "ok", "a probe is admitted")
    until(lambda: workers[2].call(name) == "ok", "the next one too")
    service.all_are(name, "closed")
    assert [worker.call(name) for worker in workers] == ["ok"] * WORKERS


@pytest.mark.parametrize(
    ("action", "state", "outcome"),
    [
        ("open", "open", "rejected"),
        ("force-open", "forced_open", "rejected"),
        ("disable", "disabled", "failed"),
        ("metrics-only", "metrics_only", "failed"),
    ],
)
def test_an_operators_change_reaches_all_workers_with_its_author(
    service: Service,
    dependency: RemoteDependency,
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
    assert [worker.call(name) for worker in workers] == [outcome] * WORKERS
    assert [worker.changes(name)[-1]["who"] for worker in workers] == ["ann"] * WORKERS
    assert all("by hand" in worker.changes(name)[-1]["reason"] for worker in workers)
    workers[1].post(f"/breakers/{name}/reset")
    service.all_are(name, "closed")


def test_a_forced_state_with_a_duration_ends_in_all_workers(
    service: Service, workers: list[Worker]
) -> None:
    name = "forced-60"
    workers[0].post(f"/force/{name}/1.5")
    service.all_are(name, "forced_open")
    assert [worker.changes(name)[-1]["who"] for worker in workers] == ["bob"] * WORKERS
    assert all("maintenance" in worker.changes(name)[-1]["reason"] for worker in workers)
    for worker in workers:
        until(partial(_is_ok, worker, name), "it has ended here", SOON)
    service.all_are(name, "closed")


def _is_ok(worker: Worker, name: str) -> bool:
    return worker.call(name) == "ok"


def test_a_cancelled_probe_is_refunded_at_once(
    service: Service, dependency: RemoteDependency, workers: list[Worker]
) -> None:
    name = "long-0.5"
    probing = hang_all_probes(service, dependency, name)
    dependency.make("well", name)
    cancelled = time.monotonic()
    for prober in set(probing):
        prober.post(f"/cancel/{name}")
    until(lambda: workers[0].call(name) == "ok", "the next call is admitted")
    assert time.monotonic() - cancelled < LONG_LEASE / 2


def test_the_probe_of_a_killed_worker_is_free_when_its_lease_ends(
    service: Service, dependency: RemoteDependency, workers: list[Worker]
) -> None:
    name = "killed-0.5"
    probing = hang_all_probes(service, dependency, name)
    dependency.make("well", name)
    for prober in set(probing):
        service.kill(prober)
    if not service.workers:
        service.find_workers()
    survivor = service.workers[0]
    until(lambda: survivor.call(name) == "ok", "the next call is admitted", LEASE + SOON)
    service.find_workers()
    until(lambda: survivor.call(name) == "ok" and survivor.state(name) == "closed", "it closes")
    service.all_are(name, "closed")


def test_a_stopped_prober_does_not_delay_the_other_workers(
    service: Service, dependency: RemoteDependency, workers: list[Worker]
) -> None:
    name = "stopped-0.5"
    probing = set(hang_all_probes(service, dependency, name))
    dependency.make("well", name)
    others = [worker for worker in workers if worker not in probing]
    for prober in probing:
        prober.signal(signal.SIGSTOP)
    try:
        until(lambda: others[0].call(name) == "ok", "the next call is admitted", LEASE + SOON)
        until(lambda: others[0].call(name) == "ok" and others[0].state(name) == "closed", "closed")
    finally:
        for prober in probing:
            prober.signal(signal.SIGCONT)
    service.all_are(name, "closed")


def test_workers_that_start_during_an_outage_reject(
    dependency: RemoteDependency, tmp_path: Path
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
        assert [worker.call(name) for worker in service.workers] == ["rejected"] * WORKERS
    assert dependency.calls(name) == FAIL_MAX
