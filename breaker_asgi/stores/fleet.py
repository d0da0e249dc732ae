"""The fleet: the breakers of this process, kept in step with those of all others.

Calls decide by what this process knows. One background thread tells the store what was seen and
changed here, and brings here what was seen and changed elsewhere.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import socket
import time
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from breaker_asgi.generation import Transition, due_change
from breaker_asgi.state import CLOSED, HALF_OPEN, OPEN
from breaker_asgi.stores.board import Board
from breaker_asgi.stores.ear import Ear
from breaker_asgi.stores.member import Evidence, FleetProbes, Member
from breaker_asgi.stores.protocol import Change, Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.generation import Generation
    from breaker_asgi.stores.board import Worker
    from breaker_asgi.stores.protocol import Report, Store

logger = logging.getLogger("breaker_asgi")

PATIENCE = 0.25
"""Seconds that a call waits for the store to lend it a probe."""
INTERVAL = 1.0
"""Seconds between two reports."""
_HUNG = 0.5
"""Seconds after which a store that does not answer is taken for one that is out."""
_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


class Fleet:
    """Keeps breakers in step through a store. `quorum` workers must have seen failures to open all.

    `step` is what the thread does again and again; simulations call it themselves.
    """

    def __init__(
        self,
        store: Store,
        *,
        quorum: int = 1,
        worker: str | None = None,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.quorum = quorum
        self.patience = patience
        self.worker = worker or _name_of_this_process()
        self._clock = clock
        self._members: WeakKeyDictionary[CircuitBreaker, Member] = WeakKeyDictionary()
        self._known: dict[str, Shared] = {}
        """What was known of breakers before they were made here."""
        self._joining = Lock()
        self._woken = Event()
        self._due: set[Member] = set()
        """Those that something has to be done for."""
        self._thread: Thread | None = None
        self._number = 0
        self._unanswered: list[Report] | None = None
        self.since = 0
        """The point up to which the changes of others are known."""
        self._ear: Ear | None = None
        self._board: Board | None = None
        self._reported = -INTERVAL
        self._busy_since: float | None = None
        self.problem: str | None = None
        """What is wrong with the store, as far as that is known."""
        self._failures = 0

    @property
    def is_out(self) -> bool:
        """Whether the store is out of reach, or takes too long."""
        busy = self._busy_since
        return self.problem is not None or (busy is not None and self._clock() - busy > _HUNG)

    @property
    def trouble(self) -> str | None:
        """Why the store is of no use now; None if it works."""
        if self.is_out:
            return self.problem or "it does not answer"
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
            member = self._members[breaker] = Member(self, breaker)
            known = self._known.pop(breaker.name, None)
        breaker._fleet = member
        if known is not None and known.generation > 0:
            member.follow(known)

    def look_after(self, member: Member) -> None:
        """There is something to do for it."""
        self._due.add(member)
        self._woken.set()

    # The thread

    def start(self) -> None:
        """Begin in the background, having waited a little for what is known already."""
        first = Event()

        def run() -> None:
            self.step()
            first.set()
            while self.runs_in(thread):
                self._rest()
                self.step()

        _running.add(self)
        thread = self._thread = Thread(target=run, name="breaker_asgi fleet", daemon=True)
        self._ear, self._board = Ear(self), Board(self)
        thread.start()
        self._ear.start()
        first.wait(_HUNG)

    def runs_in(self, thread: Thread) -> bool:
        """Whether it still is this thread's."""
        return self._thread is thread

    def start_anew(self) -> None:
        """Begin in a child process, whose parent goes on as the worker that it was."""
        self.worker = _name_of_this_process()
        self._joining = Lock()
        self._woken = Event()
        self._number = 0
        self._unanswered = self._busy_since = None
        self.start()

    def stop(self) -> None:
        """Tell the store what is left to tell, and let go of it."""
        _running.discard(self)
        thread, self._thread = self._thread, None
        self._woken.set()
        if self._ear is not None:
            self._ear.shut()
        if thread is not None:
            thread.join(_HUNG)
        self.store.close()

    def _rest(self) -> None:
        """Until there is something to do; after failures for a while, and each time for longer."""
        if self._failures:
            time.sleep(min(_SHORTEST_PAUSE * 2**self._failures, _LONGEST_PAUSE))
        else:
            self._woken.wait(max(0.0, self._reported + INTERVAL - self._clock()))

    def hear(self) -> None:
        """Something was changed elsewhere, or may have been."""
        self._woken.set()

    def step(self) -> None:
        """Do all that there is to do now. What the store raises is noted, and said once."""
        self._woken.clear()
        self._busy_since = self._clock()
        try:
            if self.problem is not None:
                self._compare_all()
            self._exchange()
            if self._ear is None or self._ear.has_news:
                self._catch_up()
            self._look_after_all()
            if self._board is not None:
                self._board.turn()
        except Exception as error:  # noqa: BLE001
            self._has_failed(error)
        else:
            self._failures = 0
        finally:
            self._busy_since = None

    def _has_failed(self, error: Exception) -> None:
        self._failures += 1
        if self.problem is None:
            logger.warning(
                "the store %s does not work; each process decides alone until it does",
                self.store.label,
                exc_info=error,
            )
        self.problem = f"{type(error).__name__}: {error}"
        for member in list(self._members.values()):
            member.answer()

    def _compare_all(self) -> None:
        """After a time without the store: it may have forgotten, and have missed what happened."""
        self.since = 0
        members = self._all()
        known = self.store.exchange(self.worker, 0, (), [each.name for each in members])
        logger.warning("the store %s works again", self.store.label)
        self.problem = None
        for member in members:
            self._learn(member, known)

    # What is done

    def _exchange(self) -> None:
        """Report what was seen here, and look at what all have seen."""
        if self._unanswered is None:
            if self._clock() - self._reported < INTERVAL:
                return
            self._reported = self._clock()
            reports = [report for each in self._all() if (report := each.report())]
            if not reports:
                return
            self._number += 1
            self._unanswered = reports
        names = [report.name for report in self._unanswered]
        known = self.store.exchange(self.worker, self._number, self._unanswered, ())
        self._unanswered = None
        by_name = {each.name: each for each in self._all()}
        for name in names:
            if name in by_name:
                self._learn(by_name[name], known)

    def _catch_up(self) -> None:
        """Look at what was changed elsewhere."""
        self.since, names = self.store.changes(self.since)
        if self._ear is not None:
            self._ear.has_news = False
        if not names:
            return
        known = self.store.exchange(self.worker, 0, (), names)
        here = {each.name: each for each in self._all()}
        for name in names:
            if name in here:
                self._learn(here[name], known)
            elif name in known:
                self._known[name] = known[name]

    def _look_after_all(self) -> None:
        due, self._due = self._due, set()
        try:
            while due:
                member = next(iter(due))
                self._look_after(member)
                due.discard(member)
        finally:
            self._due |= due

    def _look_after(self, member: Member) -> None:
        """Make its change known, and lend and take back its probes."""
        breaker = member.breaker
        if breaker is None:
            return
        while member.ended:
            ended = member.ended[0]
            generation, lease = ended.generation, ended.lease
            shared = self.store.settle(member.name, generation, lease, ended.counts)
            member.ended.popleft()
            self._judge(member, shared)
        if breaker._generation is not member.local:
            self._make_known(member, breaker)
        if member.wanted:
            self._claim(member, breaker)
            member.answer()
        probes = breaker._generation.probes
        if isinstance(probes, FleetProbes):
            for lease in probes.give_back(breaker.config.clock()):
                self.store.settle(member.name, member.generation, lease, None)
            if probes.holds_some:
                self._due.add(member)

    def _make_known(self, member: Member, breaker: CircuitBreaker) -> None:
        """The breaker has changed here: propose it to all, or follow what they did meanwhile."""
        local = breaker._generation
        made = local.transition
        if member.alone and made.state is not OPEN and not made.by_hand:
            if made.state is CLOSED:
                member.is_at(member.generation, local)
            return
        if made.state is OPEN and not made.by_hand and self.quorum > 1 and not member.alone:
            shared = self._ask(member)
            if shared.generation == member.generation and shared.witnesses < self.quorum:
                member.alone = True
                return
        if member.alone and not made.by_hand:
            return
        proposed = Change(
            name=member.name,
            expected=member.generation,
            state=made.state,
            reason=made.reason,
            who=made.who,
            lasts=made.lasts,
            openings=breaker._openings,
        )
        self._propose(member, proposed, local)

    def _propose(self, member: Member, change: Change, local: Generation | None) -> None:
        shared = self.store.change(change)
        ours = (change.expected + 1, change.state, change.reason)
        if local is not None and ours == (shared.generation, shared.state, shared.reason):
            member.is_at(shared.generation, local)
        else:
            member.follow(shared)

    def _claim(self, member: Member, breaker: CircuitBreaker) -> None:
        """Get the probes that calls wait for."""
        generation = breaker._generation
        if generation.state is OPEN and generation.has_ended(breaker.config.clock()):
            breaker._change(Transition(HALF_OPEN, "the open time has passed"), expected=generation)
            self._make_known(member, breaker)
        for _ in range(member.wanted):
            probes = breaker._generation.probes
            if not isinstance(probes, FleetProbes) or breaker._generation is not member.local:
                return
            config = breaker.config
            claim = self.store.claim(
                self.worker,
                member.name,
                member.generation,
                config.half_open_calls,
                config.probe_timeout,
            )
            if claim.lease is None:
                self._judge(member, claim.shared)
                return
            probes.grant(claim.lease, config.clock())

    # What is learnt

    def _all(self) -> list[Member]:
        return list(self._members.values())

    def _ask(self, member: Member) -> Shared:
        known = self.store.exchange(self.worker, 0, (), (member.name,))
        return known.get(member.name, Shared())

    def _learn(self, member: Member, known: Mapping[str, Shared]) -> None:
        self._judge(member, known.get(member.name, Shared()))

    def _judge(self, member: Member, shared: Shared) -> None:
        """Follow the fleet, or lead it where what all have seen says so."""
        breaker = member.breaker
        if breaker is None:
            return
        if shared.generation > member.generation:
            member.follow(shared)
        elif shared.generation < member.generation:
            self._restore(member, breaker, shared)
        elif breaker._generation is member.local or member.alone:
            self._lead(member, breaker, shared)

    def _restore(self, member: Member, breaker: CircuitBreaker, shared: Shared) -> None:
        """The store has forgotten: tell it what is so, unless that is what it believes."""
        member.generation = shared.generation
        if breaker._generation.state is not shared.state:
            self._make_known(member, breaker)

    def _lead(self, member: Member, breaker: CircuitBreaker, shared: Shared) -> None:
        if shared.state is CLOSED and 1 < self.quorum > shared.witnesses:
            return
        if member.alone:
            member.alone = False
            if breaker._generation.state is OPEN:
                self._make_known(member, breaker)
            return
        change = due_change(shared.state, breaker.config, _evidence(shared))
        if change is not None and breaker._change(change, expected=member.local):
            self._make_known(member, breaker)


def _name_of_this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _evidence(shared: Shared) -> Evidence:
    """What the rules look at: the probes of all, or the calls of all in a time window."""
    if shared.state is HALF_OPEN:
        return Evidence(0, *shared.settled)
    within = [each.counts for each in shared.seconds]
    sums = (sum(each) for each in zip(*within, strict=True)) if within else ()
    return Evidence(shared.streak, *sums)


_running: WeakSet[Fleet] = WeakSet()


def _start_anew() -> None:
    for fleet in list(_running):
        fleet.start_anew()


def _stop() -> None:
    for fleet in list(_running):
        fleet.stop()


os.register_at_fork(after_in_child=_start_anew)
atexit.register(_stop)
