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
from tests.integration.stores.processes import (
    UVICORN,
    WORKERS,
    RemoteDependency,
    Service,
    running,
    trip,
    until,
)
from tests.stores.place import record_in

GUNICORN = (
    *("gunicorn", "--worker-class", "uvicorn_worker.UvicornWorker", "--no-control-socket"),
    *("--workers", str(WORKERS), "--bind", "127.0.0.1:0", "--keep-alive", "120"),
)
THREADS = ["breaker_asgi fleet", "breaker_asgi fleet, listening"]


@pytest.fixture(scope="module")
def dependency() -> Iterator[RemoteDependency]:
    with started("tests.integration.stores.dependency") as address:
        yield RemoteDependency(address)


def open_everywhere(service: Service, dependency: RemoteDependency, name: str) -> None:
    dependency.make("sick", name)
    trip(service.workers[0], name, FAIL_MAX)
    service.all_are(name, "open")


@contextmanager
def calls(service: Service, name: str) -> Iterator[Counter[str]]:
    """Keep calling on new connections, and yield the counts of the outcomes."""
    outcomes, over = Counter[str](), threading.Event()

    def call() -> None:
        while not over.is_set():
            try:
                reply = httpx.post(f"{service.url}/call/{name}", trust_env=False, timeout=30)
                outcomes[reply.json()["outcome"]] += 1
            except httpx.TransportError:  # its worker has just ended
                outcomes["lost"] += 1
            time.sleep(0.01)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield outcomes
    finally:
        over.set()
        caller.join()


def no_more_calls_than_probes(
    url: str, dependency: RemoteDependency, name: str, lost: int = 0
) -> None:
    """Check the calls of all episodes: each is two changes, half-open, and open again.

    Lost probes are lent again.
    """
    store = store_of(url)
    generation = record_in(store, name).generation
    store.close()
    assert generation >= 3
    assert dependency.calls(name) <= FAIL_MAX + PROBES * (generation // 2) + lost


def have_gone(pids: list[int]) -> Callable[[], bool]:
    return lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids)


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def test_forked_workers_share_and_a_graceful_reload_keeps_the_state(
    url: str, dependency: RemoteDependency, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kind = url.partition(":")[0]
    stable, sick = f"stable-{kind}-60", f"sick-{kind}-0.5"
    environment = {"BREAKER_ASGI_STORE": url, "DEPENDENCY": dependency.url}
    with running(tmp_path / "log", (*GUNICORN, "--preload"), **environment) as service:
        assert [worker.get("/threads")["threads"] for worker in service.workers] == [
            THREADS
        ] * WORKERS
        threads = threads_of(service.pid)
        open_everywhere(service, dependency, stable)
        open_everywhere(service, dependency, sick)
        with calls(service, sick) as outcomes:
            old = service.forget_workers()
            os.kill(service.pid, signal.SIGHUP)
            until(have_gone(old), "the old workers have ended")
            service.find_workers()
            before = outcomes["failed"]
            until(lambda: outcomes["failed"] >= before + 2, "it is probed again, and again")
        assert not {worker.pid for worker in service.workers} & set(old)
        assert outcomes["rejected"] > 0
        assert not outcomes["ok"]
        assert service.states(stable) == {"open"}
        assert [worker.get("/threads")["threads"] for worker in service.workers] == [
            THREADS
        ] * WORKERS
        assert threads_of(service.pid) == threads
        dependency.make("well", stable)
        service.workers[0].post(f"/breakers/{stable}/reset")
        service.all_are(stable, "closed")
    assert dependency.calls(stable) == FAIL_MAX
    no_more_calls_than_probes(url, dependency, sick)


def test_after_all_workers_are_killed_in_an_outage_probes_only_reach_the_dependency(
    dependency: RemoteDependency, tmp_path: Path
) -> None:
    name, url = "all-killed-0.5", f"sqlite:///{tmp_path}/breakers.db"
    environment = {"BREAKER_ASGI_STORE": url, "DEPENDENCY": dependency.url}
    with running(tmp_path / "log", GUNICORN, **environment) as service:
        open_everywhere(service, dependency, name)
        with calls(service, name) as outcomes:
            for pid in service.forget_workers():
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


def test_a_reload_after_a_change_of_the_code_keeps_the_state(
    dependency: RemoteDependency, tmp_path: Path
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
            old = service.forget_workers()
            code.write_text(f"{number}")
            until(have_gone(old), "the old process has ended")
            (worker,) = service.find_workers()
            assert worker.call("edited-60") == "rejected"
            assert worker.get("/threads")["threads"] == THREADS
    assert dependency.calls("edited-60") == FAIL_MAX
