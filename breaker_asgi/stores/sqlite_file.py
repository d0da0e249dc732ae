"""The file of a SQLite store: opening it, and keeping it closed at a fork."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from breaker_asgi._core import validation
from breaker_asgi._core.process import at_fork
from breaker_asgi.stores.redaction import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator


_OURS = 0x62726B72
_VERSION = 2
BUSY = 1.0
"""Seconds that a transaction waits for other processes, and a fork for this one's transaction."""
_STEP = 0.02
"""Seconds that SQLite itself waits for other processes: forks wait as long."""
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
    f"pragma application_id = {_OURS}",
    f"pragma user_version = {_VERSION}",
)
_ALLOWED, _REMEDY = "the path of a file", 'such as "/run/shop/breakers.db"'
_EFFECTIVE = os.access in os.supports_effective_ids
HAS_LOCKS = find_spec("fcntl") is not None
"""True where a folder can be locked, as on all systems but Windows."""


class HasConnections(Protocol):
    """A store with connections to a file."""

    opened: list[Connection]

    def close_connections(self) -> None: ...


class Unforked:
    """A lock held while SQLite works: a child forked meanwhile would find its locks held for ever.

    A fork waits for it, and closes all files: a child also inherits SQLite's record of its parent's
    locks, and would take them for its own. It is free while a thread waits for another process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waited = False
        self._process = os.getpid()
        self._inherited: list[Connection] = []
        """Connections of a parent whose fork did not wait: they must be neither used nor closed."""
        self.stores: WeakSet[HasConnections] = WeakSet()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def is_whole(self) -> bool:
        """True if SQLite can be used: not in a child whose fork did not wait."""
        return self._process == os.getpid()

    def close_all(self) -> None:
        """Close all files of this process. The caller holds the lock."""
        for store in list(self.stores):
            store.close_connections()

    def before(self) -> None:
        self._waited = self.is_whole and self._lock.acquire(timeout=BUSY)
        if self._waited:
            self.close_all()

    def in_parent(self) -> None:
        if self._waited:
            self._waited = False
            self._lock.release()

    def in_child(self) -> None:
        self._lock = threading.Lock()
        if self._waited:
            self._waited, self._process = False, os.getpid()
        else:
            self._inherited += [
                connection for store in list(self.stores) for connection in store.opened
            ]


unforked = Unforked()
at_fork(before=unforked.before, in_parent=unforked.in_parent, in_child=unforked.in_child)


class Connection:
    """The connection of one thread, and the identity of its file."""

    def __init__(self, path: Path) -> None:
        self.thread = threading.current_thread()
        _check_rights(path)
        with _locked(path.resolve().parent):
            self.db = sqlite3.connect(
                path, timeout=_STEP, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(self.db, path)
                self.file = identity(path)
            except BaseException:
                self.db.close()
                raise

    def __del__(self) -> None:
        """Close it with a store that is dropped without `close()`; Python 3.13 warns otherwise."""
        with suppress(AttributeError):  # it could not be opened
            self.db.close()


def checked(path: object) -> Path:
    """Return the absolute path of a file. Raises `BreakerConfigError` for any other value."""
    try:
        text = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        text = None
    if not isinstance(text, str) or not text or "\0" in text:
        raise validation.not_allowed("path", path, _ALLOWED, f"Write a text or a Path, {_REMEDY}")
    if text == ":memory:":
        raise validation.not_allowed(
            "path", path, _ALLOWED, "For one process there is MemoryStore()"
        )
    if re.match(r"[a-z][a-z0-9+]+:/|file:", text):  # a single letter is a drive of Windows
        remedy = "Give a URL as store=, or to store_of()"
        raise validation.not_allowed("path", redact_url(text), _ALLOWED, remedy)
    try:
        file = Path(text).expanduser().absolute()
    except RuntimeError:
        remedy = f"There is no such home folder: write it out, {_REMEDY}"
        raise validation.not_allowed("path", path, _ALLOWED, remedy) from None
    if text.endswith("/") or file.is_dir():
        raise validation.not_allowed(
            "path", path, _ALLOWED, f"A folder needs a name after it, {_REMEDY}"
        )
    return file


def _check_rights(path: Path) -> None:
    """Raise an error that names the file and the reason, which SQLite's own does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"its folder can't be made: {error}"
        raise sqlite3.OperationalError(f"unable to open {path}: {why}") from error
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
        why = f"the folder {path.parent} can't be written by {_user()}"
        raise sqlite3.OperationalError(f"unable to open {path}: {why}")
    if path.exists() and not os.access(path, os.W_OK, effective_ids=_EFFECTIVE):
        # SQLite would open it, and make its other two read-only too: for good.
        raise sqlite3.OperationalError(f"{path} is readonly for {_user()}")


