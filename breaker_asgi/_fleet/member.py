"""A breaker of this process as a part of the fleet."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Protocol
from weakref import ref

from breaker_asgi._core.generation import Transition
from breaker_asgi._core.state import OPEN
from breaker_asgi._core.transition_log import is_first_opening, log_change
from breaker_asgi._fleet.leased_probes import FleetProbes
from breaker_asgi._fleet.pending_counts import Seen, seconds_that_matter
from breaker_asgi._fleet.waiters import Waiting
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
"""The generation of a breaker that the store has not been asked about."""


class Surroundings(Protocol):
    """The fleet, as far as a member of it needs it."""

    patience: float

    @property
    def is_out(self) -> bool: ...

    def now(self) -> float: ...

    def schedule(self, member: Member) -> None: ...


class Member:
    """What the fleet has to know of one breaker, and what it has to do for it.

    Used by the breaker and its calls, and by the fleet's thread.
    """

    def __init__(self, fleet: Surroundings, breaker: CircuitBreaker) -> None:
        self._fleet = fleet
        self._breaker = ref(breaker)
        self.name = breaker.name
        self.local = breaker._generation
        """The generation here that `generation` is in the fleet."""
        self.generation = UNKNOWN
        self.alone = False
        """Whether it is open here only, as too few others have seen what it saw."""
        self.ended: deque[Ended] = deque()
        self.wanted = 0
        """Probes that calls wait for."""
        self._waiting = Waiting()
        self._refused_until = -math.inf
        self._seen = Seen(breaker)
        self._unlogged: tuple[Generation, Generation] | None = None
        """An opening that is not logged before it is known whether another worker was quicker."""

    @property
    def is_out(self) -> bool:
        """True while the fleet's store is of no use."""
        return self._fleet.is_out

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The breaker, while somebody holds it."""
        return self._breaker()

    # For the calls

    def probes(self, config: BreakerConfig) -> Probes:
        """The permits of a half-open generation."""
        return FleetProbes(self, config)

    def changed(self) -> None:
        """A probe has ended."""
        self._fleet.schedule(self)

    def changed_state(self, before: Generation, after: Generation) -> None:
        """The breaker has changed its state.

        Of all workers that open at the same time, one makes the fleet's change and warns of it.
        """
        breaker = self._breaker()
        if breaker is None:
            return
        if is_first_opening(after) and not self._fleet.is_out:
            self._unlogged = before, after
            if self.local is after or breaker._generation is not after:
                self.log_opening()  # the fleet's thread was quicker than these lines
        else:
            unlogged, self._unlogged = self._unlogged, None
            if unlogged is not None:
                was, opened = unlogged
                if after.transition.elsewhere and opened is before and after.state is OPEN:
                    before = was
                else:
                    log_change(breaker.name, breaker.config, was, opened)
            log_change(breaker.name, breaker.config, before, after)
        self._fleet.schedule(self)

    def log_opening(self) -> None:
        """Log the opening that was not logged yet: it holds here, whatever others do."""
        unlogged, self._unlogged = self._unlogged, None
        breaker = self._breaker()
        if unlogged is not None and breaker is not None:
            log_change(breaker.name, breaker.config, *unlogged)

    def ends(self, generation: Generation) -> None:
        """The breaker leaves a generation; its lock is held."""
        breaker = self._breaker()
        if breaker is not None:
            self._seen.ends(breaker, generation, counts=self._is_evidence(generation))

    def count_late_result(self, failures: int, slow_calls: int) -> None:
        """A call was counted that was admitted in an earlier generation."""
        self._seen.count_late_result(failures, slow_calls)

    def want(self, probes: int) -> bool:
        """Ask for probes, unless there was none a moment ago. Whether it has asked."""
        if self._was_refused:
            return False
        self.wanted = probes
        self._fleet.schedule(self)
        return True

    @property
    def _was_refused(self) -> bool:
        return self._fleet.now() < self._refused_until

    def lacks_a_probe(self) -> bool:
        """Whether a call that comes now has to ask the store for a probe."""
        breaker = self._breaker()
        if breaker is None or self.alone or self._fleet.is_out or self._was_refused:
            return False
        generation = breaker._generation
        if generation.state is OPEN:
            return generation.has_ended(breaker.config.clock())
        probes = generation.probes
        return isinstance(probes, FleetProbes) and not probes.holds_some

    async def ready(self) -> None:
        """Wait until a probe is here, but not for long."""
        await self._waiting.on_the_event_loop(self._want_one_more, self._fleet.patience)

    def wait(self) -> None:
        """The same, in a thread."""
        self._waiting.in_a_thread(self._want_one_more, self._fleet.patience)

    def _want_one_more(self) -> bool:
        return self.want(self.wanted + 1)

    # For the fleet

    def answer(self) -> None:
        """Let those go on who wait."""
        self.wanted = 0
        self._waiting.answer()

    def refused(self) -> None:
        """There is no probe for now."""
        self._refused_until = self._fleet.now() + _REFUSED

    def note(self) -> None:
        """Set aside what was seen in the fleet's generation since this was last done."""
        breaker = self._breaker()
        if breaker is not None and self.local.record is not None:
            counts = self._is_evidence(breaker._generation)
            self._seen.note(breaker, self._fleet.now(), counts=counts)

    def _is_evidence(self, generation: Generation) -> bool:
        """Whether what a generation sees is for all: so is what who is alone sees by itself."""
        return generation is self.local or (self.alone and not generation.transition.by_hand)

    def report(self) -> Report | None:
        """What was seen in the fleet's generation since the last report."""
        self.note()
        breaker, record = self._breaker(), self.local.record
        if breaker is None or record is None or self.generation == UNKNOWN:
            return None
        seconds = self._seen.take(self._fleet.now())
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
        """The fleet's generation is this one here."""
        self._seen.begins(local, is_new=generation != self.generation)
        self.generation = generation
        self.local = local
        self.alone = False
        self.log_opening()

    def is_alone(self, breaker: CircuitBreaker, local: Generation) -> None:
        """It has opened here, and for itself. What it sees from here on is for all."""
        if not self.alone:
            self._seen.skip(breaker)
        self.alone = True
        local.transition = local.transition._replace(alone=True)
        self.log_opening()

    def follow(self, shared: Shared, instead_of: Generation | None = None) -> None:
        """Go to the state that the fleet is in, unless a person has just set another one here.

        `instead_of` is what a person has set, where the fleet has something that holds over it.
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
            openings=shared.openings or None,
            elsewhere=True,
        )
        after = breaker._follow(change, instead_of or self.local)
        if after is not None:
            self.set_generation(shared.generation, after)

    def give_back(self, now: float) -> None:
        """Let others have the probes that no call has used for a while."""
        breaker = self._breaker()
        if breaker is not None:
            with breaker._lock:
                probes = breaker._generation.probes
                if isinstance(probes, FleetProbes):
                    self.ended.extend(probes.unused(now))

    def start_anew(self) -> None:
        """In a child process: what its parent has seen, lent and waited for is the parent's."""
        self.ended.clear()
        self._waiting.forget()
        self.wanted = 0
        self._unlogged = None
        breaker = self._breaker()
        if breaker is not None:
            self._seen.start_anew(breaker)
            probes = breaker._generation.probes
            if isinstance(probes, FleetProbes):
                probes.drop()
