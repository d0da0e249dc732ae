"""The store in a file, shared by processes and held by other programs."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from breaker_asgi.stores.sqlite import SQLiteStore
from breaker_asgi.stores.sqlite_fork import unforked
from breaker_asgi.testing.stores import ask, changes, opening, report, send, win
from tests.stores.sqlite_files import generation, spoil


def count_and_change(path: Path, worker: int) -> list[int]:
    store = SQLiteStore(path)
    for _ in range(40):
        send(store, report("counted"), f"{worker}")
    won = win(store, worker)
    store.close()
    return won


def test_one_of_concurrent_changes_of_processes_wins_and_no_count_is_lost(path: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
        won = list(processes.map(count_and_change, [path] * 4, range(4)))
    store = SQLiteStore(path)
    generation, calls = ask(store).generation, ask(store, "counted").counts.calls
    store.close()
    assert sorted(sum(won, [])) == list(range(30))  # noqa: RUF017
    assert (generation, calls) == (30, 160)


def test_a_forked_child_opens_the_file_anew(store: SQLiteStore) -> None:
    send(store, opening())
    child = os.fork()
    if not child:
        try:
            send(store, opening(generation=1))
            store.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert ask(store).generation == 2


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the file by a transaction of another program."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("begin immediate")
        yield


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_does_not_wait_for_another_program(store: SQLiteStore, path: Path) -> None:
    send(store, opening())
    longest, forks = 0.0, 0
    with held(path), ThreadPoolExecutor(1) as thread:
        change = thread.submit(send, store, opening(generation=1))
        while not change.done():
            started = time.monotonic()
            child = os.fork()
            if not child:
                os._exit(0 if generation(store) == 1 else 1)
            longest, forks = max(longest, time.monotonic() - started), forks + 1
            assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            change.result()
    assert forks > 1
    assert longest < 0.5


def is_left_alone(store: SQLiteStore) -> bool:
    with pytest.raises(sqlite3.OperationalError, match="was forked while SQLite was at work"):
        generation(store)
    store.close()
    return True


def test_a_child_whose_fork_did_not_wait_leaves_the_file_alone(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breaker_asgi.stores.sqlite_fork.LONGEST_WAIT", 0.01)
    send(store, opening())
    with unforked:
        child = os.fork()
        if not child:
            os._exit(0 if is_left_alone(store) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert generation(store) == 1


def test_a_wait_ends_at_the_change_of_another_process(store: SQLiteStore, path: Path) -> None:
    point, _ = changes(store)
    other = multiprocessing.get_context("spawn").Process(target=count_and_change, args=(path, 1))
    other.start()
    store.wait(point, 30)
    assert changes(store, point)[1] == ["payments"]
    other.join()


# SQLite itself waits for a second: no fake clock can shorten that.
def test_a_change_waits_for_another_writer_no_longer_than_the_timeout(
    store: SQLiteStore, path: Path
) -> None:
    send(store, opening())
    with held(path):
        started = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            send(store, opening(generation=1))
        assert time.monotonic() - started < 5
        assert ask(store).generation == 1
    assert send(store, opening(generation=1)).generation == 2


def change_all(paths: list[Path], worker: int) -> None:
    for path in paths:
        store = SQLiteStore(path)
        while True:
            with contextlib.suppress(sqlite3.DatabaseError):
                changes(store)
                assert send(store, opening(f"{worker}")).generation == 1
                break
        store.close()


def test_one_of_the_processes_that_find_a_malformed_file_moves_it_away(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(10)]
    for path in paths:
        store = SQLiteStore(path)
        send(store, opening("old"))
        store.close()
        spoil(path)
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
        list(processes.map(change_all, [paths] * 4, range(4)))
    for path in paths:
        store = SQLiteStore(path)
        assert sorted(changes(store)[1]) == ["0", "1", "2", "3"]
        store.close()
    assert len(list(tmp_path.iterdir())) == 20
