"""The link of a breaker of this process to the fleet."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol
from weakref import ref

from breaker_asgi._core.generation import Transition
from breaker_asgi._core.state import CLOSED, CLOSING, OPEN
from breaker_asgi._fleet.commands import Commands
from breaker_asgi._fleet.fitted_window import FittedWindow
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi._fleet.opening_log import OpeningLog
from breaker_asgi._fleet.outages import LinkOutage
from breaker_asgi._fleet.pending_counts import PendingCounts
from breaker_asgi._fleet.waiters import Waiters
from breaker_asgi.stores.protocol import Change, Report

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.probes import Probes
    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Settled, Shared

_REFUSED = 0.05
"""Seconds without another question after one that got no probe, however many calls come."""
NEVER_FETCHED = -1
"""The generation of a breaker that has not been fetched from the store."""

Status = Literal["unknown", "in step", "proposed", "this worker only"]
UNKNOWN: Status = "unknown"
"""The store has not been asked yet."""
IN_STEP: Status = "in step"
"""The breaker is in the fleet's generation."""
PROPOSED: Status = "proposed"
"""The breaker is in a generation that the store does not have."""
THIS_WORKER_ONLY: Status = "this worker only"
"""The breaker has opened for this worker only: too few other workers have seen failures."""


class Surroundings(Protocol):
    """The fleet, as far as a link needs it."""

    patience: float

    @property
    def is_out(self) -> bool: ...

    @property
    def asked_at(self) -> float: ...

    def now(self) -> float: ...

    def schedule(self, link: Link) -> None: ...

    def new_id(self) -> str: ...


def closes_gently(breaker: CircuitBreaker, shared: Shared) -> bool:
    """Return True if a breaker that is closed in the store is still closing, by its settings here.

    A row of openings that goes on is the mark of it.
    """
    is_closing = shared.state is CLOSED and shared.openings > 0
    return is_closing and shared.age < breaker.config.ramp_time


def stored_state(state: CircuitBreakerState) -> CircuitBreakerState:
    """Return a state as the store has it: a breaker that is closing is closed there."""
    return CLOSED if state is CLOSING else state


