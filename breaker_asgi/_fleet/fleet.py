"""The fleet: the breakers of this process, kept in step with those of all others.

Calls decide by the state in this process. One background thread reports counts and changes of this
process to the store, and fetches those of other workers.
"""

from __future__ import annotations

import logging
import math
import time
from threading import RLock
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from breaker_asgi._core.counters import words_for
from breaker_asgi._core.logs import log, one_line
from breaker_asgi._fleet import lifecycle
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi._fleet.member import UNKNOWN, Member
from breaker_asgi._fleet.poller import Poller
from breaker_asgi._fleet.quorum import Quorum
from breaker_asgi._fleet.reconciler import Reconciler
from breaker_asgi._fleet.reporter import Reporter
from breaker_asgi._fleet.roster import Roster
from breaker_asgi._fleet.threads import ListenerThread, ReentrantEvent, WorkerThread
from breaker_asgi._fleet.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Event, Thread

    from breaker_asgi._fleet.roster import Worker
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Shared, Store

PATIENCE = 0.25
"""Seconds that a call waits for the store to lend it a probe."""
INTERVAL = 1.0
"""Seconds between two reports."""
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
        self._members: WeakKeyDictionary[CircuitBreaker, Member] = WeakKeyDictionary()
        self._joining = RLock()
        self.woken = ReentrantEvent()
        self._due: dict[Member, None] = {}
        """Members with pending work."""
        self._thread: WorkerThread | None = None
        self._watchdog = Watchdog(store, clock)
        self.watched_store = cast("Store", self._watchdog)
        """The store, as the thread calls it: each operation is timed."""
        self._reporter = Reporter(self.watched_store, self.worker, clock)
        self._quorum = Quorum(quorum, self.watched_store, clock)
        self._reconciler = Reconciler(self.watched_store, self._quorum, self._reporter)
        self._poller = Poller(self.watched_store, self._reporter, clock)
        self._listener: ListenerThread | None = None
        self._reported = -math.inf
        self._roster: Roster | None = None
        self.step_trouble: str | None = None
        """The error of the last step; None if it succeeded."""
        self.failures = 0

    @property
    def is_out(self) -> bool:
        """True while each process decides alone. A failure to publish figures is only `trouble`."""
        if self.step_trouble is not None or self._watchdog.trouble is not None:
            return True
        thread = self._thread
        return self._listener is not None and (thread is None or not thread.is_alive())

    @property
    def since(self) -> int:
        """The point up to which the changes of other workers are fetched."""
        return self._poller.since

    def now(self) -> float:
        """Return the seconds on the fleet's clock."""
        return self._clock()

    @property
    def trouble(self) -> str | None:
        """The reason why the store does not work, or only in part; None if it works."""
        if trouble := self.step_trouble or self._watchdog.trouble:
            return trouble
        if self.is_out:
            return "sharing was stopped"
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
            if breaker in self._members:
                return
            member = breaker._fleet = Member(self, breaker)
            self._members[breaker] = member
            record = self._poller.take_remote_state(breaker.name)
        if record is not None and not member.local.transition.by_hand:
            member.follow(record)
        self.schedule(member)

    def schedule(self, member: Member) -> None:
        """Mark a member as one with pending work."""
        self._due[member] = None
        self.wake()

    # The thread

    def start(self) -> None:
        """Begin in the background, and wait for the first fetch: half a second at most."""
        self._begin().wait(_START)

    def _begin(self) -> Event:
        lifecycle.running.add(self)
        self._listener, self._roster, self._thread = (
            ListenerThread(self),
            Roster(self),
            WorkerThread(self),
        )
        self._thread.start()
        self._listener.start()
        return self._thread.has_begun

    def start_anew(self) -> None:
        """Begin in a child process as a worker of its own; the parent goes on."""
        self.worker = lifecycle.name_of_this_process()
        self._joining = RLock()
        self.woken = ReentrantEvent()
        self._reporter.start_anew(self.worker)
        self._watchdog.end()
        for member in self.members():
            member.start_anew()
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
        self._reported = -math.inf
        for member in self.members():
            member.give_back(math.inf)
            self._due[member] = None
        self.step()

    def wake(self) -> None:
        """Wake the thread: there may be work."""
        self.woken.set()

    def step(self) -> None:
        """Do all pending work. An error of the store is kept as `trouble`, and logged once."""
        self.woken.clear()
        self._watchdog.begin()
        try:
            self._exchange()
            self._poll()
            self._sync_due_members()
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

    def record_failure(self, error: BaseException) -> None:
        """Record an error of the store, and log it once; the process decides alone meanwhile."""
        self.failures += 1
        is_new, self.step_trouble = self.step_trouble is None, words_for(error)
        for member in self.members():
            member.wake_waiters()
        if is_new:
            log(
                logging.WARNING,
                "the store %s does not work; each process decides alone until it does: %s",
                self.store.label,
                one_line(self.step_trouble),
            )
            log(logging.DEBUG, "where the store %s failed", self.store.label, error=error)
        for member in self.members():
            member.log_opening()

    # Parts of a step

    def _exchange(self) -> None:
        """Report the counts of this process, and fetch the sums of all workers."""
        self.take_reports()
        self._reconcile_all(self._reporter.exchange())

    def seconds_to_report(self) -> float:
        """Return the seconds until the next report is due."""
        return max(0.0, self._reported + INTERVAL - self._clock())

    def take_reports(self) -> None:
        """Take a report from each member if it is due; while the store is out, note the counts."""
        now = self._clock()
        if now - self._reported >= INTERVAL:
            self._reported = now
            self._reporter.take(self.members())

    def _poll(self) -> None:
        """Fetch the breakers that other workers have changed.

        All of them are fetched after an outage, where the store has lost records, and now and then.
        """
        members = self.members()
        anew = self.step_trouble is not None or self._poller.is_due
        is_notified = self._listener is None or self._listener.has_news
        if not (anew or is_notified or any(member.generation == UNKNOWN for member in members)):
            return
        if self._listener is not None:
            self._listener.has_news = False  # a later change sets it again
        self._poller.fetch(members, self._reconcile_all, anew=anew)
        if anew:
            self._quorum.count_workers()
        if self._listener is not None:
            self._listener.go_on()

    def _sync_due_members(self) -> None:
        due, self._due = self._due, {}
        while due:
            member = next(iter(due))
            del due[member]
            try:
                self._sync(member)
            except BaseException:
                self._due = due | self._due | {member: None}  # the others first, the next time
                raise

    def _sync(self, member: Member) -> None:
        """Share its change, claim probes that calls wait for, and give probes back."""
        breaker = member.breaker
        if breaker is None:
            return
        if member.generation == UNKNOWN and not breaker._generation.transition.by_hand:
            self._due[member] = None
            return
        self._reconciler.sync_member(member, breaker)
        probes = breaker._generation.probes
        if isinstance(probes, LeasedProbes) and probes.holds_some:
            self._due[member] = None

    def members(self) -> list[Member]:
        with self._joining:
            return list(self._members.values())

    def _reconcile_all(self, records: Mapping[str, Shared]) -> None:
        for member in self.members() if records else ():
            if member.name in records:
                self._reconciler.reconcile(member, records[member.name])
