"""A breaker of this process as a member of the fleet."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Protocol
from weakref import ref

from breaker_asgi._core.generation import Transition
from breaker_asgi._core.state import OPEN
from breaker_asgi._core.transition_log import is_first_opening, log_change
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi._fleet.pending_counts import PendingCounts, seconds_that_matter
from breaker_asgi._fleet.waiters import Waiters
from breaker_asgi.stores.protocol import Report

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.probes import Probes
    from breaker_asgi._fleet.leased_probes import Ended
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Shared

_REFUSED = 0.05
"""Seconds without another question after one that got no probe, however many calls come."""
UNKNOWN = -1
"""The generation of a breaker that has not been fetched from the store."""


class Surroundings(Protocol):
    """The fleet, as far as a member of it needs it."""

    patience: float

    @property
    def is_out(self) -> bool: ...

    def now(self) -> float: ...

    def schedule(self, member: Member) -> None: ...


class Member:
    """Fleet state of one breaker, and its pending work.

    Used by the breaker and its calls, and by the fleet's thread.
    """

    def __init__(self, fleet: Surroundings, breaker: CircuitBreaker) -> None:
        self._fleet = fleet
        self._breaker = ref(breaker)
        self.name = breaker.name
        self.local = breaker._generation
        """The generation in this process that corresponds to the fleet's `generation`."""
        self.generation = UNKNOWN
        self.alone = False
        """True if it is open in this process only, because too few other workers saw failures."""
        self.ended: deque[Ended] = deque()
        self.wanted = 0
        """Probes that calls wait for."""
        self._waiters = Waiters()
        self._refused_until = -math.inf
        self._pending = PendingCounts(breaker)
        self._unlogged: tuple[Generation, Generation] | None = None
        """An opening to log once the store shows whether another worker opened first."""

    @property
    def is_out(self) -> bool:
        """True while the process decides alone."""
        return self._fleet.is_out

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The breaker; None once it is collected."""
        return self._breaker()

    # For the calls

    def probes(self, config: BreakerConfig) -> Probes:
        """Return the permits of a half-open generation."""
        return LeasedProbes(self, config)

    def changed(self) -> None:
        """Schedule the member, because a probe has ended or a change is pending."""
        self._fleet.schedule(self)

    def changed_state(self, before: Generation, after: Generation) -> None:
        """Log a change of the breaker's state, and schedule it for the fleet.

        Of all workers that open at the same time, one makes the fleet's change and warns of it.
        """
        breaker = self._breaker()
        if breaker is None:
            return
        if is_first_opening(after) and not self._fleet.is_out:
            self._unlogged = before, after
            if self.local is after or breaker._generation is not after:
                self.log_opening()  # the fleet's thread has already synchronised it
        else:
            unlogged, self._unlogged = self._unlogged, None
            if unlogged is not None:
                was, opened = unlogged
                if after.transition.remote and opened is before and after.state is OPEN:
                    before = was
                else:
                    log_change(breaker.name, breaker.config, was, opened)
            log_change(breaker.name, breaker.config, before, after)
        self._fleet.schedule(self)

    def log_opening(self) -> None:
        """Log the opening that was not logged yet: it holds in this process."""
        unlogged, self._unlogged = self._unlogged, None
        breaker = self._breaker()
        if unlogged is not None and breaker is not None:
            log_change(breaker.name, breaker.config, *unlogged)

    def ends(self, generation: Generation) -> None:
        """Keep the counts of a generation that the breaker leaves; its lock is held."""
        breaker = self._breaker()
        if breaker is not None:
            self._pending.end_generation(breaker, generation, counts=self._is_evidence(generation))

    def count_late_result(self, failures: int, slow_calls: int) -> None:
        """Exclude a call from the counts that was admitted in an earlier generation."""
        self._pending.count_late_result(failures, slow_calls)

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
        if breaker is None or self.alone or self._fleet.is_out or self._was_refused:
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

    # For the fleet

    def wake_waiters(self) -> None:
        """Wake the calls that wait."""
        self.wanted = 0
        self._waiters.wake_all()

    def refused(self) -> None:
        """Make no request for a moment: there is no probe."""
        self._refused_until = self._fleet.now() + _REFUSED

    def note(self) -> None:
        """Note the calls of the fleet's generation since the last note."""
        breaker = self._breaker()
        if breaker is not None and self.local.record is not None:
            counts = self._is_evidence(breaker._generation)
            self._pending.note(breaker, self._fleet.now(), counts=counts)

    def _is_evidence(self, generation: Generation) -> bool:
        """Return True if calls of `generation` count as evidence for the fleet."""
        return generation is self.local or (self.alone and not generation.transition.by_hand)

    def report(self) -> Report | None:
        """Return the calls of the fleet's generation since the last report; None without calls."""
        self.note()
        breaker, record = self._breaker(), self.local.record
        if breaker is None or record is None or self.generation == UNKNOWN:
            return None
        seconds = self._pending.take(self._fleet.now())
        if not seconds:
            return None
        if self.alone:
            record = breaker._generation.record or record
        return Report(
            name=self.name,
            generation=self.generation,
            seconds=seconds,
            streak=record.streak,
            unbroken=all(counts.failures == counts.calls for _, counts in seconds),
            keep=seconds_that_matter(breaker),
        )

    def set_generation(self, generation: int, local: Generation) -> None:
        """Set the fleet's generation, and the one in this process that corresponds to it."""
        self._pending.begin_generation(local, is_new=generation != self.generation)
        self.generation = generation
        self.local = local
        self.alone = False
        self.log_opening()

    def mark_local_only(self, breaker: CircuitBreaker, local: Generation) -> None:
        """Mark the breaker as open in this process only. Its later calls are still reported."""
        if not self.alone:
            self._pending.skip(breaker)
        self.alone = True
        local.transition = local.transition._replace(local_only=True)
        self.log_opening()

    def follow(self, shared: Shared, instead_of: Generation | None = None) -> None:
        """Go to the fleet's state, unless an operator has just set another one here.

        `instead_of` is the state that the operator has set, where the fleet's takes precedence.
        """
        breaker = self._breaker()
        if breaker is None:
            return
        change = Transition(
            shared.state,
            shared.reason,
            lasts=shared.lasts,
            by_hand=shared.by_hand,
            who=shared.who,
            age=shared.age,
            openings=shared.openings,
            remote=True,
        )
        after = breaker._follow(change, instead_of or self.local)
        if after is not None:
            self.set_generation(shared.generation, after)

    def give_back(self, now: float) -> None:
        """Give back the probes that no call has used for a while."""
        breaker = self._breaker()
        if breaker is not None:
            with breaker._lock:
                probes = breaker._generation.probes
                if isinstance(probes, LeasedProbes):
                    self.ended.extend(probes.unused(now))

    def start_anew(self) -> None:
        """Begin in a child process: counts, leases and waiting calls remain with the parent."""
        self.ended.clear()
        self._waiters.forget()
        self.wanted = 0
        self._unlogged = None
        breaker = self._breaker()
        if breaker is not None:
            self._pending.start_anew(breaker)
            probes = breaker._generation.probes
            if isinstance(probes, LeasedProbes):
                probes.drop()
