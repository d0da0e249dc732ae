"""Real faults: a store that is down, hung, full, read-only or empty affects no call."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stores.conftest import Server
from tests.integration.stores.processes import until
from tests.integration.stores.worker_pool import FAILED, REJECTED, WorkerPool, worker_pool
from tests.integration.stores.worker_process import FAIL_MAX


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def on_file(tmp_path: Path, folder: Path) -> Iterator[WorkerPool]:
    with worker_pool(3, f"sqlite:///{folder}/breakers.db", tmp_path) as pool:
        yield pool


@pytest.fixture
def on_redis(tmp_path: Path, server: Server) -> Iterator[WorkerPool]:
    with worker_pool(3, server.url, tmp_path) as pool:
        yield pool


def agree(pool: WorkerPool, name: str = "agreed-60") -> None:
    """Trip one worker, and check that all workers reject."""
    assert [pool[0].ask("call", name, "fail") for _ in range(FAIL_MAX)] == [FAILED] * FAIL_MAX
    pool.all_are(name, "open")
    assert pool.ask("call", name) == [REJECTED] * len(pool)


def force_open(pool: WorkerPool) -> None:
    pool[0].ask("force_open", "forced-60", "ann")
    pool.all_are("forced-60", "forced_open")


def check_outage(pool: WorkerPool) -> None:
    """Check the workers while there is no store."""
    pool.call_unaffected("well-60")
    pool.all_find_the_store(out=True)
    pool.call_unaffected("well-60")
    pool.decide_alone("alone-60")
    assert pool[0].ask("force_open", "meanwhile-60", "ann") == "forced_open"


def check_recovery(pool: WorkerPool) -> None:
    """Check the workers after the store has come back."""
    pool.all_find_the_store(out=False)
    pool.all_are("forced-60", "forced_open")
    pool.all_are("meanwhile-60", "forced_open")
    assert set(pool.ask("who", "meanwhile-60")) == {"ann"}
    pool.all_are("alone-60", "open")
    agree(pool)
    pool.have_logged_the_outage_once()


def test_workers_survive_a_redis_that_restarts_empty(on_redis: WorkerPool, server: Server) -> None:
    force_open(on_redis)
    server.kill()
    check_outage(on_redis)
    server.start()
    check_recovery(on_redis)


def test_workers_survive_a_redis_that_hangs(on_redis: WorkerPool, server: Server) -> None:
    force_open(on_redis)
    server.hang()
    check_outage(on_redis)
    on_redis.wait_until_logged("does not work")
    server.resume()
    check_recovery(on_redis)


def test_workers_restore_the_records_of_a_flushed_redis(
    on_redis: WorkerPool, server: Server, tmp_path: Path
) -> None:
    force_open(on_redis)
    with server.client() as client:
        client.flushall()
        on_redis.call_unaffected("well-60")
        until(lambda: client.exists("{breaker-asgi:forced-60}:1"), "the record is back")
    with worker_pool(1, server.url, tmp_path) as newcomers:
        newcomers.all_are("forced-60", "forced_open")
    agree(on_redis)
    assert not any(worker.logged("does not work") for worker in on_redis)


def test_a_stopped_process_does_not_delay_the_other_workers(on_redis: WorkerPool) -> None:
    first, *others = on_redis
    rest = WorkerPool(others)
    for _ in range(FAIL_MAX):
        first.ask("call", "held-0.5", "fail")
    until(lambda: first.ask("hold", "held-0.5") == "held", "a probe is under way")
    rest.all_are("held-0.5", "half_open")
    assert set(rest.ask("call", "held-0.5")) == {REJECTED}
    first.process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: "ok" in rest.ask("call", "held-0.5"), "another one probes")
        rest.all_are("held-0.5", "closed")
    finally:
        first.process.send_signal(signal.SIGCONT)
    on_redis.all_are("held-0.5", "closed")


def test_workers_recreate_a_file_that_is_removed(on_file: WorkerPool, folder: Path) -> None:
    force_open(on_file)
    shutil.rmtree(folder)
    on_file.call_unaffected("well-60")
    until((folder / "breakers.db").exists, "it is made anew")
    agree(on_file)
    on_file.all_are("forced-60", "forced_open")


def test_workers_survive_a_file_that_is_replaced_by_garbage(
    on_file: WorkerPool, folder: Path
) -> None:
    force_open(on_file)
    garbage = folder / "garbage"
    garbage.write_bytes(b"garbage" * 1000)
    for path in folder.glob("breakers.db-*"):  # from which SQLite would restore it
        path.unlink(missing_ok=True)
    garbage.replace(folder / "breakers.db")
    check_outage(on_file)
    for path in folder.iterdir():
        path.unlink()
    check_recovery(on_file)


def test_workers_survive_a_limit_of_the_files_size(on_file: WorkerPool) -> None:
    force_open(on_file)
    on_file.ask("limit_files", 20_000)  # enough for a log
    check_outage(on_file)
    on_file.ask("limit_files", -1)
    check_recovery(on_file)


def test_workers_survive_a_full_disk(tmp_path: Path, folder: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here: only a limit of files was tested")
    try:
        with worker_pool(2, f"sqlite:///{folder}/breakers.db", tmp_path) as pool:
            force_open(pool)
            filling = folder / "filling"
            with pytest.raises(OSError, match="No space"):
                filling.write_bytes(bytes(1024 * 1024))
            pool.call_unaffected("well-60")
            pool.decide_alone("alone-60")
            filling.unlink()
            pool.all_find_the_store(out=False)
            pool.all_are("alone-60", "open")
            agree(pool)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(
    os.getuid() == 0 and not shutil.which("setpriv"),
    reason="permissions do not bind root: a read-only folder was not tested",
)
def test_workers_survive_a_read_only_folder(tmp_path: Path, folder: Path) -> None:
    bound = ["setpriv", "--bounding-set", "-dac_override"] if os.getuid() == 0 else []
    folder.chmod(0o555)
    with worker_pool(3, f"sqlite:///{folder}/breakers.db", tmp_path, through=bound) as pool:
        check_outage(pool)
        folder.chmod(0o755)
        pool.all_find_the_store(out=False)
        pool.all_are("meanwhile-60", "forced_open")
        pool.all_are("alone-60", "open")
        agree(pool)
        pool.have_logged_the_outage_once()
