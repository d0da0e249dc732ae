"""The three files of a SQLite store: which ones they are, and whose.

SQLite goes by paths: it would play our log into any file that is renamed over ours. And it does not
notice a file that another program empties or overwrites.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from breaker_asgi._core import validation
from breaker_asgi.stores.sqlite_lock import locked

if TYPE_CHECKING:
    from collections.abc import Container

OURS = 0x62726B72
"""The application id of a store."""
_MAGIC = b"SQLite format 3\0"
Identity = tuple[int, int]


class ReplacedError(sqlite3.OperationalError):
    """A file that another program has changed, or is about to replace."""

    def __init__(self, path: Path, database: Identity | None = None) -> None:
        super().__init__(f"{path} was changed by another program")
        self.database = database
        """The file that must begin anew, if it stays like this."""


class Names(NamedTuple):
    """The names of the three files. SQLite follows links, and has the other two there."""

    database: str
    log: str
    memory: str

    @classmethod
    def of(cls, path: Path) -> Names:
        """Return the names for a database."""
        real = path.resolve()
        return cls(str(path), f"{real}-wal", f"{real}-shm")


class Files(NamedTuple):
    """The identities of the three files, and the size and time of the database."""

    database: Identity | None
    log: Identity | None
    memory: Identity | None
    size: int
    written: int

    @classmethod
    def at(cls, names: Names) -> Files:
        """Return what is there now."""
        status = _status(names.database)
        size, written = (status.st_size, status.st_mtime_ns) if status else (0, 0)
        return cls(_identity(status), identity(names.log), identity(names.memory), size, written)


def identity(path: Path | str) -> Identity | None:
    """Return the identity of the file at a path; None if there is none."""
    return _identity(_status(path))


def _status(path: Path | str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 (20 times a second)
    except FileNotFoundError:
        return None


def _identity(status: os.stat_result | None) -> Identity | None:
    return status and (status.st_dev, status.st_ino)


def is_damaged(names: Names, ours: Files, now: Files) -> bool:
    """Return True if the database has lost its content, its log or its shared memory."""
    if now.database != ours.database:
        return False
    if not now.size or (now.log, now.memory) != (ours.log, ours.memory):
        return True
    return (now.size, now.written) != (ours.size, ours.written) and _owner(names) != OURS


def is_foreign(names: Names, now: Files) -> bool:
    """Return True if another application's content is in the database."""
    return now.size > 0 and _owner(names) not in {OURS, None}


def _owner(names: Names) -> int | None:
    """Return the application id in the database itself; None if it is incomplete.

    SQLite has to read it: another descriptor would release SQLite's locks when it is closed.
    """
    try:
        owner: int = _value(names, "pragma application_id")
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_CORRUPT:
            return None
        if code == sqlite3.SQLITE_NOTADB:
            return 0
        raise
    return owner


def _value(names: Names, query: str) -> Any:
    uri = f"{Path(names.database).as_uri()}?immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        return db.execute(query).fetchone()[0]


def check_owner(path: Path, names: Names, opened: Container[object]) -> Identity | None:
    """Check that SQLite may open a file, and return its identity; None if it has to be made.

    `opened` are the files that this process has open.
    """
    now = Files.at(names)
    if now.size and now.database in opened:
        if _owner(names) != OURS:
            raise ReplacedError(path, now.database)
    elif now.size:
        has_our_mark(path, names)
    elif now.database and now.log:  # emptied, while processes have its log open
        raise ReplacedError(path, now.database)
    else:
        for name in (names.log, names.memory):
            Path(name).unlink(missing_ok=True)
    return now.database


def has_our_mark(path: Path, names: Names) -> bool:
    """Return True if the first bytes are ours, False if it has no tables yet; raise otherwise.

    This process must not have it open.
    """
    with Path(names.database).open("rb") as file:
        head = file.read(72)
    if not head.startswith(_MAGIC):
        raise foreign(path, "it is no database")
    owner = int.from_bytes(head[68:], "big")
    if owner == OURS:
        return True
    has_log = any(Path(f"{path.resolve()}{end}").exists() for end in ("-wal", "-journal"))
    if owner or has_log or _value(names, "select count(*) from sqlite_schema"):
        raise foreign(path, "it belongs to another application")
    return False


def foreign(path: Path, why: str) -> Exception:
    """Return the error for a file that is not ours."""
    allowed = f"a file of its own ({why})"
    return validation.not_allowed(
        "path", str(path), allowed, "Give another path, or move that file away"
    )


def leave(names: Names, ours: Files) -> None:
    """Leave no log of ours to a database that is not ours any more, before it is closed."""
    now = Files.at(names)
    if now.database != ours.database:
        remove_left(names, ours)
    elif now != ours and (not now.size or is_foreign(names, now)):
        _empty_log(names, ours)


def _empty_log(names: Names, ours: Files) -> None:
    """Empty our log: SQLite, in any process, would write it into the other database."""
    if ours.log and identity(names.log) == ours.log:
        with suppress(OSError):
            os.truncate(names.log, 0)


def remove_left(names: Names, ours: Files) -> None:
    """Remove our log and shared memory from beside a database that has replaced ours."""
    with locked(Path(names.log).parent, alone=True):
        if identity(names.log.removesuffix("-wal")) == ours.database:
            return  # a link leads elsewhere now
        _empty_log(names, ours)
        for name, left in ((names.log, ours.log), (names.memory, ours.memory)):
            if left and identity(name) == left:
                Path(name).unlink(missing_ok=True)
