"""The connections to the file of a SQLite store, and what it has in it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breaker_asgi.stores.sqlite_identity import (
    OURS,
    Files,
    Identity,
    Names,
    ReplacedError,
    check_owner,
    foreign,
    has_our_mark,
    is_damaged,
    is_foreign,
    leave,
    remove_left,
)
from breaker_asgi.stores.sqlite_lock import STEP, locked
from breaker_asgi.stores.sqlite_path import check_rights

if TYPE_CHECKING:
    from collections.abc import Container

_VERSION = 2
_SCHEMA = (
    """
    create table if not exists breakers (
        name blob primary key,
        state text not null,
        point integer not null,
        used integer not null,
        record blob not null
    ) without rowid
    """,
    "create index if not exists breakers_by_point on breakers (point)",
    """
    create table if not exists workers (
        name blob primary key,
        since integer not null,
        until integer not null,
        figures blob not null
    )
    """,
    f"pragma application_id = {OURS}",
    f"pragma user_version = {_VERSION}",
)


class Connection:
    """The connection of one thread, and the identity of its files."""

    files: Files | None = None
    """The files when it was last used; None if it is closed."""

    def __init__(self, path: Path, opened: Container[object]) -> None:
        """Open a file, or make it. `opened` are the files that this process has open."""
        self.thread = threading.current_thread()
        check_rights(path)
        self._path, self._names = path, Names.of(path)
        is_new = not Files.at(self._names).size
        with locked(path.resolve().parent, alone=is_new):
            file = check_owner(path, self._names, opened)
            self.db = sqlite3.connect(
                path, timeout=STEP, isolation_level=None, check_same_thread=False
            )
            try:
                file = self._expect(file).database
                _prepare(self.db, path)
                files = self._expect(file)
            except BaseException:
                self.db.close()
                raise
            self.files = files

    def __del__(self) -> None:
        """Close it with a store that is dropped without `close()`; Python 3.13 warns otherwise."""
        with suppress(AttributeError):  # it could not be opened
            self.close()

    def _expect(self, file: Identity | None) -> Files:
        """Check that SQLite has opened this file, or has made one, and return what there is."""
        now = Files.at(self._names)
        if now.database is None or file not in {None, now.database}:
            raise ReplacedError(self._path)
        return now

    def has_changed(self) -> bool:
        """Return True if the files are not as they were when it was last used."""
        return self.files != Files.at(self._names)

    def is_usable(self) -> bool:
        """Return True if it can be used; False if it must be opened anew.

        Raises `ReplacedError` while the file is damaged: another program may be writing it.
        """
        if self.files is None:
            return False
        now = Files.at(self._names)
        if is_damaged(self._names, self.files, now):
            if is_foreign(self._names, now):
                return False
            raise ReplacedError(self._path, now.database)
        if now.database != self.files.database:
            remove_left(self._names, self.files)
            return False
        self.files = now
        return True

    def close(self) -> None:
        """Close it. SQLite writes the log into the file then, if that is still the same."""
        ours, self.files = self.files, None
        with suppress(OSError, sqlite3.Error):
            if ours is not None:
                leave(self._names, ours)
        self.db.close()


def value(db: sqlite3.Connection, query: str) -> Any:
    """Return the one value of a query."""
    row = db.execute(query).fetchone()
    if row is None:
        raise malformed(query)
    return row[0]


def malformed(why: object) -> sqlite3.DatabaseError:
    """Return the error for a file whose content is malformed, though SQLite can read it."""
    error = sqlite3.DatabaseError(f"the content of the database is malformed: {why}")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def put_aside(path: Path, file: Identity | None) -> bool:
    """Move a damaged file away, if it is still the same; return True if this moved it.

    It raises an error if the file is not ours. No file of this process may be open. Without
    `fcntl`, as on Windows, another process may be opening it at that moment: it stays.
    """
    path = path.resolve()
    names = Names.of(path)
    with locked(path.parent, alone=True) as alone:
        now = Files.at(names)
        if not alone or file is None or now.database != file:
            return False
        if now.size and not has_our_mark(path, names):
            return False
        for name in (names.log, names.memory):
            Path(name).unlink(missing_ok=True)
        path.replace(f"{path}.corrupt")
    return True


def is_corrupt(error: sqlite3.Error) -> bool:
    """Return True if the file is malformed."""
    return _code(error) == sqlite3.SQLITE_CORRUPT


def is_busy(error: sqlite3.Error) -> bool:
    """Return True if another process holds the file's lock, or is replacing the file."""
    return _code(error) == sqlite3.SQLITE_BUSY or isinstance(error, ReplacedError)


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables, unless they are there."""
    try:
        db.execute("begin")
        is_ours = _is_ours(db, path)
        db.execute("commit")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise foreign(path, "it is no database") from error
        raise
    db.execute("pragma synchronous = normal")
    if not is_ours:
        db.execute("begin immediate")
        if not _is_ours(db, path):
            for statement in _SCHEMA:
                db.execute(statement)
        db.execute("commit")
    # Not before: the file itself must have the application id as soon as it has a log.
    db.execute("pragma journal_mode = wal")  # readers and a writer work at once
    value(db, "pragma user_version")  # opens the log, while the folder is locked


def _is_ours(db: sqlite3.Connection, path: Path) -> bool:
    """Return True if the tables exist. False if the file is empty, or of an older version."""
    owner, version = value(db, "pragma application_id"), value(db, "pragma user_version")
    if owner == OURS and version > _VERSION:
        raise foreign(path, f"it is of version {version}, and this is version {_VERSION}")
    if owner == OURS:
        return bool(version == _VERSION)
    if owner or value(db, "select count(*) from sqlite_schema"):
        raise foreign(path, "it belongs to another application")
    return False
