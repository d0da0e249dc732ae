"""The fleet: the breakers of this process, kept in step with those of all others.

Calls decide by the state in this process. One background thread reports counts and changes of this
process to the store, and fetches those of other workers.
"""

from __future__ import annotations

import logging
import math
import time
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from breaker_asgi._core.counters import words_for
from breaker_asgi._core.logs import log, one_line
from breaker_asgi._fleet import lifecycle
from breaker_asgi._fleet.link import Link
from breaker_asgi._fleet.quorum import Quorum
from breaker_asgi._fleet.roster import Roster
from breaker_asgi._fleet.stand_ins import StandIns
from breaker_asgi._fleet.synchroniser import Synchroniser
from breaker_asgi._fleet.threads import ListenerThread, ReentrantEvent, WorkerThread
from breaker_asgi._fleet.watchdog import Watchdog
from breaker_asgi.stores.protocol import is_board

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event, Thread

    from breaker_asgi._fleet.roster import Observer, Worker
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Board, Store

PATIENCE = 0.25
"""Seconds that a call waits for the store to lend it a probe."""
_START = 0.5
"""Seconds that the start waits for the first fetch."""


class Fleet:
    """Keeps breakers in step through a store. `quorum` workers must see failures to open for all.

    The thread calls `step` again and again; simulations call it themselves.
    """

    def __init__(
        self,
        store: Store,
        *,
        quorum: float = 1,
        worker: str | None = None,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.quorum = quorum
        self.patience = patience
        self.worker = worker or lifecycle.name_of_this_process()
        self._clock = clock
        self._links: WeakKeyDictionary[CircuitBreaker, Link] = WeakKeyDictionary()
        self._joining = RLock()
        self.stand_ins = StandIns(self)
        self.woken = ReentrantEvent()
        self._thread: WorkerThread | None = None
        self._watchdog = Watchdog(store, clock)
        self.board = cast("Board", self._watchdog)
        self._synchroniser = Synchroniser(
            cast("Store", self._watchdog), Quorum(quorum, clock), self.worker, clock
        )
        self._listener: ListenerThread | None = None
        self._ids = count()
        self._roster: Roster | None = None
        self.observer: Observer | None = None
        """The observer that adds to what this worker publishes."""
        self.step_trouble: str | None = None
        """The error of the last step; None if it succeeded."""
        self.failures = 0
        self._is_slow = False

    @property
    def is_out(self) -> bool:
        """True while each process decides alone. A failure to publish figures is only `trouble`."""
        if self.step_trouble is not None or self._watchdog.trouble is not None:
            return True
        thread = self._thread
        return self._listener is not None and (thread is None or not thread.is_alive())

    @property
    def cursor(self) -> int:
        """The point up to which the changes of other workers are fetched."""
        return self._synchroniser.cursor

    @property
    def pace(self) -> float:
        """The factor by which a large fleet uses the store more rarely."""
        return self._synchroniser.reports.pace

    @property
    def asked_at(self) -> float:
        """The time of the last request to the store, on the fleet's clock."""
        return self._synchroniser.asked_at

    def new_id(self) -> str:
        """Return an identity for a change that was made in this process."""
        return f"{self.worker}:{next(self._ids)}"

    def now(self) -> float:
        """Return the seconds on the fleet's clock."""
        return self._clock()

    @property
    def outage(self) -> str | None:
        """The reason why each process decides alone; None while the store works."""
        if outage := self.step_trouble or self._watchdog.trouble:
            return outage
        return "sharing was stopped" if self.is_out else None

    @property
    def trouble(self) -> str | None:
        """The reason why the store does not work, or only in part; None if it works."""
        if outage := self.outage:
            return outage
        if (seconds := self._watchdog.slowness) is not None:
            return f"it is slow: half of the exchanges take more than {seconds:.1f} s"
        for link in self.links():
            if link.unreadable is not None:
                return f"the record of {link.name!r} can't be read: {link.unreadable}"
        return None if self._roster is None else self._roster.trouble

    def workers(self) -> list[Worker] | None:
        """Return the figures of this process and of other workers; None before they are fetched.

        From memory: the thread keeps it up to date for half a minute after a call.
        """
        roster = self._roster
        if roster is None:
            return None
        workers = roster.workers()
        return workers if roster.is_new else None

    def join(self, breaker: CircuitBreaker) -> None:
        """Keep one more breaker in step, beginning with its remote state."""
        with self._joining:
            if breaker in self._links:
                return
            link = breaker._fleet = Link(self, breaker)
            self._links[breaker] = link
            record = self._synchroniser.take_remote_state(breaker.name)
        if record is not None and not link.local.transition.by_hand:
            link.follow(record, link.local, was_kept=True)
        self.schedule(link)

    def schedule(self, link: Link) -> None:
        """Mark a link as one with pending work."""
        self._synchroniser.schedule(link)
        self.wake()

    # The thread

    def start(self) -> None:
        """Begin in the background, and wait for the first fetch: half a second at most."""
        self._begin().wait(_START)

    def _begin(self) -> Event:
        lifecycle.running.add(self)
        self._roster = Roster(self) if is_board(self.store) else None
        self._listener, self._thread = ListenerThread(self), WorkerThread(self)
        self._thread.start()
        self._listener.start()
        return self._thread.has_begun

    def start_anew(self) -> None:
        """Begin in a child process as a worker of its own; the parent goes on."""
        self.worker = lifecycle.name_of_this_process()
        self._joining = RLock()
        self.woken = ReentrantEvent()
        self._synchroniser.start_anew(self.worker)
        self._watchdog.end()
        self.stand_ins.clear()
        for link in self.links():
            link.start_anew()
        self._begin()

    def stop(self) -> None:
        """Flush to the store and close it, unless that takes too long."""
        lifecycle.stop([self])

    def begin_to_stop(self) -> list[Thread]:
        """Ask the threads to end, and return them. One of them closes the store: that may hang."""
        lifecycle.running.discard(self)
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.end()
        if self._listener is not None:
            self._listener.shut()
        return [running for running in (thread, self._listener) if running is not None]

    def flush_soon(self) -> Event | None:
        """Flush soon. The event is set after the attempt."""
        thread = self._thread
        return None if thread is None else thread.flush_soon()

    def flush(self) -> None:
        """Report all counts now, and give back unused probes."""
        self._synchroniser.reports.hurry()
        for link in self.links():
            link.give_back(math.inf)
            self._synchroniser.schedule(link)
        self.step()

    def wake(self) -> None:
        """Wake the thread: there may be work."""
        self.woken.set()

    def step(self) -> None:
        """Do all pending work. An error of the store is kept as `trouble`, and logged once."""
        self.woken.clear()
        self._watchdog.begin()
        try:
            self._synchronise()
            if self._roster is not None:
                self._roster.publish_and_fetch()
        except Exception as error:  # noqa: BLE001
            self.record_failure(error)
        else:
            self._record_success()
        finally:
            self._watchdog.end()

    def _record_success(self) -> None:
        self.failures = 0
        if self.step_trouble is not None:
            self.step_trouble = None
            log(logging.WARNING, "the store %s works again", self.store.label)
        seconds, was_slow = self._watchdog.slowness, self._is_slow
        self._is_slow = seconds is not None
        if seconds is not None and not was_slow:
            text = "the store %s is slow: half of the last exchanges took more than %.1f s"
            log(logging.WARNING, text, self.store.label, seconds)
        elif was_slow and seconds is None:
            log(logging.WARNING, "the store %s is fast enough again", self.store.label)

    def record_failure(self, error: BaseException) -> None:
        """Record an error of the store, and log it once; the process decides alone meanwhile."""
        self.failures += 1
        is_new, self.step_trouble = self.step_trouble is None, words_for(error)
        links = self._all_links()
        for link in links:
            link.wake_waiters()
        if is_new:
            log(
                logging.WARNING,
                "the store %s does not work; each process decides alone until it does: %s",
                self.store.label,
                one_line(self.step_trouble),
            )
            log(logging.DEBUG, "where the store %s failed", self.store.label, error=error)
        for link in links:
            link.log_opening()

    def _synchronise(self) -> None:
        """Exchange all that is pending.

        All breakers are compared after an outage, and now and then.
        """
        listener = self._listener
        is_notified = listener is None or listener.has_news
        if listener is not None:
            listener.begin_to_fetch()
        compare = self.step_trouble is not None or self._synchroniser.is_due
        self._synchroniser.step(self._all_links(), compare=compare, is_notified=is_notified)
        if listener is not None:
            listener.go_on()

    def seconds_to_report(self) -> float:
        """Return the seconds until the next report is due."""
        return self._synchroniser.reports.seconds_to_next()

    def take_reports(self) -> None:
        """Take reports if they are due; while the store is out, note the counts."""
        self._synchroniser.reports.take_if_due(self.links())

    def links(self) -> list[Link]:
        """Return the links of all breakers that are in step."""
        with self._joining:
            return list(self._links.values())

    def _all_links(self) -> list[Link]:
        """Return the links, and those of stand-ins."""
        links = self.links()
        return [*links, *self.stand_ins.links(links)]
