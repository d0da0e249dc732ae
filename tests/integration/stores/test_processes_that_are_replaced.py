"""Workers that are forked from a parent that has a fleet already, and workers that are replaced."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from breaker_asgi.stores import store_of
from tests.integration.clients.server import started
from tests.integration.stores.fleet_app import FAIL_MAX, PROBES
from tests.integration.stores.processes import UVICORN, WORKERS, Service, Sick, running, trip, until

GUNICORN = (
    *("gunicorn", "--worker-class", "uvicorn_worker.UvicornWorker", "--no-control-socket"),
    *("--workers", str(WORKERS), "--bind", "127.0.0.1:0", "--keep-alive", "120"),
)
THREADS = ["breaker_asgi fleet", "breaker_asgi fleet, listening"]


@pytest.fixture(scope="module")
def dependency() -> Iterator[Sick]:
    with started("tests.integration.stores.sick") as address:
        yield Sick(address)


def open_everywhere(service: Service, dependency: Sick, name: str) -> None:
    dependency.make("sick", name)
    trip(service.workers[0], name, FAIL_MAX)
    service.all_are(name, "open")


@contextmanager
def calls(service: Service, name: str) -> Iterator[Counter[str]]:
    """Somebody calls all the time, each time on a new connection: what came of it."""
    outcomes, over = Counter[str](), threading.Event()

    def call() -> None:
        while not over.is_set():
            try:
                said = httpx.post(f"{service.url}/call/{name}", trust_env=False, timeout=30)
                outcomes[said.json()["outcome"]] += 1
            except httpx.TransportError:  # it had just got to a worker that ended
                outcomes["lost"] += 1
            time.sleep(0.01)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield outcomes
    finally:
        over.set()
        caller.join()


def no_more_calls_than_probes(url: str, dependency: Sick, name: str, lost: int = 0) -> None:
    """Each episode is two changes: half-open, and open again. Lost probes are lent again."""
    store = store_of(url)
    generation = store.exchange("onlooker", 0, (), [name])[name].generation
    store.close()
    assert generation >= 3
    assert dependency.calls(name) <= FAIL_MAX + PROBES * (generation // 2) + lost


def have_gone(pids: list[int]) -> Callable[[], bool]:
    return lambda: not any(Path(f"/proc/{each}").exists() for each in pids)


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def test_workers_that_are_forked_share_and_a_graceful_reload_keeps_what_is_known(
    url: str, dependency: Sick, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kind = url.partition(":")[0]
    known, sick = f"known-{kind}-60", f"sick-{kind}-0.5"
    environment = {"BREAKER_ASGI_STORE": url, "DEPENDENCY": dependency.url}
    with running(tmp_path / "log", (*GUNICORN, "--preload"), **environment) as service:
        assert [each.get("/threads")["threads"] for each in service.workers] == [THREADS] * WORKERS
        threads = threads_of(service.pid)
        open_everywhere(service, dependency, known)
        open_everywhere(service, dependency, sick)
        with calls(service, sick) as outcomes:
            old = service.lose_sight()
            os.kill(service.pid, signal.SIGHUP)
            until(have_gone(old), "the old workers have ended")
            service.find_workers()
            before = outcomes["failed"]
            until(lambda: outcomes["failed"] >= before + 2, "it is probed again, and again")
        assert not {each.pid for each in service.workers} & set(old)
        assert outcomes["rejected"] > 0
        assert not outcomes["ok"]
        assert service.states(known) == {"open"}
        assert [each.get("/threads")["threads"] for each in service.workers] == [THREADS] * WORKERS
        assert threads_of(service.pid) == threads
        dependency.make("well", known)
        service.workers[0].post(f"/breakers/{known}/reset")
        service.all_are(known, "closed")
    assert dependency.calls(known) == FAIL_MAX
    no_more_calls_than_probes(url, dependency, sick)


def test_killing_every_worker_in_an_outage_costs_the_dependency_no_more_calls_than_the_probes(
    dependency: Sick, tmp_path: Path
) -> None:
    name, url = "all-killed-0.5", f"sqlite:///{tmp_path}/breakers.db"
    environment = {"BREAKER_ASGI_STORE": url, "DEPENDENCY": dependency.url}
    with running(tmp_path / "log", GUNICORN, **environment) as service:
        open_everywhere(service, dependency, name)
        with calls(service, name) as outcomes:
            for pid in service.lose_sight():
                os.kill(pid, signal.SIGKILL)
            service.find_workers()
            before = outcomes["failed"]
            until(lambda: outcomes["failed"] >= before + 2, "it is probed again, and again")
        assert outcomes["rejected"] > 0
        assert not outcomes["ok"]
        service.all_are(name, "open")
        dependency.make("well", name)
        until(lambda: service.workers[0].call(name) == "ok", "a probe is admitted")
    no_more_calls_than_probes(url, dependency, name, lost=1)  # there is one caller


def test_a_server_that_reloads_when_its_code_changes_keeps_what_is_known(
    dependency: Sick, tmp_path: Path
) -> None:
    code = tmp_path / "code.py"
    code.touch()
    environment = {
        "BREAKER_ASGI_STORE": f"sqlite:///{tmp_path}/breakers.db",
        "DEPENDENCY": dependency.url,
    }
    command = (*UVICORN, "--reload", "--reload-dir", str(tmp_path))
    with running(tmp_path / "log", command, 1, **environment) as service:
        open_everywhere(service, dependency, "edited-60")
        for number in range(2):
            old = service.lose_sight()
            code.write_text(f"{number}")
            until(have_gone(old), "the old process has ended")
            (worker,) = service.find_workers()
            assert worker.call("edited-60") == "rejected"
            assert worker.get("/threads")["threads"] == THREADS
    assert dependency.calls("edited-60") == FAIL_MAX
