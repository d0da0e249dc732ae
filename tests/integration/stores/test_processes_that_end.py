"""Processes that fork, and that end in every way, also while their store hangs."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from breaker_asgi.stores.sqlite import SQLiteStore
from breaker_asgi.testing.stores import changes, opening, send
from tests.integration.stores.processes import DEADLINE, ROOT, Service, until
from tests.stores.place import record_in

AT_MOST = 10.0
"""Seconds for an end: half of one for the last reports, and more on a slow machine."""
STORES = 30
"""Stores that would take longer than that one after the other."""

BEGINNING = """
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from breaker_asgi import BreakerRegistry, CircuitBreakerError
from breaker_asgi.stores import MemoryStore, SQLiteStore

class Hanging(MemoryStore):
    def _hang(self, *args):
        time.sleep(60)
    sync = wait = close = _hang

def fail(breaker):
    try:
        with breaker:
            raise OSError
    except (OSError, CircuitBreakerError):
        pass

def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)

def share(*arguments, **settings):
    registry = BreakerRegistry(store=SQLiteStore(sys.argv[1]), **settings)
    return registry, registry.get("payments", fail_max=3, timeout_duration=60)
"""


def run(script: str, path: Path) -> tuple[str, float, int]:
    """Run a script: its output, the seconds from that until its end, and its exit code."""
    command = [sys.executable, "-c", BEGINNING + script, str(path)]
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}  # a stream with a buffer has a lock
    with subprocess.Popen(
        command, cwd=ROOT, env=buffered, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            output = process.stdout.readline()
            began = time.monotonic()
            code = process.wait(DEADLINE)
            return output.strip(), time.monotonic() - began, code
        finally:
            process.kill()


END = "print('end', flush=True)\n"


@pytest.mark.parametrize("ending", ["", "sys.exit()", "os._exit(0)"])
@pytest.mark.parametrize("store", ["Hanging()", "SQLiteStore(sys.argv[1])"])
def test_a_process_ends_soon_even_if_its_store_hangs(
    tmp_path: Path, store: str, ending: str
) -> None:
    script = f"""
with ThreadPoolExecutor({STORES}) as threads:
    registries = list(threads.map(lambda _: BreakerRegistry(store={store}), range({STORES})))
for registry in registries:
    fail(registry.get("payments", fail_max=1))
"""
    output, seconds, code = run(script + END + ending, tmp_path / "breakers.db")
    assert (output, code) == ("end", 0)
    assert seconds < AT_MOST


def test_a_process_reports_its_last_calls_at_its_end(tmp_path: Path) -> None:
    script = """
registry, payments = share()
until(lambda: payments._fleet.generation == 0)
fail(payments)
fail(payments)
"""
    path = tmp_path / "breakers.db"
    assert run(script + END, path)[2] == 0
    with closing(SQLiteStore(path)) as store:
        assert record_in(store, "payments").streak == 2


def test_a_server_reports_its_last_calls_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "breakers.db"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            sys.executable,
            *f"-m uvicorn --port {port} tests.integration.stores.fleet_app:app".split(),
        ],
        cwd=ROOT,
        env=os.environ | {"FLEET_STORE": f"sqlite:///{path}", "DEPENDENCY": "http://127.0.0.1:9"},
    )
    service = Service(f"http://127.0.0.1:{port}", server.pid, 1)
    try:
        until(service.listens, "it listens")
        for _ in range(2):
            httpx.post(f"{service.url}/call/payments-60", trust_env=False).raise_for_status()
        server.terminate()  # uvicorn repeats the signal at its end: Python runs no exit handlers
        assert server.wait(DEADLINE) == -signal.SIGTERM
    finally:
        server.kill()
    with closing(SQLiteStore(path)) as store:
        assert record_in(store, "payments-60").streak == 2


def test_a_process_publishes_its_last_change_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "breakers.db"
    assert run("registry, payments = share()\npayments.force_open(who='ann')\n" + END, path)[2] == 0
    with closing(SQLiteStore(path)) as store:
        shared = record_in(store, "payments")
    assert (shared.state, shared.who) == ("forced_open", "ann")


def test_a_process_gives_back_its_probe_at_its_end(tmp_path: Path) -> None:
    script = """
registry, payments = share()
payments.half_open()
until(lambda: payments._fleet.generation == 1)
permit = payments.acquire()
permit.ignore()
"""
    path = tmp_path / "breakers.db"
    assert run(script + END, path)[2] == 0
    with closing(SQLiteStore(path)) as store:
        assert record_in(store, "payments").probes == 0


def test_a_process_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    script = """
registry, payments = share()
def write():
    while True:
        payments.force_open()
        payments.close()
