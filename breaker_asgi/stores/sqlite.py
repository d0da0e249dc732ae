"""A store in a file, for all the processes of one host."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from breaker_asgi._core.logs import log
from breaker_asgi.stores.protocol import Claim
from breaker_asgi.stores.record import DAY, Record, decode, encode
from breaker_asgi.stores.sqlite_file import (
    Connection,
    is_busy,
    is_corrupt,
    malformed,
    put_aside,
    value,
)
from breaker_asgi.stores.sqlite_fork import unforked
from breaker_asgi.stores.sqlite_identity import Identity, ReplacedError, identity
from breaker_asgi.stores.sqlite_lock import BUSY, HAS_LOCKS
from breaker_asgi.stores.sqlite_path import checked

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from breaker_asgi._core.config import Clock
    from breaker_asgi.stores.protocol import Change, Counts, Report, Shared

__all__ = ["SQLiteStore"]

_INTERVAL = 0.05
_PAUSE = 0.01
_TIDY = 3600
_SAVE = """
    insert into breakers (name, state, point, used, record) values (?, ?, ?, ?, ?)
    on conflict (name) do update set
        state = excluded.state,
        point = max(point, excluded.point),
        used = excluded.used,
        record = excluded.record
"""


class SQLiteStore:
    """Shares state between the processes of one host, in a file that is made if it is missing.

    The file must be on a disk of this host, not on a network share. The folder has to be writable:
    SQLite keeps two more files there. `~` is the home folder. A removed file is made anew; so is a
    malformed or emptied one, kept as `.corrupt`; on Windows it stays until it is moved by hand.
    After any other error the next call tries again from the start.
    """

    def __init__(self, path: str | os.PathLike[str], *, clock: Clock = time.time) -> None:
        self._path = checked(path)
        self._clock = clock
        self._own = threading.local()
        self.opened: list[Connection] = []
        self._tidied = -float("inf")
        unforked.stores.add(self)

    @property
    def label(self) -> str:
        """The file."""
        return f"sqlite:{self._path}"

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        """Add up the counts of a worker, in one transaction."""
        records = {}
        with self._transaction(write=bool(reports)) as db:
            for report in reports:
                record, now = self._load(db, report.name)
                if record.add(worker, number, report, now):
                    self._save(db, report.name, record)
                records[report.name] = record.shared(now)
            for name in ask:
                record, now = self._load(db, name)
                records[name] = record.shared(now)
        return records

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
        """Return the names of breakers that have changed; in a new file, of all not closed."""
        with self._transaction(write=False) as db:
            point = _top(db)
            if 0 < since <= point:
                rows = db.execute("select name from breakers where point > ?", (since,))
            else:
                rows = db.execute("select name from breakers where state != 'closed'")
            return point, [decode(name) for (name,) in rows]

    def wait(self, since: int, timeout: float) -> None:
        """Poll for a change by another connection."""
        with self._anew_if_corrupt():
            self._poll(since, time.monotonic() + timeout)

    def _poll(self, since: int, until: float) -> None:
        with self._begun() as connection:
            pass
        last_version = None
        while True:
            with unforked:
                if connection.has_changed():
                    return  # another file: much may have changed
                try:
                    version = value(connection.db, "pragma data_version")
                    if version != last_version and _top(connection.db) > since:
                        return
                except sqlite3.Error:
                    self._drop()
                    raise
            last_version = version
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(_INTERVAL, left))

    def publish(self, worker: str, figures: str, seconds: float) -> None:
        """Keep a worker's figures, and drop expired ones."""
        with self._transaction() as db:
            now = round(self._clock() * 1000)
            db.execute("delete from workers where until <= ? or since > ?", (now, now))
            row = encode(worker), now, now + round(seconds * 1000), encode(figures)
            db.execute("insert or replace into workers values (?, ?, ?, ?)", row)

    def published(self) -> Mapping[str, str]:
        """Return the figures of each worker."""
        with self._transaction(write=False) as db:
            now = round(self._clock() * 1000)
            rows = db.execute(
                "select name, figures from workers where since <= ? and until > ?", (now, now)
            )
            return {decode(name): decode(figures) for name, figures in rows}

    def close(self) -> None:
        """Close the file. Any use opens it again."""
        with unforked:
            if unforked.is_whole:
                self.close_connections()

    def close_connections(self) -> None:
        """Close all connections, while none is in use. Threads open new ones when needed."""
        opened, self.opened = self.opened, []
        for connection in opened:
            connection.close()

    @contextmanager
    def _transaction(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        statement = "begin immediate" if write else "begin"
        with self._anew_if_corrupt(), self._begun(statement) as connection:
            try:
                yield connection.db
                if write:
                    self._tidy(connection.db)
                connection.db.execute("commit")
            except BaseException:
                self._drop()  # rolls back; after an error a connection may be unusable
                raise

    @contextmanager
    def _anew_if_corrupt(self) -> Iterator[None]:
        """Put a damaged file aside: the next call makes a new one, and the fleet fills it."""
        file = identity(self._path)
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, ReplacedError):
                file, why = error.database, "was changed by another program"
            elif is_corrupt(error):
                why = "is malformed"
            else:
                raise
            if not HAS_LOCKS:
                remedy = "End all processes that use it, and move it away: this system has no fcntl"
                raise sqlite3.DatabaseError(f"{self._path} {why}. {remedy}") from error
            if self._put_aside(file):
                text = "the file %s %s: it is now %s.corrupt, and begins anew"
                log(logging.WARNING, text, self._path, why, self._path)
            raise

    def _put_aside(self, file: Identity | None) -> bool:
        with unforked:
            unforked.close_all()
            return put_aside(self._path, file)

    @contextmanager
    def _begun(self, statement: str = "") -> Iterator[Connection]:
        """Run `statement` on this thread's connection, and yield it.

        Between retries the fork lock is free.
        """
        until = time.monotonic() + BUSY
        while True:
            with unforked:
                if not unforked.is_whole:
                    why = "this process was forked while SQLite was at work"
                    raise sqlite3.OperationalError(f"{self._path} can't be used: {why}")
                try:
                    connection = self._connection()
                    connection.db.execute(statement)
                except sqlite3.Error as error:
                    if not is_busy(error) or time.monotonic() > until:
                        self._drop()
                        raise
                else:
                    yield connection
                    return
            time.sleep(_PAUSE)

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            if connection.is_usable():
                return connection
            self._drop()
        connection = self._own.connection = Connection(self._path, unforked.opened())
        gone = [opened for opened in self.opened if not opened.thread.is_alive()]
        self.opened = [connection, *(opened for opened in self.opened if opened not in gone)]
        for closing in gone:
            closing.close()
        return connection

    def _drop(self) -> None:
        connection: Connection | None = getattr(self._own, "connection", None)
        self._own.connection = None
        if connection is not None:
            if connection in self.opened:
                self.opened.remove(connection)
            connection.close()

    def _load(self, db: sqlite3.Connection, name: str) -> tuple[Record, int]:
        row = db.execute("select record from breakers where name = ?", (encode(name),)).fetchone()
        record = _parsed(row and row[0])
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
            self._tidied = now
            clock = round(now * 1000)
            rows = db.execute(
                "select name, used, record from breakers where used < ?", (clock - DAY,)
            )
            idle = [(name, used, _parsed(text)) for name, used, text in rows]
            gone = [(name,) for name, used, record in idle if used + record.kept_for() < clock]
            db.executemany("delete from breakers where name = ?", gone)


def _parsed(text: bytes | None) -> Record:
    try:
        return Record.load(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise malformed(error) from error


def _top(db: sqlite3.Connection) -> int:
    top = value(db, "select max(point) from breakers") or 0
    if not isinstance(top, int):  # its page belongs to another table
        raise malformed(top)
    return top
