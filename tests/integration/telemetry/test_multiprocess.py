"""Several workers, one scrape: real processes, and prometheus-client's own collector."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from breaker_asgi.telemetry.prometheus_multiprocess import _forget_dead_workers

ROOT = Path(__file__).parent.parent.parent.parent
DEADLINE = 120.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Return the result of `condition` once it is true."""
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        if time.monotonic() > end:
            return pytest.fail(f"waited {DEADLINE} s: {what}")
        time.sleep(0.05)
    return result


def read(text: str) -> dict[str, float]:
    """Return each series by its name and label values."""
    return {
        " ".join([sample.name.removeprefix("circuitbreaker_"),
                  *(sample.labels[label] for label in sorted(sample.labels))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }  # fmt: skip


class Service:
    """A running `uvicorn --workers 2`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str) -> str:
        """Get a path on a new connection, from either worker."""
        return httpx.get(self._url + path, trust_env=False, timeout=DEADLINE).text

    def find_workers(self) -> set[int]:
        pids: set[int] = set()

        def finds_both() -> bool:
            pids.add(int(self.get("/pid")))
            return len(pids) == 2

        until(finds_both, "two workers answer")
        return pids

    def comes_to(self, **expected: float) -> dict[str, float]:
        """Wait for a scrape with these values, and return it; `__` stands for a space."""

        def reads() -> dict[str, float] | None:
            metrics = read(self.get("/metrics"))
            wanted = {name.replace("__", " "): value for name, value in expected.items()}
            return metrics if wanted.items() <= metrics.items() else None

        metrics: dict[str, float] = until(reads, f"{expected} in {self.get('/metrics')}")
        return metrics


@contextmanager
def running(folder: Path, log: Path) -> Iterator[Service]:
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.integration.telemetry.service:app",
        "--port",
        "0",
    ]
    folder.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--workers", "2", "--no-access-log"],
            cwd=ROOT,
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
            stdout=output,
            stderr=output,
        )
    try:
        address = until(
            lambda: re.search(r"running on (http://[\d.:]+)", log.read_text()), "uvicorn listens"
        )
        until(lambda: listens(address[1]), "a worker listens")  # after its start was logged
        yield Service(address[1])
    finally:
        process.terminate()
        process.wait(DEADLINE)


def listens(address: str) -> bool:
    """Return True if a worker accepts connections."""
    host, _, port = address.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True


def test_workers_are_merged_in_a_scrape_and_a_killed_one_is_forgotten(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "metrics", tmp_path / "log") as service:
        workers = service.find_workers()
        service.comes_to(state__bank__closed=2, state__bank__open=0)

        for _ in range(20):
            service.get("/success")
        service.get("/failure")
        metrics = service.comes_to(calls_total__bank__success=20, calls_total__bank__failure=1)
        assert metrics["consecutive_failures_threshold bank"] == 3
        assert metrics["call_duration_seconds_count bank"] > 0
        assert "failure_rate bank" not in metrics

        opener = int(service.get("/open"))
        service.comes_to(
            state__bank__closed=1, state__bank__open=1, transitions_total__closed__bank__open=1
        )

        os.kill(opener, signal.SIGKILL)
        until(lambda: opener not in (now := service.find_workers()) and now != workers, "another")
        service.comes_to(
            state__bank__closed=2,
            state__bank__open=0,
            calls_total__bank__success=20,
            transitions_total__closed__bank__open=1,
        )


SETUP = """
import os, sys
from breaker_asgi import default_registry
from breaker_asgi.telemetry import instrument
from breaker_asgi.telemetry.durations import clockwork
instrument()
bank = default_registry.get("bank", fail_max=2)
"""


def run(folder: Path, script: str, *, ends: int = 0) -> dict[str, float]:
    """Return a scrape after a process has run `script` and ended."""
    folder.mkdir(exist_ok=True)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SETUP + script],
        cwd=ROOT,
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert (ran.stderr, ran.returncode) == ("", ends)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return read(generate_latest(registry).decode())


def test_counts_are_exported_when_a_process_ends(tmp_path: Path) -> None:
    metrics = run(tmp_path, "bank.acquire().success()")
    assert metrics["calls_total bank success"] == 1


def test_counts_are_exported_when_a_server_ends_by_a_signal(tmp_path: Path) -> None:
    metrics = run(
        tmp_path,
        """
import signal, uvicorn
from breaker_asgi import BreakerMiddleware
clockwork._stop.set()  # no tick but the last

async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    bank.acquire().success()
    os.kill(os.getpid(), signal.SIGTERM)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

uvicorn.run(BreakerMiddleware(app, monitor_path=None), port=0, log_level="warning")
""",
        ends=-signal.SIGTERM,
    )
    assert metrics["calls_total bank success"] == 1


def test_counts_before_a_fork_are_exported_once(tmp_path: Path) -> None:
    metrics = run(
        tmp_path,
        """
bank.acquire().success()
if child := os.fork():
    os.waitpid(child, 0)
else:
    bank.acquire().failure()
    sys.exit()
""",
    )
    assert metrics["calls_total bank success"] == 1
    assert metrics["calls_total bank failure"] == 1


def test_a_child_counts_as_a_worker_once_it_uses_a_breaker(tmp_path: Path) -> None:
    script = """
import signal
clockwork.tick()
ready, done = os.pipe()
if child := os.fork():
    os.read(ready, 1)
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector
    merged = CollectorRegistry()
    MultiProcessCollector(merged)
    state = {{"name": "bank", "state": "closed"}}
    workers = merged.get_sample_value("circuitbreaker_state", state)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    sys.exit(int(workers))
{}
clockwork.tick()
os.write(done, b"x")
signal.pause()
"""
    run(tmp_path / "1", script.format(""), ends=1)
    run(tmp_path / "2", script.format("bank.acquire().success()"), ends=2)


def test_a_breaker_locked_at_the_fork_does_not_block_a_child(
    tmp_path: Path,
) -> None:
    metrics = run(
        tmp_path,
        """
from threading import Event, Thread
locked, over = Event(), Event()
def hold():
    with bank._lock:
        locked.set()
        over.wait()
Thread(target=hold, daemon=True).start()
locked.wait()
if child := os.fork():
    over.set()
    os.waitpid(child, 0)
else:
    bank.acquire().failure()
    sys.exit()
""",
    )
    assert metrics["calls_total bank failure"] == 1


def test_the_clockwork_ticks_in_a_child(tmp_path: Path) -> None:
    """Test a child that ends without its last tick."""
    run(
        tmp_path,
        """
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
else:
    from threading import Event
    from weakref import ref
    class Watch:
        ticked = Event()
        def tick(self): self.ticked.set()
    watch = Watch()
    clockwork._ticked = (*clockwork._ticked, ref(watch))
    os._exit(0 if watch.ticked.wait(20) else 1)
""",
    )


def test_two_collectors_of_one_registry_count_once(tmp_path: Path) -> None:
    metrics = run(
        tmp_path,
        """
from breaker_asgi.telemetry.prometheus import BreakerCollector
bank.acquire().success()
clockwork.tick()
another = BreakerCollector()
""",
    )
    assert metrics["calls_total bank success"] == 1


def test_a_breaker_that_is_gone_is_in_no_state_and_its_counts_stay(tmp_path: Path) -> None:
    metrics = run(
        tmp_path,
        """
import gc
from breaker_asgi import CircuitBreaker
for _ in range(2):
    gone = CircuitBreaker(name="gone")
    gone.acquire().success()
    clockwork.tick()
    del gone
    gc.collect()
""",
    )
    assert metrics["state gone closed"] == 0
    assert metrics["calls_total gone success"] == 2


def test_gauges_of_a_gone_registry_are_neutral_and_its_labels_free(
    tmp_path: Path,
) -> None:
    metrics = run(
        tmp_path,
        """
import gc
from breaker_asgi import BreakerRegistry
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.telemetry.prometheus import BreakerCollector

def make(name):
    shop = BreakerRegistry()
    shop.get(name)
    return shop, BreakerCollector(shop, labels={"shop": "north"})

first = make("tea")
first[0].fleet = Fleet(MemoryStore())
clockwork.tick()
del first
gc.collect()
second = make("milk")
""",
    )
    assert metrics["state tea north closed"] == 0
    assert metrics["state milk north closed"] == 1
    assert metrics["store_up north memory"] == 1


def test_a_rate_that_becomes_unknown_is_zero(tmp_path: Path) -> None:
    script = """
rated = default_registry.get("rated", failure_rate=1, minimum_calls=2)
rated.acquire().failure()
rated.acquire().success()
clockwork.tick()
{}
"""
    assert run(tmp_path / "1", script.format(""))["failure_rate rated"] == 0.5
    assert run(tmp_path / "2", script.format("rated.reset()"))["failure_rate rated"] == 0


def test_hostile_names_are_exported(tmp_path: Path) -> None:
    metrics = run(tmp_path, r"""default_registry.get('a\nb"\ud800' + "x" * 10_000)""")
    assert [series for series in metrics if series.startswith('state a\nb"\\ud800xxx')]


def test_only_gauge_files_of_dead_workers_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    kept = ["gauge_livesum_1.db", f"gauge_livemax_{os.getpid()}.db", f"counter_{ended.pid}.db",
            f"gauge_sum_{ended.pid}.db", "gauge_live_notes.db"]  # fmt: skip
    gone = [f"gauge_livesum_{ended.pid}.db", f"gauge_livemostrecent_{ended.pid}.db"]
    for name in (*kept, *gone):
        (tmp_path / name).touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    _forget_dead_workers()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_file_that_can_not_be_removed_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f"gauge_livemax_{ended.pid}.db").mkdir()
    (tmp_path / f"gauge_livesum_{ended.pid}.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    _forget_dead_workers()
    assert [path.is_dir() for path in tmp_path.iterdir()] == [True]
