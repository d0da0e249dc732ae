"""The store in a file: the contract of stores, threads, and files that fail."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import resource
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from breaker_asgi import BreakerConfigError
from breaker_asgi._core.state import DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi.stores.protocol import Change
from breaker_asgi.stores.sqlite import SQLiteStore
from breaker_asgi.testing import FakeClock
from breaker_asgi.testing.stores import StoreContract, opening, report, to
from tests.stores.sqlite_files import generation, spoil


class TestSQLiteStore(StoreContract):
    advances = True

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "new" / "folder" / "breakers.db"
        self.clock = FakeClock(1_700_000_000.5)

    def open(self) -> SQLiteStore:
        return SQLiteStore(self.path, clock=self.clock)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def test_a_clock_that_is_set_back_makes_nothing_younger_and_no_lease_longer(
        self, stores: Callable[[], SQLiteStore]
    ) -> None:
        one, other = stores(), stores()
        one.change(opening())
        self.clock.advance(10)
        one.claim("w", "payments", 1, 1, 5)
        self.clock.advance(-3600)
        assert self.ask(other).age == 10
        self.clock.advance(4.9)
        assert (self.ask(one).age, self.ask(one).probes) == (14.9, 1)
        self.clock.advance(0.2)
        assert self.ask(other).probes == 0
        assert other.claim("v", "payments", 1, 1, 5).lease

    def test_a_refused_claim_after_the_clock_was_set_back_starts_no_lease_anew(
        self, stores: Callable[[], SQLiteStore]
    ) -> None:
        store = stores()
        store.claim("w", "b", 0, 1, 5)
        self.clock.advance(-3600)
        for _ in range(4):
            assert store.claim("v", "b", 0, 1, 5).lease is None
            self.clock.advance(1.3)
        assert store.claim("v", "b", 0, 1, 5).lease

    def names(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return sorted(name.decode() for (name,) in db.execute("select name from breakers"))

    def test_unused_closed_breakers_are_forgotten_after_a_day(self, store: SQLiteStore) -> None:
        store.change(to(OPEN, "open"))
        store.exchange("w", 1, [report("old", failures=1), report("used")], [])
        self.clock.advance(80_000)
        store.exchange("w", 2, [report("used")], [])
        self.clock.advance(10_000)
        store.exchange("w", 3, [report("new")], [])
        assert self.names() == ["new", "open", "used"]

    def test_unprobed_breakers_are_forgotten_a_week_after_their_open_time(
        self, store: SQLiteStore
    ) -> None:
        day = 86_400
        store.change(opening("open"))
        store.change(to(HALF_OPEN, "half-open"))
        store.change(replace(opening("open for long"), lasts=30 * day))
        for state in (FORCED_OPEN, DISABLED, METRICS_ONLY):
            store.change(to(state, f"{state}"))
        by_hand = ["disabled", "forced_open", "metrics_only"]

        def after(seconds: float) -> list[str]:
            self.clock.advance(seconds)
            store.publish("w", "", 60)
            return [name for name in self.names() if name not in by_hand]

        assert after(7 * day) == ["half-open", "open", "open for long"]
        assert after(3601) == ["open for long"]
        assert after(30 * day - 3601) == ["open for long"]
        assert after(3601) == []
        self.clock.advance(365 * day)
        assert sorted(store.changes(0)[1]) == by_hand


# Its path


@pytest.mark.parametrize(
    "path",
    [
        None,
        5,
        b"breakers.db",
        "",
        ".",
        "..",
        "/",
        "/tmp",
        Path("/tmp"),
        "new/folder/",
        "a\0b",
        ":memory:",
        "file:breakers.db",
        "sqlite:///run/breakers.db",
        Path("sqlite:///run/breakers.db"),
        "redis://host:6379/0",
        "~nobody-of-that-name/breakers.db",
    ],
)
def test_invalid_path_is_refused(path: Any) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        SQLiteStore(path)
    assert re.match(r"path=.+ is not allowed: give the path of a file\. .+\.$", str(raised.value))


def test_a_url_that_is_refused_as_a_path_is_shown_without_its_password() -> None:
    with pytest.raises(BreakerConfigError, match=r"Give a URL as store=") as raised:
        SQLiteStore("redis://:s3cret@host:6379/0")
    assert "s3cret" not in str(raised.value)


def test_a_path_may_begin_with_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SQLiteStore("~/breakers.db").label == f"sqlite:{tmp_path}/breakers.db"


# Threads


def test_threads_use_one_store(store: SQLiteStore) -> None:
    point, _ = store.changes(0)
    waiting = threading.Thread(target=store.wait, args=(point, 30))
    waiting.start()
    time.sleep(0.1)
    started = time.monotonic()
    store.change(opening())
    waiting.join()
    assert time.monotonic() - started < 5


def test_files_of_ended_threads_are_closed(store: SQLiteStore) -> None:
    for _ in range(20):
        thread = threading.Thread(target=generation, args=(store,))
        thread.start()
        thread.join()
    assert len(store.opened) <= 2


# A file that fails


def test_a_file_that_was_taken_away_is_made_anew(store: SQLiteStore, path: Path) -> None:
    store.change(opening())
    for file in path.parent.iterdir():
        file.unlink()
    assert generation(store) == 0
    assert store.change(opening()).generation == 1


def test_a_folder_that_was_taken_away_is_made_anew(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "run" / "breakers.db")
    store.change(opening())
    shutil.rmtree(tmp_path / "run")
    assert generation(store) == 0
    assert store.change(opening()).generation == 1
    store.close()


def test_database_removed_without_its_log_is_made_anew(store: SQLiteStore, path: Path) -> None:
    store.change(opening())
    path.unlink()
    assert generation(store) == 0
    assert store.change(opening()).generation == 1


def test_changes_in_a_new_file_are_returned_for_points_of_the_old_one(
    store: SQLiteStore, path: Path
) -> None:
    store.change(opening("old"))
    since, _ = store.changes(0)
    for file in path.parent.iterdir():
        file.unlink()
    assert store.changes(since) == (0, [])
    store.change(opening("new"))
    point, names = store.changes(since)
    assert (point > since, names) == (True, ["new"])


def test_a_wait_ends_when_the_file_was_replaced(store: SQLiteStore, path: Path) -> None:
    store.change(opening())
    since, _ = store.changes(0)
    waiting = threading.Thread(target=store.wait, args=(since, 30))
    waiting.start()
    time.sleep(0.2)
    started = time.monotonic()
    for file in path.parent.iterdir():
        file.unlink()
    waiting.join()
    assert time.monotonic() - started < 5


def test_malformed_file_is_put_aside_and_logged_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = SQLiteStore(path), SQLiteStore(path)
    one.change(opening("old"))
    other.changes(0)
    point = one.changes(0)[0]
    spoilt = spoil(path)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        one.changes(0)
    assert path.with_name("breakers.db.corrupt").read_bytes() == spoilt
    assert one.changes(0) == other.changes(0) == (0, [])
    assert other.change(opening("new")).generation == 1
    assert one.changes(point)[1] == ["new"]
    assert [record.getMessage() for record in caplog.records] == [
        f"the file {path} is malformed: it is now {path}.corrupt, and begins anew"
    ]
    one.close()
    other.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "breakers.db",
        "breakers.db.corrupt",
    ]


def test_without_a_lock_a_malformed_file_stays_and_the_error_says_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("breaker_asgi.stores.sqlite_lock.HAS_LOCKS", False)
    monkeypatch.setattr("breaker_asgi.stores.sqlite.HAS_LOCKS", False)
    store = SQLiteStore(path)
    store.change(opening())
    spoilt = spoil(path)
    remedy = "End all processes that use it, and move it away: this system has no fcntl"
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError, match=f"^{path} is malformed. {remedy}$"):
            store.changes(0)
    assert (path.read_bytes(), caplog.records) == (spoilt, [])


def test_a_wait_finds_a_malformed_file_too(store: SQLiteStore, path: Path) -> None:
    store.change(opening())
    store.close()
    spoil(path)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        store.wait(0, 30)
    assert generation(store) == 0


def test_a_malformed_file_of_another_application_is_left_as_it_is(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("create table orders (id integer)")
    spoilt = spoil(path, 100)
    store = SQLiteStore(path)
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            generation(store)
    assert path.read_bytes() == spoilt


def test_a_file_that_is_no_database_is_named(store: SQLiteStore, path: Path) -> None:
    store.change(opening())
    store.close()
    path.write_bytes(b"# not a database\n" * 100)
    for _ in range(2):
        with pytest.raises(BreakerConfigError, match=r"no database.*Give another path"):
            generation(store)
    assert path.read_bytes().startswith(b"# not"), "a foreign file is left as it is"
    path.unlink()
    assert generation(store) == 0


def test_a_database_of_another_application_is_left_as_it_is(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("create table orders (id integer)")
    before = path.read_bytes()
    with pytest.raises(BreakerConfigError, match="another application"):
        generation(SQLiteStore(path))
    assert path.read_bytes() == before


def test_a_file_of_another_version_is_named(store: SQLiteStore, path: Path) -> None:
    store.change(opening())
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 7")
    with pytest.raises(BreakerConfigError, match="version 7, and this is version 2"):
        generation(store)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 2")
    assert generation(store) == 1


def test_a_file_of_an_older_version_is_extended(store: SQLiteStore, path: Path) -> None:
    store.change(opening())
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("drop table workers")
        db.execute("pragma user_version = 1")
    store.publish("w", "1", 60)
    assert (generation(store), store.published()) == (1, {"w": "1"})
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma user_version").fetchone() == (2,)


def test_figures_that_have_expired_are_dropped(store: SQLiteStore, path: Path) -> None:
    store.publish("silent", "1", 0)
    store.publish("w", "1", 60)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("select name from workers").fetchall() == [(b"w",)]


def test_a_full_disk_is_an_error_until_there_is_room(store: SQLiteStore, path: Path) -> None:
    store.change(opening())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(sqlite3.OperationalError):
            store.exchange("w", 1, [report("x" * 2 * size, generation=0)], [])
        assert generation(store) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    store.exchange("w", 1, [report("x" * 2 * size)], [])


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Drop the rights of root, to whom no file is read-only."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


def test_a_file_that_is_read_only_is_an_error_until_it_is_not(open_folder: Path) -> None:
    path = open_folder / "breakers.db"
    with nobody():
        store = SQLiteStore(path)
        store.change(opening())
        store.close()
        path.chmod(0o444)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store.change(opening(expected=1))
        path.chmod(0o644)
        assert store.change(opening(expected=1)).generation == 2
        store.close()


def test_a_read_only_folder_is_an_error_until_it_is_not(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    store = SQLiteStore(open_folder / "breakers.db")
    message = (
        f"unable to open {open_folder}/breakers.db: the folder {open_folder} can't be written by"
    )
    with nobody(), pytest.raises(sqlite3.OperationalError, match=message):
        store.change(opening())
    open_folder.chmod(0o777)
    with nobody():
        assert store.change(opening()).generation == 1
        store.close()


def test_a_folder_that_cannot_be_made_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    store = SQLiteStore(open_folder / "new" / "breakers.db")
    message = f"unable to open {open_folder}/new/breakers.db: its folder can't be made: .*'.*/new'"
    with nobody(), pytest.raises(sqlite3.OperationalError, match=message):
        store.change(opening())


def test_operator_of_a_change_outlives_all_processes(path: Path) -> None:
    one = SQLiteStore(path)
    one.change(Change(name="b", expected=0, state=OPEN, reason="release", who="ada", lasts=600))
    one.close()
    assert [file.name for file in path.parent.iterdir()] == ["breakers.db"]
    record = one.exchange("w", 1, [], ["b"])["b"]
    one.close()
    assert (record.state, record.reason, record.who, record.lasts) == (OPEN, "release", "ada", 600)


def test_a_store_that_is_dropped_closes_its_connections(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "breakers.db")
    store.exchange("worker", 0, (), ["payments"])
    databases = [connection.db for connection in store.opened]
    assert len(databases) == 1
    del store
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        databases[0].execute("SELECT 1")
