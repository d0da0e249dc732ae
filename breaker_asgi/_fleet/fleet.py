"""The fleet: the breakers of this process, kept in step with those of all others.

Calls decide by what this process knows. One background thread tells the store what was seen and
changed here, and brings here what was seen and changed elsewhere.
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
from breaker_asgi._fleet.leased_probes import FleetProbes
from breaker_asgi._fleet.member import UNKNOWN, Member
from breaker_asgi._fleet.poller import News
from breaker_asgi._fleet.quorum import Quorum
from breaker_asgi._fleet.reconciler import Agreement
from breaker_asgi._fleet.reporter import Reports
from breaker_asgi._fleet.roster import Board
from breaker_asgi._fleet.threads import ListenerThread, ReentrantEvent, WorkerThread
from breaker_asgi._fleet.watchdog import Watch

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
"""Seconds that the start waits for what is known."""


class Fleet:
    """Keeps breakers in step through a store. `quorum` workers must see failures to open for all.

    `step` is what the thread does again and again; simulations call it themselves.
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
        """Those that something has to be done for."""
        self._thread: WorkerThread | None = None
        self._watch = Watch(store, clock)
        self.asked = cast("Store", self._watch)
        """The store, for those who ask it in the thread."""
        self._reports = Reports(self.asked, self.worker, clock)
        self._quorum = Quorum(quorum, self.asked, clock)
        self._agreement = Agreement(self.asked, self._quorum, self._reports)
        self._news = News(self.asked, self._reports, clock)
        self._listener: ListenerThread | None = None
        self._reported = -math.inf
        self._board: Board | None = None
        self.problem: str | None = None
        """What is wrong with the store, as far as that is known."""
        self.failures = 0

    @property
    def is_out(self) -> bool:
        """Whether the store is out of reach, or takes too long, or nobody asks it any more."""
        if self.problem is not None or self._watch.trouble is not None:
            return True
        thread = self._thread
        return self._listener is not None and (thread is None or not thread.is_alive())

    @property
    def since(self) -> int:
        """The point up to which the changes of others are known."""
        return self._news.since

    def now(self) -> float:
        """Seconds, on the fleet's clock."""
        return self._clock()

    @property
    def trouble(self) -> str | None:
        """Why the store is of no use now; None if it works."""
        if trouble := self.problem or self._watch.trouble:
            return trouble
        if self.is_out:
            return "sharing was stopped"
        return None if self._board is None else self._board.problem

    def workers(self) -> list[Worker] | None:
        """Give this process and the others, as they show themselves; None if no other is known of.

        From memory: it is kept up to date for half a minute after somebody has asked.
        """
        board = self._board
        if board is None:
            return None
        workers = board.workers()
        return workers if board.is_new else None

    def join(self, breaker: CircuitBreaker) -> None:
        """Keep one more breaker in step, from what is known of it on."""
        with self._joining:
            if breaker in self._members:
                return
            member = breaker._fleet = Member(self, breaker)
            self._members[breaker] = member
            known = self._news.of_one_that_is_new_here(breaker.name)
        if known is not None and not member.local.transition.by_hand:
            member.follow(known)
        self.schedule(member)

    def schedule(self, member: Member) -> None:
        """There is something to do for it."""
        self._due[member] = None
        self.wake()

    # The thread

    def start(self) -> None:
        """Begin in the background, and wait for what is known: half a second at most."""
        self._begin().wait(_START)

    def _begin(self) -> Event:
        lifecycle.running.add(self)
        self._listener, self._board, self._thread = (
            ListenerThread(self),
            Board(self),
            WorkerThread(self),
        )
        self._thread.start()
        self._listener.start()
        return self._thread.has_begun

    def start_anew(self) -> None:
        """Begin in a child process, whose parent goes on as the worker that it was."""
        self.worker = lifecycle.name_of_this_process()
        self._joining = RLock()
        self.woken = ReentrantEvent()
        self._reports.start_anew(self.worker)
        self._watch.end()
        for member in self.members():
            member.start_anew()
        self._begin()

    def stop(self) -> None:
        """Tell the store what is left to tell, and let go of it, if it does not take too long."""
        lifecycle.stop([self])

    def begin_to_stop(self) -> list[Thread]:
        """Have the threads end, and return them. One of them closes the store: that may hang."""
        lifecycle.running.discard(self)
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.end()
        if self._listener is not None:
            self._listener.shut()
        return [running for running in (thread, self._listener) if running is not None]

    def flush_soon(self) -> Event | None:
        """Have told what is left to tell, soon: the event is set when that has been tried."""
        thread = self._thread
        return None if thread is None else thread.flush_soon()

    def tell_what_is_left(self) -> None:
        """Report what has not been reported, and give back what was not used."""
        self._reported = -math.inf
        for member in self.members():
            member.give_back(math.inf)
            self._due[member] = None
        self.step()

    def wake(self) -> None:
        """There is something to do, or may be."""
        self.woken.set()

    def step(self) -> None:
        """Do all that there is to do now. What the store raises is noted, and said once."""
        self.woken.clear()
        self._watch.begin()
        try:
            self._exchange()
            self._catch_up()
            self._look_after_all()
            if self._board is not None:
                self._board.turn()
        except Exception as error:  # noqa: BLE001
            self.has_failed(error)
        else:
            self._works()
        finally:
            self._watch.end()

    def _works(self) -> None:
        self.failures = 0
        if self.problem is not None:
            self.problem = None
            log(logging.WARNING, "the store %s works again", self.store.label)

    def has_failed(self, error: BaseException) -> None:
        """The store is of no use now."""
        self.failures += 1
        is_new, self.problem = self.problem is None, words_for(error)
        for member in self.members():
            member.answer()
        if is_new:
            log(
                logging.WARNING,
                "the store %s does not work; each process decides alone until it does: %s",
                self.store.label,
                one_line(self.problem),
            )
            log(logging.DEBUG, "where the store %s failed", self.store.label, error=error)
        for member in self.members():
            member.log_opening()

    # What is done

    def _exchange(self) -> None:
        """Report what was seen here, and look at what all have seen."""
        self.take_reports()
        self._learn(self._reports.tell())

    def seconds_to_report(self) -> float:
        """How long it is until the next report is due."""
        return max(0.0, self._reported + INTERVAL - self._clock())

    def take_reports(self) -> None:
        """Do so once in a while; while the store is out, note what there is to report."""
        now = self._clock()
        if now - self._reported >= INTERVAL:
            self._reported = now
            self._reports.take(self.members())

    def _catch_up(self) -> None:
        """Look at what was changed elsewhere.

        And at all, after a time without the store, where it has forgotten, and now and then.
        """
        members = self.members()
        anew = self.problem is not None or self._news.are_old
        is_told = self._listener is None or self._listener.has_news
        if not (anew or is_told or any(each.generation == UNKNOWN for each in members)):
            return
        if self._listener is not None:
            self._listener.has_news = False  # what it hears from here on is news again
        self._news.fetch(members, self._learn, anew=anew)
        if anew:
            self._quorum.count_workers()
        if self._listener is not None:
            self._listener.go_on()

    def _look_after_all(self) -> None:
        due, self._due = self._due, {}
        while due:
            member = next(iter(due))
            del due[member]
            try:
                self._look_after(member)
            except BaseException:
                self._due = due | self._due | {member: None}  # the others first, the next time
                raise

    def _look_after(self, member: Member) -> None:
        """Make its change known, and lend and take back its probes."""
        breaker = member.breaker
        if breaker is None:
            return
        if member.generation == UNKNOWN and not breaker._generation.transition.by_hand:
            self._due[member] = None
            return
        self._agreement.tend(member, breaker)
        probes = breaker._generation.probes
        if isinstance(probes, FleetProbes) and probes.holds_some:
            self._due[member] = None

    def members(self) -> list[Member]:
        with self._joining:
            return list(self._members.values())

    def _learn(self, known: Mapping[str, Shared]) -> None:
        for member in self.members() if known else ():
            if member.name in known:
                self._agreement.judge(member, known[member.name])
