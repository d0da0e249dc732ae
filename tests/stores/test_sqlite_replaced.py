"""A SQLite file that another program empties, overwrites, replaces or removes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from breaker_asgi import BreakerConfigError
from breaker_asgi.stores.sqlite import SQLiteStore
from breaker_asgi.stores.sqlite_identity import ReplacedError
from breaker_asgi.testing.stores import opening
from tests.stores.sqlite_files import generation

FOREIGN = "it belongs to another application"


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no second for another program to end its writing."""
    monkeypatch.setattr("breaker_asgi.stores.sqlite.BUSY", 0.0)


@pytest.fixture
def log(path: Path) -> Path:
    return path.with_name("breakers.db-wal")


@pytest.fixture
def memory(path: Path) -> Path:
    return path.with_name("breakers.db-shm")


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A file of another application."""
    path = tmp_path / "orders.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("create table orders (id integer primary key, text text)")
        db.executemany("insert into orders (text) values (?)", [("x" * 100,)] * 100)
    return path


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    """A store with a change that is in its log only."""
    store = SQLiteStore(path)
    store.change(opening())
    yield store
    store.close()


@pytest.fixture
def other(path: Path, store: SQLiteStore) -> Iterator[SQLiteStore]:
    """A second store on the file."""
    other = SQLiteStore(path)
    assert generation(other) == 1
    yield other
    other.close()


def begins_anew(store: SQLiteStore) -> bool:
    with pytest.raises(ReplacedError, match="was changed by another program"):
        generation(store)
    return generation(store) == 0


# Another application's file


def test_a_foreign_file_that_is_renamed_over_ours_is_left_as_it_is(
    store: SQLiteStore, path: Path, orders: Path
) -> None:
    content = orders.read_bytes()
    orders.replace(path)
    for _ in range(2):
        with pytest.raises(BreakerConfigError, match=FOREIGN):
            generation(store)
    store.close()
    assert path.read_bytes() == content


def test_our_log_is_removed_from_beside_a_foreign_file(
    store: SQLiteStore, path: Path, orders: Path, log: Path, memory: Path
) -> None:
    orders.replace(path)
    with pytest.raises(BreakerConfigError, match=FOREIGN):
        generation(store)
    assert not log.exists()
    assert not memory.exists()


def test_our_log_is_removed_by_a_store_that_is_closed_at_once(
    store: SQLiteStore, path: Path, orders: Path, log: Path
) -> None:
    orders.replace(path)
    store.close()
    assert not log.exists()


def test_a_program_that_has_already_opened_our_log_finds_it_empty(
    store: SQLiteStore, path: Path, orders: Path, log: Path
) -> None:
    orders.replace(path)
    with log.open("rb") as file:
        store.close()
        assert file.read() == b""


def test_the_log_of_a_foreign_file_is_left_as_it_is(
    store: SQLiteStore, path: Path, orders: Path, log: Path, memory: Path
) -> None:
    orders.replace(path)
    log.unlink()
    log.write_bytes(b"their log")
    memory.unlink()
    with pytest.raises(BreakerConfigError, match=FOREIGN):
        generation(store)
    store.close()
    assert log.read_bytes() == b"their log"


def test_a_new_process_does_not_open_a_foreign_file_beside_which_there_is_a_log(
    path: Path, orders: Path, log: Path
) -> None:
    with contextlib.closing(sqlite3.connect(orders)) as db, db:
        db.execute("drop table orders")  # only the log could have tables
    orders.replace(path)
    log.write_bytes(b"a log")
    with pytest.raises(BreakerConfigError, match=FOREIGN):
        generation(SQLiteStore(path))
    assert log.read_bytes() == b"a log"


def test_a_foreign_file_that_is_copied_over_ours_is_left_as_it_is(
    store: SQLiteStore, other: SQLiteStore, path: Path, orders: Path
) -> None:
    shutil.copyfile(orders, path)
    for one in (store, other):
        with pytest.raises(BreakerConfigError, match=FOREIGN):
            generation(one)
    store.close()
    other.close()
    assert path.read_bytes() == orders.read_bytes()


def test_our_log_is_emptied_at_once_beside_a_foreign_file_that_is_copied_over_ours(
    store: SQLiteStore, path: Path, orders: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breaker_asgi.stores.sqlite.BUSY", 60.0)
    shutil.copyfile(orders, path)
    with pytest.raises(BreakerConfigError, match=FOREIGN):
        generation(store)
    assert log.read_bytes() == b""


def test_a_store_that_is_closed_writes_nothing_into_a_foreign_file(
    store: SQLiteStore, path: Path, orders: Path
) -> None:
    shutil.copyfile(orders, path)
    store.close()
    assert path.read_bytes() == orders.read_bytes()


def test_a_store_writes_nothing_into_a_file_that_was_emptied(
    store: SQLiteStore, path: Path
) -> None:
    path.write_bytes(b"")
    store.close()
    assert path.read_bytes() == b""
    assert begins_anew(store)


# Our own file


def test_an_emptied_file_begins_anew_for_all(
    store: SQLiteStore, other: SQLiteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"")
    assert begins_anew(store)
    assert store.change(opening()).generation == 1
    assert generation(other) == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"the file {path} was changed by another program: it is now {path}.corrupt, and begins anew"
    ]


def test_a_file_that_is_being_written_is_waited_for(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    content = path.read_bytes()
    assert generation(store) == 1
    path.write_bytes(b"")
    status = path.stat()
    monkeypatch.setattr("breaker_asgi.stores.sqlite.BUSY", 60.0)
    monkeypatch.setattr("time.sleep", lambda _: path.write_bytes(content))
    assert generation(store) == 1
    assert path.stat().st_ino == status.st_ino


def test_a_new_process_does_not_fill_a_file_that_was_emptied_while_others_use_it(
    store: SQLiteStore, path: Path
) -> None:
    path.write_bytes(b"")
    newcomer = SQLiteStore(path)
    assert begins_anew(newcomer)
    newcomer.change(opening())
    assert generation(store) == 1
    newcomer.close()


def test_an_empty_file_that_was_made_for_the_store_is_filled(path: Path) -> None:
    path.touch(0o640)
    store = SQLiteStore(path)
    assert store.change(opening()).generation == 1
    assert path.stat().st_mode & 0o777 == 0o640
    store.close()


def test_a_file_that_was_cut_begins_anew(store: SQLiteStore, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint")
    assert generation(store) == 1
    os.truncate(path, 4096)
    assert begins_anew(store)


@pytest.mark.parametrize("name", ["log", "memory"])
def test_a_file_without_its_log_or_shared_memory_begins_anew(
    store: SQLiteStore, other: SQLiteStore, name: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(name).unlink()
    assert begins_anew(store)
    store.change(opening())
    assert generation(other) == 1


def test_a_backup_that_is_renamed_over_the_file_is_taken_without_the_old_log(
    store: SQLiteStore, other: SQLiteStore, path: Path
) -> None:
    backup = path.with_name("backup.db")
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("vacuum into ?", (str(backup),))
    store.change(opening(expected=1))
    backup.replace(path)
    assert (generation(store), generation(other)) == (1, 1)
    store.change(opening(expected=1))
    assert generation(other) == 2


def test_a_checkpoint_of_another_program_changes_nothing(store: SQLiteStore, path: Path) -> None:
    [connection] = store.opened
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    assert generation(store) == 1
    assert store.opened == [connection]


def test_a_record_that_cannot_be_read_has_the_file_begin_anew(
    store: SQLiteStore, path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("update breakers set record = ?", (b'{"last": 1',))
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        generation(store)
    assert generation(store) == 0


def test_an_index_that_belongs_to_another_table_has_the_file_begin_anew(
    store: SQLiteStore, path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("update breakers set point = ?", (b"a name",))
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        store.changes(0)
    assert store.changes(0) == (0, [])


def test_a_link_that_leads_elsewhere_leaves_the_old_file_as_it_is(tmp_path: Path) -> None:
    link, folders = tmp_path / "breakers.db", [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    link.symlink_to(folders[0] / "breakers.db")
    store, old = SQLiteStore(link), SQLiteStore(folders[0] / "breakers.db")
    store.change(opening())
    assert generation(old) == 1
    link.unlink()
    link.symlink_to(folders[1] / "breakers.db")
    assert generation(store) == 0
    assert generation(old) == 1
    store.close()
    old.close()


def test_without_a_lock_the_error_says_what_to_do(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breaker_asgi.stores.sqlite_lock.HAS_LOCKS", False)
    monkeypatch.setattr("breaker_asgi.stores.sqlite.HAS_LOCKS", False)
    path.write_bytes(b"")
    remedy = "End all processes that use it, and move it away: this system has no fcntl"
    with pytest.raises(sqlite3.DatabaseError, match=f"changed by another program. {remedy}$"):
        generation(store)
