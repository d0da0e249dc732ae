"""SQLite and forks: no file is open in a process while it forks."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from breaker_asgi._core.process import at_fork

if TYPE_CHECKING:
    from breaker_asgi.stores.sqlite_file import Connection
    from breaker_asgi.stores.sqlite_identity import Identity

LONGEST_WAIT = 10.0
"""Seconds that a fork waits for SQLite: a child whose fork does not wait can never use the file.

A transaction takes milliseconds, but more than a second where many processes share a processor.
"""


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

    def opened(self) -> set[Identity]:
        """Return the databases that this process has open."""
        files = (connection.files for store in list(self.stores) for connection in store.opened)
        return {ours.database for ours in files if ours and ours.database}

    def close_all(self) -> None:
        """Close all files of this process. The caller holds the lock."""
        for store in list(self.stores):
            store.close_connections()

    def before(self) -> None:
        self._waited = self.is_whole and self._lock.acquire(timeout=LONGEST_WAIT)
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