def _user() -> str:
    return f"user {os.geteuid()}" if hasattr(os, "geteuid") else "this user"


def value(db: sqlite3.Connection, query: str) -> Any:
    """Return the one value of a query."""
    return db.execute(query).fetchone()[0]


def put_aside(path: Path, file: tuple[int, int] | None) -> bool:
    """Move a malformed file away, if it is ours, and still the same; return True if this moved it.

    No file of this process may be open: reading one would release SQLite's locks on it. Without
    `fcntl`, as on Windows, another process may be opening it at that moment: it stays.
    """
    path = path.resolve()
    with _locked(path.parent, alone=True) as alone:
        if not alone or file is None or identity(path) != file or not _is_marked(path):
            return False
        for end in ("-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        path.replace(f"{path}.corrupt")
    return True


def _is_marked(path: Path) -> bool:
    """Return True if the first bytes of the file mark it as ours."""
    with path.open("rb") as file:
        head = file.read(72)
    return head.startswith(b"SQLite format 3\0") and head[68:] == _OURS.to_bytes(4, "big")


@contextmanager
def _locked(folder: Path, *, alone: bool = False) -> Iterator[bool]:
    """Lock a folder, where that is possible: no process opens a file while one is put aside.

    Otherwise it would make a log for the old file, and SQLite would apply it to the new one.
    """
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:  # as on Windows, for any folder
        yield False
        return
    try:
        yield HAS_LOCKS and _is_locked(opened, alone=alone)
    finally:
        os.close(opened)


def _is_locked(opened: int, *, alone: bool) -> bool:
    import fcntl  # noqa: PLC0415 (Windows has none)

    mode = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    until = time.monotonic() + BUSY
    while True:
        try:
            fcntl.flock(opened, mode | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > until:
                return False
            time.sleep(_STEP)
        else:
            return True


def is_corrupt(error: sqlite3.Error) -> bool:
    """Return True if the file is malformed."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT


def is_busy(error: sqlite3.Error) -> bool:
    """Return True if another process holds the file's lock."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file at a path; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables, unless they are there."""
    try:
        db.execute("begin")
        is_ours = _is_ours(db, path)
        db.execute("commit")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise _foreign(path, "it is no database") from error
        raise
    db.execute("pragma journal_mode = wal")  # readers and a writer work at once
    db.execute("pragma synchronous = normal")
    if is_ours:
        return
    db.execute("begin immediate")
    if not _is_ours(db, path):
        for statement in _SCHEMA:
            db.execute(statement)
    db.execute("commit")
    db.execute("pragma wal_checkpoint")  # so that the file itself has the application id


def _is_ours(db: sqlite3.Connection, path: Path) -> bool:
    """Return True if the tables exist. False if the file is empty, or of an older version."""
    owner, version = value(db, "pragma application_id"), value(db, "pragma user_version")
    if owner == _OURS and version > _VERSION:
        raise _foreign(path, f"it is of version {version}, and this is version {_VERSION}")
    if owner == _OURS:
        return bool(version == _VERSION)
    if owner or value(db, "select count(*) from sqlite_schema"):
        raise _foreign(path, "it belongs to another application")
    return False


def _foreign(path: Path, why: str) -> Exception:
    allowed = f"a file of its own ({why})"
    return validation.not_allowed(
        "path", str(path), allowed, "Give another path, or move that file away"
    )
