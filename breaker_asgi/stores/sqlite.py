"""A store in a file, for all the processes of one host."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from breaker_asgi import checks
from breaker_asgi.stores.protocol import Claim
from breaker_asgi.stores.record import DAY, Record, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from breaker_asgi.config import Clock
    from breaker_asgi.stores.protocol import Change, Counts, Report, Shared

__all__ = ["SQLiteStore"]

_OURS = 0x62726B72
_VERSION = 2
_BUSY = 1.0
"""Seconds that a transaction waits for those of other processes."""
_POLL = 0.05
_TIDY = 3600
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
_SAVE = """
    insert into breakers (name, state, point, used, record) values (?, ?, ?, ?, ?)
    on conflict (name) do update set
        state = excluded.state,
        point = max(point, excluded.point),
        used = excluded.used,
        record = excluded.record
"""
_EFFECTIVE = os.access in os.supports_effective_ids
_inherited: list[sqlite3.Connection] = []
"""Connections of a parent process that a fork has not waited for: neither to be used nor closed."""


class _Unforked:
    """Held while SQLite works: a child that is forked then would take its locks for held, for ever.

    A fork waits for it, but not longer than a transaction may take, and finds all files closed: a
    child also inherits what SQLite knows of its parent's locks, and would take them for its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forking = False
        self.stores: WeakSet[SQLiteStore] = WeakSet()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before(self) -> None:
        self._forking = self._lock.acquire(timeout=2 * _BUSY)
        if self._forking:
            for store in list(self.stores):
                store._close_all()

    def in_parent(self) -> None:
        if self._forking:
            self._lock.release()

    def in_child(self) -> None:
        self._lock = threading.Lock()


_unforked = _Unforked()
os.register_at_fork(
    before=_unforked.before,
    after_in_parent=_unforked.in_parent,
    after_in_child=_unforked.in_child,
)


