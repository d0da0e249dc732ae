"""Real processes whose SQLite file is emptied, replaced or removed while they run."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.stores.processes import until
from tests.integration.stores.worker_pool import CALLS, WorkerPool, worker_pool

ROWS = 500
_ENDS = ("", "-wal", "-shm")
_OTHER_APPLICATION = f"""
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma journal_mode = wal")
db.execute("create table orders (id integer primary key, text text)")
db.executemany("insert into orders (text) values (?)", [("x" * 100,)] * {ROWS})
os._exit(0)
"""
"""A program that is killed, and leaves its rows in its log."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "breakers.db"


@pytest.fixture
def pool(tmp_path: Path, path: Path) -> Iterator[WorkerPool]:
    with worker_pool(3, f"sqlite:///{path}", tmp_path) as pool:
        pool[0].ask("force_open", "forced-60", "ann")
        pool.all_are("forced-60", "forced_open")
        yield pool


def beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def end(pool: WorkerPool) -> None:
    """End all workers in the regular way: the last one may write its log into the file."""
    for worker in pool:
        assert worker.process.stdin
        worker.process.stdin.close()
        worker.process.wait(30)
        worker.was_killed = True


# Another application's file


def make_orders(path: Path) -> None:
    """Make another application's file in the usual way."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("create table orders (id integer primary key, text text)")
        db.executemany("insert into orders (text) values (?)", [("x" * 100,)] * ROWS)


def has_all_orders(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as db:
        whole = db.execute("pragma integrity_check").fetchone() == ("ok",)
        return bool(whole and db.execute("select count(*) from orders").fetchone() == (ROWS,))


def rename_over(path: Path, other: Path) -> None:
    other.replace(path)


def copy_over(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


def copy_over_slowly(path: Path, other: Path) -> None:
    """Copy as a slow program does: the file is empty, then half there, for some time."""
    content = other.read_bytes()
    with path.open("wb", buffering=0) as file:
        for begin in range(0, len(content), 8192):
            subprocess.run(["sleep", "0.03"], check=True)
            file.write(content[begin : begin + 8192])


@pytest.mark.parametrize("put", [rename_over, copy_over, copy_over_slowly])
def test_a_file_of_another_application_stays_as_it_is(
    pool: WorkerPool, path: Path, tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    make_orders(tmp_path / "orders.db")
    content = (tmp_path / "orders.db").read_bytes()
    pool.call_unaffected("well-60")
    pool.ask("flush")  # a checkpoint within the copy would be written into it
    put(path, tmp_path / "orders.db")
    pool.all_find_the_store(out=True)
    pool.call_unaffected("well-60")
    pool.wait_until_the_trouble_is("it belongs to another application")
    assert path.read_bytes() == content
    assert has_all_orders(path), "its own application finds it whole while the workers run"
    with worker_pool(1, f"sqlite:///{path}", tmp_path) as newcomers:
        newcomers.all_find_the_store(out=True)
    end(pool)
    assert path.read_bytes() == content
    assert has_all_orders(path)


def test_a_file_of_another_application_with_its_log_stays_as_it_is(
    pool: WorkerPool, path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "orders.db"
    subprocess.run([sys.executable, "-c", _OTHER_APPLICATION, str(other)], check=True)
    contents = [beside(other, end).read_bytes() for end in _ENDS[:2]]
    for part in _ENDS:
        beside(other, part).replace(beside(path, part))
    pool.all_find_the_store(out=True)
    pool.call_unaffected("well-60")
    with worker_pool(1, f"sqlite:///{path}", tmp_path) as newcomers:
        newcomers.all_find_the_store(out=True)
    end(pool)
    assert [beside(path, end).read_bytes() for end in _ENDS[:2]] == contents
    assert has_all_orders(path)


def test_another_application_finds_its_file_whole_from_the_start(
    pool: WorkerPool, path: Path, tmp_path: Path
) -> None:
    """Open it once the workers have noticed: our log must be gone by then."""
    make_orders(tmp_path / "orders.db")
    pool.call_unaffected("well-60")
    rename_over(path, tmp_path / "orders.db")
    pool.all_find_the_store(out=True)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("pragma journal_mode = wal")
        assert db.execute("select count(*) from orders").fetchone() == (ROWS,)
        db.execute("insert into orders (text) values ('new')")
        pool.call_unaffected("well-60")
        end(pool)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        assert db.execute("select count(*) from orders").fetchone() == (ROWS + 1,)


# A file that is emptied, removed, or replaced by an older one


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, 8192)


def remove(path: Path) -> None:
    path.unlink()


def remove_log(path: Path) -> None:
    beside(path, "-wal").unlink()


def remove_index(path: Path) -> None:
    beside(path, "-shm").unlink()


def remove_all(path: Path) -> None:
    for part in _ENDS:
        beside(path, part).unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def remake_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("gone"))
    path.parent.mkdir()


def rename_backup_over(path: Path) -> None:
    backup(path).replace(path)


def copy_backup_over(path: Path) -> None:
    shutil.copyfile(backup(path), path)


def copy_backup_over_slowly(path: Path) -> None:
    copy_over_slowly(path, backup(path))


def copy_garbage_over_and_remove_it(path: Path) -> None:
    path.write_bytes(b"garbage\n" * 3000)
    subprocess.run(["sleep", "2"], check=True)
    path.unlink()


def backup(path: Path) -> Path:
    return path.with_name("backup.db")


@pytest.mark.parametrize(
    "damage",
    [
        empty,
        cut,
        remove,
        remove_log,
        remove_index,
        remove_all,
        remove_folder,
        remake_folder,
        rename_backup_over,
        copy_backup_over,
        copy_backup_over_slowly,
        copy_garbage_over_and_remove_it,
    ],
)
def test_all_workers_agree_again_by_themselves(
    pool: WorkerPool, path: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("vacuum into ?", (str(backup(path)),))
        for number in range(30):
            pool[number % 3].ask("force_open", f"later-{number}-60", "ann")
        pool.all_are("later-29-60", "forced_open")
        db.execute("pragma wal_checkpoint")
        pool[0].ask("force_open", "last-60", "ann")  # alone in the log
        pool.all_are("last-60", "forced_open")
    damage(path)
    for _ in range(3):  # some seconds: each worker reports
        for answer in pool.ask("keep_calling", "well-60", 100, 0.5):
            assert answer > 0
        pool.call_unaffected("well-60")
    pool.all_find_the_store(out=False)
    for number, worker in enumerate(pool):
        worker.ask("force_open", f"by-{number}-60", "ann")
    for number in range(3):
        pool.all_are(f"by-{number}-60", "forced_open")
    with worker_pool(1, f"sqlite:///{path}", tmp_path) as newcomers:
        for name in ("forced-60", "later-0-60", "later-29-60", "last-60", "by-2-60"):
            newcomers.all_are(name, "forced_open")
        newcomers[0].ask("force_open", "by-newcomer-60", "ann")
        pool.all_are("by-newcomer-60", "forced_open")
    until(lambda: not any(pool.ask("is_out")), "the store works for all")
    for answer in pool.ask("calls", "well-60", CALLS):
        assert answer["outcomes"] == {"ok": CALLS}
    end(pool)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
