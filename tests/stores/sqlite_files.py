"""A store in a file of its own, and malformed files."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from breaker_asgi.stores.sqlite import SQLiteStore
from breaker_asgi.testing.stores import ask


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "breakers.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path)
    yield store
    store.close()


def generation(store: SQLiteStore) -> int:
    return ask(store).generation


def spoil(path: Path, start: int = 4096) -> bytes:
    """Make a file malformed at once, from `start` on."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    content = path.read_bytes()
    spoilt = content[:start] + b"?" * (len(content) - start)
    path.with_suffix(".new").write_bytes(spoilt)
    path.with_suffix(".new").replace(path)
    return spoilt


def damage(path: Path, name: str, record: bytes = b'{"state":') -> None:
    """Put another record in the place of a breaker's."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("update breakers set record = ? where name = ?", (record, name.encode()))
