"""The threads of a fleet: one does its work, and one waits for the changes of other workers."""

from __future__ import annotations

import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store

_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_MOST_DOUBLINGS = 7
_LONGEST_WAIT = 1.0
"""Seconds after which it is assumed that something has changed: a push may get lost."""


class ReentrantEvent:
    """An event that can be set at any line, also while the same thread is setting it.

    A collected generator may do so: it gives its probe back.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Wake the waiting thread, or the next one that waits."""
        if not self.is_set():
            self._queue.put(None)

    def is_set(self) -> bool:
        """Return True if the flag is set."""
        return not self._queue.empty()

    def clear(self) -> None:
        """Clear the flag."""
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            pass

    def wait(self, seconds: float) -> None:
        """Wait until the flag is set, for `seconds` at most. It stays set."""
        try:
            self._queue.get(timeout=seconds)
        except Empty:
            return
        self.set()


class Work(Protocol):
    """The work of a fleet, as its thread does it."""

    store: Store
    woken: ReentrantEvent
    failures: int
    """Steps in a row that have failed."""

    def step(self) -> None: ...

    def flush(self) -> None: ...

    def record_failure(self, error: BaseException) -> None: ...

    def now(self) -> float: ...

    def seconds_to_report(self) -> float: ...

    def take_reports(self) -> None: ...


class WorkerThread(Thread):
    """The thread of a fleet's steps. All operations of the store but `wait` run in it."""

    def __init__(self, fleet: Work) -> None:
        super().__init__(name="breaker_asgi fleet", daemon=True)
        self._fleet = fleet
        self.has_begun = Event()
        """Set after the first fetch."""
        self._ends = False
        self._to_flush: Event | None = None
        """The event to set after a flush that was requested."""

    def run(self) -> None:
        """Step, rest, and step again; at the end flush, and close the store."""
        fleet = self._fleet
        self._survive(fleet.step)
        self.has_begun.set()
        while not self._ends:
            self._rest()
            flushed, self._to_flush = self._to_flush, None
            if flushed is None:
                self._survive(fleet.step)
            else:
                self._survive(fleet.flush)
                flushed.set()
        self._survive(fleet.flush)
        with suppress(BaseException):
            fleet.store.close()

    def flush_soon(self) -> Event:
        """Flush soon. The event is set after the attempt."""
        flushed = self._to_flush = Event()
        self._fleet.woken.set()
        return flushed

    def end(self) -> None:
        """End after a last flush."""
        self._ends = True
        self._fleet.woken.set()

    def _survive(self, step: Callable[[], None]) -> None:
        """Take a step, and survive any exception: a listener may call `exit`."""
        try:
            step()
        except BaseException as error:  # noqa: BLE001
            self._fleet.record_failure(error)

    def _rest(self) -> None:
        """Wait for work; after failures wait for a while, longer each time."""
        fleet = self._fleet
        if fleet.failures:
            doublings = min(fleet.failures, _MOST_DOUBLINGS)
            until = fleet.now() + min(_SHORTEST_PAUSE * 2**doublings, _LONGEST_PAUSE)
            while (left := until - fleet.now()) > 0:
                time.sleep(min(left, fleet.seconds_to_report()))
                fleet.take_reports()
        elif self._to_flush is None:
            fleet.woken.wait(fleet.seconds_to_report())


class Changes(Protocol):
    """A fleet, as far as the listener thread needs it."""

    store: Store

    @property
    def pace(self) -> float: ...

    @property
    def cursor(self) -> int: ...

    def wake(self) -> None: ...


class ListenerThread(Thread):
    """The listener thread: blocks in `store.wait`, and wakes the worker thread."""

    def __init__(self, fleet: Changes) -> None:
        super().__init__(name="breaker_asgi fleet, listening", daemon=True)
        self._fleet = fleet
        self._shut = Event()
        self._taken = Event()
        self._point: int | None = None
        """The latest point of the store; None if it is not known."""
        self._is_fetched = False

    @property
    def has_news(self) -> bool:
        """True if there may be changes that the worker thread has not begun to fetch."""
        return not self._is_fetched and self._point != self._fleet.cursor

    def begin_to_fetch(self) -> None:
        """Take the news as being fetched: a later change is news again."""
        self._is_fetched = True

    def go_on(self) -> None:
        """Wait for further changes: the last ones are fetched."""
        self._taken.set()

    def run(self) -> None:
        """Wait, wake the worker thread, and go on once it has fetched."""
        while not self._shut.is_set():
            cursor, point = self._fleet.cursor, None
            try:
                point = self._fleet.store.wait(cursor, _LONGEST_WAIT * self._fleet.pace)
            except BaseException:  # noqa: BLE001
                self._shut.wait(_LONGEST_WAIT)  # the fleet meets the same error
            if self._shut.is_set():
                return
            self._taken.clear()
            self._point = None if point == cursor else point  # a push may get lost
            self._is_fetched = False
            self._fleet.wake()
            self._taken.wait(_LONGEST_WAIT)

    def shut(self) -> None:
        """End the waiting."""
        self._shut.set()
        self._taken.set()