class _Connection:
    """A thread's own, and the file that it leads to."""

    def __init__(self, path: Path) -> None:
        self.thread = threading.current_thread()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not os.access(path, os.W_OK, effective_ids=_EFFECTIVE):
            # SQLite would open it, and make its other two read-only too: for good.
            raise sqlite3.OperationalError(f"{path} is readonly")
        self.db = sqlite3.connect(
            path, timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(self.db, path)
            self.file = _identity(path)
        except BaseException:
            self.db.close()
            raise


class SQLiteStore:
    """Shares state between the processes of one host, in a file that is made if it is missing.

    The file must be on a disk of this host, not on a network share. The folder has to be writable:
    SQLite keeps two more files there. A file that was taken away is made anew; after any other
    error the next call tries again from the start.
    """

    def __init__(self, path: str | os.PathLike[str], *, clock: Clock = time.time) -> None:
        self._path = Path(path).absolute()
        self._clock = clock
        self._own = threading.local()
        self._start()
        _unforked.stores.add(self)

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._opened: list[_Connection] = []
        self._tidied = -float("inf")

    @property
    def label(self) -> str:
        """The file."""
        return f"sqlite:{self._path}"

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        """Add up what a worker has seen, in one transaction."""
        known = {}
        with self._transaction(write=bool(reports)) as db:
            for report in reports:
                record, now = self._load(db, report.name)
                if record.add(worker, number, report, now):
                    self._save(db, report.name, record)
                known[report.name] = record.shared(now)
            for name in ask:
                record, now = self._load(db, name)
                known[name] = record.shared(now)
        return known

    def change(self, change: Change) -> Shared:
        """Make a change, if the generation is the expected one."""
        with self._transaction() as db:
            record, now = self._load(db, change.name)
            if record.change(change, now):
                point = max(_top(db) + 1, round(self._clock() * 1e6))
                self._save(db, change.name, record, point)
            return record.shared(now)

    def claim(self, worker: str, name: str, generation: int, most: int, seconds: float) -> Claim:
        """Lend a probe."""
        with self._transaction() as db:
            record, now = self._load(db, name)
            lease = record.claim(worker, generation, most, seconds, now)
            if lease is not None:
                self._save(db, name, record)
            return Claim(lease, record.shared(now))

    def settle(self, name: str, generation: int, lease: str, counts: Counts | None) -> Shared:
        """Take a lease back."""
        with self._transaction() as db:
            record, now = self._load(db, name)
            if record.settle(generation, lease, counts, now):
                self._save(db, name, record)
            return record.shared(now)

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """The names of breakers that have changed: of all that are away, where the file is new."""
        with self._transaction(write=False) as db:
            point = _top(db)
            if 0 < since <= point:
                rows = db.execute("select name from breakers where point > ?", (since,))
            else:
                rows = db.execute("select name from breakers where state != 'closed'")
            return point, [decode(name) for (name,) in rows]

    def wait(self, since: int, timeout: float) -> None:
        """Look every now and then whether anybody has written."""
        until = time.monotonic() + timeout
        with _unforked:
            connection = self._connection()
        seen = None
        while True:
            with _unforked:
                if connection.file is None or connection.file != _identity(self._path):
                    return  # another file: much may have changed
                try:
                    version = _value(connection.db, "pragma data_version")
                    if version != seen and _top(connection.db) > since:
                        return
                except sqlite3.Error:
                    self._drop(connection)
                    raise
            seen = version
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(_POLL, left))

    def publish(self, worker: str, figures: str, seconds: float) -> None:
        """Keep a worker's figures, and drop those that have expired."""
        with self._transaction() as db:
            now = round(self._clock() * 1000)
            db.execute("delete from workers where until <= ? or since > ?", (now, now))
            row = encode(worker), now, now + round(seconds * 1000), encode(figures)
            db.execute("insert or replace into workers values (?, ?, ?, ?)", row)

    def published(self) -> Mapping[str, str]:
        """The figures of each worker."""
        with self._transaction(write=False) as db:
            now = round(self._clock() * 1000)
            found = db.execute(
                "select name, figures from workers where since <= ? and until > ?", (now, now)
            )
            return {decode(name): decode(figures) for name, figures in found}

    def close(self) -> None:
        """Close the file. Who uses the store again opens it again."""
        self._leave_the_parents_alone()
        with _unforked:
            self._close_all()

    def _close_all(self) -> None:
        """Nobody is using a connection now: who finds its own closed opens another one."""
        with self._lock:
            opened, self._opened = self._opened, []
        for each in opened:
            each.file = None
            each.db.close()

    @contextmanager
    def _transaction(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        with _unforked:
            connection = self._connection()
            try:
                connection.db.execute("begin immediate" if write else "begin")
                yield connection.db
                if write:
                    self._tidy(connection.db)
                connection.db.execute("commit")
            except BaseException:
                self._drop(connection)  # rolls back; what it is worth after an error nobody knows
                raise

    def _connection(self) -> _Connection:
        self._leave_the_parents_alone()
        connection: _Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            if connection.file is not None and connection.file == _identity(self._path):
                return connection
            self._drop(connection)
        connection = self._own.connection = _Connection(self._path)
        with self._lock:
            gone = [each for each in self._opened if not each.thread.is_alive()]
            self._opened = [connection, *(each for each in self._opened if each not in gone)]
        for each in gone:
            each.db.close()
        return connection

    def _drop(self, connection: _Connection) -> None:
        self._own.connection = None
        with self._lock:
            if connection in self._opened:
                self._opened.remove(connection)
        connection.db.close()

    def _leave_the_parents_alone(self) -> None:
        if self._process != os.getpid():
            _inherited.extend(each.db for each in self._opened)
            self._own = threading.local()
            self._start()

    def _load(self, db: sqlite3.Connection, name: str) -> tuple[Record, int]:
        row = db.execute("select record from breakers where name = ?", (encode(name),)).fetchone()
        record = Record.load(row and row[0])
        ahead = record.ahead
        now = record.now(round(self._clock() * 1000))
        if record.ahead != ahead:
            self._save(db, name, record)
        return record, now

    def _save(self, db: sqlite3.Connection, name: str, record: Record, point: int = 0) -> None:
        used = round(self._clock() * 1000)
        db.execute(_SAVE, (encode(name), record.state, point, used, record.dump()))

    def _tidy(self, db: sqlite3.Connection) -> None:
        now = self._clock()
        if not self._tidied <= now < self._tidied + _TIDY:
            old = round(now * 1000) - DAY
            db.execute("delete from breakers where state = 'closed' and used < ?", (old,))
            self._tidied = now


def _value(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]


def _top(db: sqlite3.Connection) -> int:
    top: int | None = _value(db, "select max(point) from breakers")
    return top or 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


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
    _keep_a_log(db)
    db.execute("pragma synchronous = normal")
    if is_ours:
        return
    db.execute("begin immediate")
    if not _is_ours(db, path):
        for statement in _SCHEMA:
            db.execute(statement)
    db.execute("commit")


def _is_ours(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables are there. False if the file is empty, or of an older version."""
    owner, version = _value(db, "pragma application_id"), _value(db, "pragma user_version")
    if owner == _OURS and version > _VERSION:
        raise _foreign(path, f"it is of version {version}, and this is version {_VERSION}")
    if owner == _OURS:
        return bool(version == _VERSION)
    if owner or _value(db, "select count(*) from sqlite_schema"):
        raise _foreign(path, "it belongs to another application")
    return False


def _keep_a_log(db: sqlite3.Connection) -> None:
    """Let readers and a writer work at once. Here SQLite waits for nobody who does the same."""
    until = time.monotonic() + _BUSY
    while _value(db, "pragma journal_mode") != "wal":
        try:
            db.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _foreign(path: Path, why: str) -> Exception:
    allowed = f"a file of its own ({why})"
    return checks.wrong("path", str(path), allowed, "Give another path, or move that file away")