class Link:
    """The relation of one breaker to the fleet, and its pending work.

    Used by the breaker and its calls, and by the fleet's thread.
    """

    def __init__(
        self, fleet: Surroundings, breaker: CircuitBreaker, *, stands_in: bool = False
    ) -> None:
        self._fleet = fleet
        self.stands_in = stands_in
        """True if the breaker has no calls and decides nothing: it only carries commands."""
        self._breaker = ref(breaker)
        self.name = breaker.name
        self.local = breaker._generation
        """The generation in this process that corresponds to the fleet's `generation`."""
        self.generation = NEVER_FETCHED
        """The number of the fleet's generation in the store."""
        self.id = ""
        """The identity of the change that began the fleet's generation."""
        self._incoming = 0
        """The number of the generation that is being taken over from the store."""
        self._first: str | None = None
        """The identity of the first change that is taken over from the store."""
        self.is_lost = False
        """True if the store does not have the fleet's generation any more."""
        self.alone = False
        """True if it is open in this process only, because too few other workers saw failures."""
        self._renamed: Generation | None = None
        """A local generation that is no change for the fleet, and has no identity there."""
        self.for_all: Generation | None = None
        """A generation of this process that a quorum of workers agrees with."""
        self.unreadable: str | None = None
        """The reason why the store's record can't be read; the worker decides alone meanwhile."""
        self.commands = Commands(fleet)
        self.ended: deque[Settled] = deque()
        self.wanted = 0
        """Probes that calls wait for."""
        self._waiters = Waiters()
        self._refused_until = -math.inf
        self._pending = PendingCounts(breaker)
        self.outage = LinkOutage(breaker)
        self.window = FittedWindow(breaker.config)
        self._log = OpeningLog()
        self._fetched: tuple[float, Shared] | None = None
        """The store's last record of the fleet's generation, and when it was fetched."""
        if self.local.transition.by_hand:  # before the breaker was shared
            self.commands.note(self.local, self._age_of(self.local))
            self.id, self.is_lost = self.commands.id_of(self.local), True

    @property
    def status(self) -> Status:
        """The relation to the fleet's generation."""
        if self.alone:
            return THIS_WORKER_ONLY
        if self.generation == NEVER_FETCHED:
            return UNKNOWN
        breaker = self._breaker()
        is_local = breaker is None or breaker._generation is self.local
        return IN_STEP if is_local and not self.is_lost else PROPOSED

    @property
    def owes_a_change(self) -> bool:
        """True if the store is to get a change from here."""
        return self.is_lost or self.status == PROPOSED

    @property
    def has_work(self) -> bool:
        """True if the store has to be asked, or told something."""
        return bool(self.ended or self.wanted or self.alone or self.owes_a_change)

    @property
    def is_out(self) -> bool:
        """True while the process decides alone."""
        return self._fleet.is_out or self.unreadable is not None

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The breaker; None once it is collected."""
        return self._breaker()

    def fetched(self, shared: Shared) -> None:
        """Keep the store's record of the fleet's generation, for display."""
        self._fetched = self._fleet.now(), shared

    def record_within(self, seconds: float) -> Shared | None:
        """Return the store's record of the breaker's present generation; None if it is older."""
        if self._fetched is None or self.status != IN_STEP or self.is_out:
            return None
        at, shared = self._fetched
        is_new = self._fleet.now() - at <= seconds
        return shared if is_new and shared.generation == self.generation else None

    # For the calls

    def probes(self, config: BreakerConfig) -> Probes:
        """Return the permits of a half-open generation."""
        return LeasedProbes(self, config)

    def changed(self) -> None:
        """Schedule the link, because a probe has ended or a change is pending."""
        self._fleet.schedule(self)

    def changed_state(self, before: Generation, after: Generation) -> None:
        """Log a change of the breaker's state, and schedule it for the fleet.

        Of all workers that open at the same time, one makes the fleet's change and warns of it.
        """
        breaker = self._breaker()
        if breaker is None:
            return
        self.note_command(after)
        self._log.add(self, before, after)
        if self.is_out or self.local is after:
            self.log_opening()  # the process decides alone, or the store has it already
        self._fleet.schedule(self)

    def number_of(self, generation: Generation) -> int | None:
        """Return the number of a generation in the store: the next one, until it is stored."""
        if self.generation == NEVER_FETCHED:
            return None
        if generation is self.local or self.alone:
            return self.generation
        return self._incoming if generation.transition.remote else self.generation + 1

    def log_opening(self) -> None:
        """Log the opening that was not logged yet: it holds in this process."""
        self._log.flush(self)

    def ends(self, generation: Generation) -> None:
        """Keep the counts of a generation that the breaker leaves; its lock is held."""
        breaker = self._breaker()
        if breaker is not None:
            self._pending.end_generation(breaker, generation, counts=self._is_evidence(generation))
            self.outage.end_generation(breaker, generation)

    def count_late_result(self, calls: int, failures: int, slow_calls: int) -> None:
        """Exclude calls from the counts that were admitted in an earlier generation."""
        self._pending.count_late_result(calls, failures, slow_calls)

    def want(self, probes: int) -> bool:
        """Request probes, and return True, unless there was none a moment ago."""
        if self._was_refused:
            return False
        self.wanted = probes
        self._fleet.schedule(self)
        return True

    @property
    def _was_refused(self) -> bool:
        return self._fleet.now() < self._refused_until

    def lacks_a_probe(self) -> bool:
        """Return True if a call now has to request a probe from the store."""
        breaker = self._breaker()
        if breaker is None or self.alone or self.is_out or self._was_refused:
            return False
        generation = breaker._generation
        if generation.state is OPEN:
            return generation.has_ended(breaker.config.clock())
        probes = generation.probes
        return isinstance(probes, LeasedProbes) and not probes.holds_some

    async def ready(self) -> None:
        """Wait until a probe is here, but not for long."""
        await self._waiters.on_the_event_loop(self._want_one_more, self._fleet.patience)

    def wait(self) -> None:
        """Wait as `ready` does, in a thread."""
        self._waiters.in_a_thread(self._want_one_more, self._fleet.patience)

    def _want_one_more(self) -> bool:
        return self.want(self.wanted + 1)

    async def settle(self, seconds: float) -> bool:
        """Wait until the store has the breaker's generation; return False if that takes longer."""
        end, goes_on = self._fleet.now() + seconds, True
        while self.status != IN_STEP and not self.is_out and goes_on:
            left = end - self._fleet.now()
            goes_on = await self._waiters.on_the_event_loop(self._is_unsettled, left)
        return self.status == IN_STEP

    def _is_unsettled(self) -> bool:
        return self.status != IN_STEP

    # For the fleet: probes

    def wake_waiters(self) -> None:
        """Wake the calls that wait."""
        self.wanted = 0
        self._waiters.wake_all()

    def refused(self) -> None:
        """Make no request for a moment: there is no probe."""
        self._refused_until = self._fleet.now() + _REFUSED

    def give_back(self, now: float | None = None) -> None:
        """Give back the probes that no call has used for a while, or until `now`."""
        breaker = self._breaker()
        if breaker is not None:
            with breaker._lock:
                probes = breaker._generation.probes
                if isinstance(probes, LeasedProbes):
                    now = breaker.config.clock() if now is None else now
                    self.ended.extend(probes.unused(now))

    # For the fleet: evidence

    def note(self) -> None:
        """Note the calls of the fleet's generation since the last note."""
        breaker = self._breaker()
        if breaker is not None and self.local.record is not None:
            counts = self._is_evidence(breaker._generation)
            self._pending.note(breaker, self._fleet.now(), self.window.seconds, counts=counts)

    def _is_evidence(self, generation: Generation) -> bool:
        """Return True if calls of `generation` count as evidence for the fleet."""
        return generation is self.local or (self.alone and not generation.transition.by_hand)

    def report(self) -> Report | None:
        """Return the calls since the last report, those that were rejected too; None without."""
        self.note()
        breaker = self._breaker()
        if breaker is None or self.generation == NEVER_FETCHED:
            return None
        return self.outage.report(breaker, self._evidence(breaker), alone=self.alone)

    def _evidence(self, breaker: CircuitBreaker) -> Report | None:
        """Return the calls of the fleet's generation since the last report; None without calls.

        A breaker that is open for this worker only goes on bearing witness, as it has no calls.
        """
        record = self.local.record
        if record is None:
            return None
        seconds, unbroken = self._pending.take(self._fleet.now())
        tripped = self.alone and breaker._generation.state is OPEN
        if not seconds and not tripped:
            return None
        if self.alone:
            record = breaker._generation.record or record
        return Report(
            seconds=seconds,
            streak=record.streak,
            unbroken=unbroken,
            tripped=tripped,
        )

    # For the fleet: changes

    def note_command(self, generation: Generation) -> None:
        """Remember a command that an operator has given in this process: it is for all."""
        if generation is not self.local:
            self.alone = self.alone and not generation.transition.by_hand
            self.commands.note(generation, self._age_of(generation))

    def _age_of(self, generation: Generation) -> float:
        breaker = self._breaker()
        return 0.0 if breaker is None else max(0.0, breaker.config.clock() - generation.since)

    def change(self, worker: str) -> tuple[Generation, Change] | None:
        """Return the generation that the store does not have, and its change.

        A command comes first, though the breaker may have gone on by itself since then.
        """
        breaker = self._breaker()
        if breaker is None:
            return None
        self.note_command(breaker._generation)
        local = self.local if self.alone else self.commands.unsent or breaker._generation
        is_new, made = local is not self.local, local.transition
        is_closing = made.state is CLOSING  # for the store that is closed: each worker ramps
        self.note_command(local)
        return local, Change(
            id=self.commands.id_of(local) if is_new else self.id,
            state=stored_state(made.state),
            reason=made.reason,
            by_hand=made.by_hand,
            who=made.who,
            worker=worker if is_new else None,
            age=round(self._age_of(local), 3),
            lasts=None if is_closing else made.lasts,
            openings=made.openings or int(is_closing),  # by which the others know it
            command=self.commands.last,
            outage=self.outage.known(breaker, local),
        )

    def adopt(self, shared: Shared, local: Generation) -> None:
        """Set the fleet's generation, and the one in this process that corresponds to it."""
        self._pending.begin_generation(local, is_new=local is not self.local)
        if self.alone and stored_state(local.state) is CLOSED:
            self.outage.forget()
        self.alone = self.alone and local is self.local
        self.generation, self.id, self.local = shared.generation, shared.id, local
        self.is_lost, self._incoming, self.for_all = False, shared.generation, None
        if local is self.commands.unsent or local.transition.remote:
            self.commands.unsent = None
        self.commands.learn(shared.command)
        if not local.transition.remote:  # or its announcement follows, perhaps in another thread
            self.log_opening()

    def lose(self) -> None:
        """Have the store take the generation here: it has another one, and that does not hold."""
        self.is_lost = True
        if self.local is self._renamed or not self.id:
            self.id = self.commands.id_of(self.local)
            self._pending.begin_generation(self.local, is_new=True)

    def rename(self, local: Generation) -> None:
        """Let a generation of this process correspond to the fleet's, in place of the one before.

        The breaker was reset, say: that is no change for the fleet.
        """
        self._pending.begin_generation(local, is_new=False)
        self.local = self._renamed = local
        self.log_opening()

    def keep_to_this_worker(self, breaker: CircuitBreaker) -> None:
        """Keep an opening to this worker, until enough others have seen failures.

        Its later calls are still reported.
        """
        if not self.alone:
            self._pending.skip(breaker)
        self.alone = True

    def confirm_alone(self) -> None:
        """Log an opening of this worker only: the store has shown that it is none of the fleet."""
        breaker = self._breaker()
        if self.alone and breaker is not None and breaker._generation.state is not CLOSED:
            local = breaker._generation
            local.transition = local.transition._replace(local_only=True)
            self.log_opening()

    def _may_follow(self, breaker: CircuitBreaker, shared: Shared, *, was_kept: bool) -> bool:
        """Return False if another thread has just followed the same record, or a later one.

        The thread that makes the breaker follows the one that was kept; the fleet's thread may be
        quicker.
        """
        with breaker._lock:
            is_new = self.generation == NEVER_FETCHED
            if was_kept and not (is_new and self._first is None):
                return False
            if is_new and self._first == shared.id:
                return False
            self._first = shared.id
            return True

    def follow(self, shared: Shared, instead_of: Generation, *, was_kept: bool = False) -> None:
        """Go to the fleet's state, unless an operator has just set another one here.

        A record that `was_kept` was fetched before the breaker was made.
        """
        breaker = self._breaker()
        if breaker is None or not self._may_follow(breaker, shared, was_kept=was_kept):
            return
        change = Transition(
            CLOSING if closes_gently(breaker, shared) else shared.state,
            shared.reason,
            lasts=shared.lasts,
            by_hand=shared.by_hand,
            who=shared.who,
            age=shared.age,
            openings=shared.openings,
            remote=True,
        )
        self._incoming = shared.generation
        outage = self.outage.fitting(breaker, shared, instead_of)
        after = breaker._follow(change, instead_of, outage)
        if after is None:
            self._first = None
        else:
            self.adopt(shared, after)

    def start_anew(self) -> None:
        """Begin in a child process: counts, leases and waiting calls remain with the parent."""
        self.ended.clear()
        self._waiters.forget()
        self.wanted = 0
        self._log.forget()
        breaker = self._breaker()
        if breaker is not None:
            self._pending.start_anew(breaker)
            self.outage.start_anew(breaker)
            probes = breaker._generation.probes
            if isinstance(probes, LeasedProbes):
                probes.drop()
