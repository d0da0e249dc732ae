"""Processes that fork, and that end in every way there is, also while their store hangs."""

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
from breaker_asgi.testing.stores import opening
from tests.integration.stores.processes import DEADLINE, ROOT, Service, until

AT_MOST = 1.5
"""Seconds for an end: half of one for a last word to the store; a busy machine is slow too."""

BEGINNING = """
import os, signal, sys, threading, time
from breaker_asgi import BreakerRegistry, CircuitBreakerError
from breaker_asgi.stores import MemoryStore, SQLiteStore

class Hanging(MemoryStore):
    def _hang(self, *args):
        time.sleep(60)
    exchange = change = claim = settle = changes = wait = close = _hang

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
    """What it wrote, how long it took to end after its last word, and its exit code."""
    command = [sys.executable, "-c", BEGINNING + script, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            began = time.monotonic()
            code = process.wait(DEADLINE)
            return said.strip(), time.monotonic() - began, code
        finally:
            process.kill()


END = "print('end', flush=True)\n"


@pytest.mark.parametrize("ending", ["", "sys.exit()", "os._exit(0)"])
@pytest.mark.parametrize("store", ["Hanging()", "SQLiteStore(sys.argv[1])"])
def test_a_process_ends_soon_whatever_its_store_does(
    tmp_path: Path, store: str, ending: str
) -> None:
    script = f"""
registries = [BreakerRegistry(store={store}) for _ in range(3)]
for each in registries:
    fail(each.get("payments", fail_max=1))
"""
    said, seconds, code = run(script + END + ending, tmp_path / "breakers.db")
    assert (said, code) == ("end", 0)
    assert seconds < AT_MOST


def test_what_was_seen_in_the_last_moment_is_told(tmp_path: Path) -> None:
    script = """
registry, payments = share()
until(lambda: payments._fleet.generation == 0)
fail(payments)
fail(payments)
"""
    path = tmp_path / "breakers.db"
    assert run(script + END, path)[2] == 0
    with closing(SQLiteStore(path)) as store:
        assert store.exchange("me", 0, [], ["payments"])["payments"].streak == 2


def test_what_a_server_has_seen_in_its_last_moment_is_told(tmp_path: Path) -> None:
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
        server.terminate()  # which uvicorn repeats at its end: nothing of Python's end happens
        assert server.wait(DEADLINE) == -signal.SIGTERM
    finally:
        server.kill()
    with closing(SQLiteStore(path)) as store:
        assert store.exchange("me", 0, [], ["payments-60"])["payments-60"].streak == 2


def test_what_was_changed_in_the_last_moment_is_told(tmp_path: Path) -> None:
    path = tmp_path / "breakers.db"
    assert run("registry, payments = share()\npayments.force_open(who='ann')\n" + END, path)[2] == 0
    with closing(SQLiteStore(path)) as store:
        shared = store.exchange("me", 0, [], ["payments"])["payments"]
    assert (shared.state, shared.who) == ("forced_open", "ann")


def test_a_probe_that_a_process_leaves_behind_is_free_again(tmp_path: Path) -> None:
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
        assert store.exchange("me", 0, [], ["payments"])["payments"].probes == 0


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
        store.exchange("me", 0, [], ["payments"])
        assert time.monotonic() - began < AT_MOST


def test_what_a_process_had_half_written_when_it_was_killed_was_never_there(tmp_path: Path) -> None:
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
        store.change(opening("payments"))
        assert run(script, path)[2] == -9
        assert (tmp_path / "breakers.db-wal").stat().st_size > 1_000_000, "much was written"
        assert store.change(opening("payments", expected=1)).generation == 2
        assert store.changes(0)[1] == ["payments"]
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


def test_what_one_forked_worker_learns_all_know(tmp_path: Path) -> None:
    script = (
        FORKING
        + """
if not children and number == 2:
    for _ in range(3):
        fail(payments)
until(lambda: payments.state == "open")
if not children:
    sys.exit()
codes = [os.waitpid(each, 0)[1] for each in children]
print(codes, len({registry.fleet.worker}), flush=True)
"""
    )
    said, seconds, code = run(script, tmp_path / "breakers.db")
    assert (said, code) == ("[0, 0, 0, 0] 1", 0)
    assert seconds < AT_MOST


def test_forked_workers_are_workers_of_their_own(tmp_path: Path) -> None:
    script = (
        FORKING
        + """
if not children:
    if number < 2:
        fail(payments)
    sys.exit()
codes = [os.waitpid(each, 0)[1] for each in children]
print(codes, flush=True)
"""
    )
    path = tmp_path / "breakers.db"
    assert run(script, path)[::2] == ("[0, 0, 0, 0]", 0)
    with closing(SQLiteStore(path)) as store:
        shared = store.exchange("me", 0, [], ["payments"])["payments"]
    assert (shared.streak, shared.witnesses) == (2, 2)


def test_a_fork_at_any_moment_holds_no_lock(tmp_path: Path) -> None:
    """The parent changes states all the time, and its threads follow, while children are made."""
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


def test_a_child_goes_on_with_the_same_file_when_its_parent_has_ended(tmp_path: Path) -> None:
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
    said, _, code = run(script + END, path)
    assert (said, code) == ("end", 0)
    with closing(SQLiteStore(path)) as store:
        until(lambda: store.changes(0)[1] == ["payments"], "what the child has changed is known")


def test_threads_of_a_registry_that_nobody_holds_end(tmp_path: Path) -> None:
    script = """
before = threading.active_count()
registry, payments = share()
registry.fleet.stop()
until(lambda: threading.active_count() == before)
print("end", flush=True)
"""
    assert run(script, tmp_path / "breakers.db")[::2] == ("end", 0)
    until(lambda: not (tmp_path / "breakers.db-wal").exists(), "the last one has closed the file")