threading.Thread(target=write, daemon=True).start()
time.sleep(0.2)
print("end", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "breakers.db"
    assert run(script, path)[2] == -9
    with closing(SQLiteStore(path)) as store:
        began = time.monotonic()
        record_in(store)
        assert time.monotonic() - began < AT_MOST


def test_the_unfinished_transaction_of_a_killed_process_is_rolled_back(tmp_path: Path) -> None:
    script = """
store = SQLiteStore(sys.argv[1])
with store._transaction() as db:
    db.execute("delete from breakers")
    db.executemany(
        "insert into breakers values (?, 'open', 1, 1, ?)",
        ((f"{number}".encode(), b"garbage" * 1000) for number in range(2000)),
    )
    print("end", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "breakers.db"
    with closing(SQLiteStore(path)) as store:
        send(store, opening("payments"))
        assert run(script, path)[2] == -9
        assert (tmp_path / "breakers.db-wal").stat().st_size > 1_000_000, "much was written"
        assert send(store, opening("payments", generation=1)).generation == 2
        assert changes(store)[1] == ["payments"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)


FORKING = """
registry, payments = share()
until(lambda: payments._fleet.generation == 0)
children = []
for number in range(4):
    child = os.fork()
    if not child:
        children = []
        break
    children.append(child)
"""


def test_a_breaker_that_opens_in_a_forked_worker_opens_in_all(tmp_path: Path) -> None:
    script = (
        FORKING
        + """
if not children and number == 2:
    for _ in range(3):
        fail(payments)
until(lambda: payments.state == "open")
if not children:
    sys.exit()
codes = [os.waitpid(pid, 0)[1] for pid in children]
print(codes, len({registry.fleet.worker}), flush=True)
"""
    )
    output, seconds, code = run(script, tmp_path / "breakers.db")
    assert (output, code) == ("[0, 0, 0, 0] 1", 0)
    assert seconds < AT_MOST


def test_forked_workers_are_workers_of_their_own(tmp_path: Path) -> None:
    script = (
        FORKING
        + """
if not children:
    if number < 2:
        fail(payments)
    sys.exit()
codes = [os.waitpid(pid, 0)[1] for pid in children]
print(codes, flush=True)
"""
    )
    path = tmp_path / "breakers.db"
    assert run(script, path)[::2] == ("[0, 0, 0, 0]", 0)
    with closing(SQLiteStore(path)) as store:
        shared = record_in(store, "payments")
    assert (shared.streak, shared.witnesses) == (2, 2)


def test_calls_under_way_at_a_fork_are_reported_by_the_parent_alone(tmp_path: Path) -> None:
    script = """
from breaker_asgi import TimeWindow
settings = {"slow_call_rate": 1, "slow_call_duration": 0.2, "window": TimeWindow(60)}
payments = BreakerRegistry(store=SQLiteStore(sys.argv[1])).get("payments", **settings)
until(lambda: payments._fleet.generation == 0)
held = [payments.acquire() for _ in range(3)]
time.sleep(0.4)
payments.acquire().success()
child = os.fork()
payments.acquire().success()
if child:
    print(os.waitpid(child, 0)[1], payments.slow_calls, flush=True)
sys.exit()
"""
    path = tmp_path / "breakers.db"
    assert run(script, path)[::2] == ("0 3", 0)
    with closing(SQLiteStore(path)) as store:
        assert record_in(store, "payments").counts == (6, 0, 3)


def test_a_fork_at_any_moment_holds_no_lock(tmp_path: Path) -> None:
    """Fork while the parent changes states all the time, and its threads follow."""
    script = """
registry, payments = share()
other = BreakerRegistry(store=SQLiteStore(sys.argv[1])).get("payments")
def change():
    while True:
        payments.force_open()
        time.sleep(0.001)
        other.half_open()
        time.sleep(0.001)
threading.Thread(target=change, daemon=True).start()
codes = []
for number in range(60):
    child = os.fork()
    if not child:
        signal.alarm(10)
        payments.disable(who="child")
        registry.get(f"made-{number}").force_open()
        until(lambda: registry[f"made-{number}"]._fleet.generation == 1)
        os._exit(0)
    codes.append(os.waitpid(child, 0)[1])
print(set(codes), flush=True)
"""
    assert run(script, tmp_path / "breakers.db")[::2] == ("{0}", 0)


def test_a_fork_while_breakers_are_made_holds_no_lock(tmp_path: Path) -> None:
    script = """
registry, payments = share()
def make():
    for number in range(10**9):
        registry.get(f"{number}")
threading.Thread(target=make, daemon=True).start()
codes = []
for number in range(30):
    child = os.fork()
    if not child:
        signal.alarm(10)
        registry.get(f"child {number}").force_open()
        os._exit(0)
    codes.append(os.waitpid(child, 0)[1])
print(set(codes), flush=True)
os._exit(0)
"""
    assert run(script, tmp_path / "breakers.db")[::2] == ("{0}", 0)


def test_a_child_uses_the_file_after_the_end_of_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "breakers.db"
    script = """
registry, payments = share()
until(lambda: payments._fleet.generation == 0)
if os.fork() == 0:
    payments.call(int)
    until(lambda: os.getppid() == 1)
    payments.force_open(who="ann")
    time.sleep(0.3)
registry.fleet.stop()
"""
    output, _, code = run(script + END, path)
    assert (output, code) == ("end", 0)
    with closing(SQLiteStore(path)) as store:
        until(lambda: changes(store)[1] == ["payments"], "the change of the child is in the store")


def test_the_threads_of_a_stopped_fleet_end(tmp_path: Path) -> None:
    script = """
before = threading.active_count()
registry, payments = share()
registry.fleet.stop()
until(lambda: threading.active_count() == before)
print("end", flush=True)
"""
    assert run(script, tmp_path / "breakers.db")[::2] == ("end", 0)
    until(lambda: not (tmp_path / "breakers.db-wal").exists(), "the last connection is closed")
