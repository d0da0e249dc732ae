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
    """As `threading.Event`, but it can be set at any line, also while the same thread sets it.

    A collected generator may do so: it gives its probe back.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Wake whoever waits, or the next one who does."""
        if not self.is_set():
            self._queue.put(None)

    def is_set(self) -> bool:
        """Whether nobody would wait."""
        return not self._queue.empty()

    def clear(self) -> None:
        """Who waits from here on is not woken by what was before."""
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            pass

    def wait(self, seconds: float) -> None:
        """Until it is set, for so long at most. It stays set."""
        try:
            self._queue.get(timeout=seconds)
        except Empty:
            return
        self.set()


class Work(Protocol):
    """The work of a fleet."""

    store: Store
    woken: ReentrantEvent
    failures: int
    """Steps in a row that have failed."""

    def step(self) -> None: ...

    def tell_what_is_left(self) -> None: ...

    def has_failed(self, error: BaseException) -> None: ...

    def now(self) -> float: ...

    def seconds_to_report(self) -> float: ...

    def take_reports(self) -> None: ...


class WorkerThread(Thread):
    """The thread in which a fleet takes its steps. Nobody else asks the store for anything."""

    def __init__(self, fleet: Work) -> None:
        super().__init__(name="breaker_asgi fleet", daemon=True)
        self._fleet = fleet
        self.has_begun = Event()
        """Set when the store has been asked what is known."""
        self._ends = False
        self._to_tell_all: Event | None = None
        """Set when all is told, if somebody has asked for that."""

    def run(self) -> None:
        """Step, rest, and step again; at the end tell what is left, and let go of the store."""
        fleet = self._fleet
        self._survive(fleet.step)
        self.has_begun.set()
        while not self._ends:
            self._rest()
            asked, self._to_tell_all = self._to_tell_all, None
            if asked is None:
                self._survive(fleet.step)
            else:
                self._survive(fleet.tell_what_is_left)
                asked.set()
        self._survive(fleet.tell_what_is_left)
        with suppress(BaseException):
            fleet.store.close()

    def flush_soon(self) -> Event:
        """Have told what is left to tell, soon: the event is set when that has been tried."""
        told = self._to_tell_all = Event()
        self._fleet.woken.set()
        return told

    def end(self) -> None:
        """Go on no longer than it takes to tell what is left."""
        self._ends = True
        self._fleet.woken.set()

    def _survive(self, step: Callable[[], None]) -> None:
        """Take a step, and go on even after what ends other threads: a listener may call `exit`."""
        try:
            step()
        except BaseException as error:  # noqa: BLE001
            self._fleet.has_failed(error)

    def _rest(self) -> None:
        """Until there is something to do; after failures for a while, and each time for longer."""
        fleet = self._fleet
        if fleet.failures:
            doublings = min(fleet.failures, _MOST_DOUBLINGS)
            until = fleet.now() + min(_SHORTEST_PAUSE * 2**doublings, _LONGEST_PAUSE)
            while (left := until - fleet.now()) > 0:
                time.sleep(min(left, fleet.seconds_to_report()))
                fleet.take_reports()
        elif self._to_tell_all is None:
            fleet.woken.wait(fleet.seconds_to_report())


class Changes(Protocol):
    """The changes of other workers, as far as a fleet knows them."""

    store: Store

    @property
    def since(self) -> int: ...

    def wake(self) -> None: ...


class ListenerThread(Thread):
    """A thread of its own, as waiting takes all its time."""

    def __init__(self, fleet: Changes) -> None:
        super().__init__(name="breaker_asgi fleet, listening", daemon=True)
        self._fleet = fleet
        self._shut = Event()
        self._taken = Event()
        self.has_news = True
        """Whether there may be changes that nobody has begun to look at."""

    def go_on(self) -> None:
        """What it had heard has been looked at."""
        self._taken.set()

    def run(self) -> None:
        """Wait, tell, and go on once it has been heard."""
        while not self._shut.is_set():
            try:
                self._fleet.store.wait(self._fleet.since, _LONGEST_WAIT)
            except BaseException:  # noqa: BLE001
                self._shut.wait(_LONGEST_WAIT)  # the fleet finds out by itself
            if self._shut.is_set():
                return
            self._taken.clear()
            self.has_news = True
            self._fleet.wake()
            self._taken.wait(_LONGEST_WAIT)

    def shut(self) -> None:
        """Wait no more."""
        self._shut.set()
        self._taken.set()
