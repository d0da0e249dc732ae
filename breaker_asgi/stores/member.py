"""A breaker of this process as a part of the fleet."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING
from weakref import ref

from breaker_asgi.generation import Transition
from breaker_asgi.log import is_first_opening, log_change
from breaker_asgi.state import OPEN
from breaker_asgi.stores.notes import Notes
from breaker_asgi.stores.probes import FleetProbes
from breaker_asgi.stores.protocol import NO_CALLS, Counts, Report
from breaker_asgi.window import TimeWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.config import BreakerConfig
    from breaker_asgi.generation import Generation, Probes
    from breaker_asgi.stores.fleet import Fleet
    from breaker_asgi.stores.probes import Ended
    from breaker_asgi.stores.protocol import Shared

_REFUSED = 0.05
"""Seconds without another question after one that got no probe, however many calls come."""
UNKNOWN = -1
"""The generation of a breaker that the store has not been asked about."""


class Member:
    """What the fleet has to know of one breaker, and what it has to do for it.

    Used by the breaker and its calls, and by the fleet's thread.
    """

    def __init__(self, fleet: Fleet, breaker: CircuitBreaker) -> None:
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
        self._waiting: deque[Callable[[], object]] = deque()
        self._refused_until = -math.inf
        self._late = NO_CALLS
        self._seen = self._totals(breaker)
        """The totals, as far as they have been noted or are of no interest."""
        self._notes = Notes()
        self._left = NO_CALLS
        """What `local` had seen and not noted when it ended here."""
        self._ended: tuple[Generation | None, Counts] = None, NO_CALLS
        """The same of one that ended before the fleet's generation of it was known."""
        self._unlogged: tuple[Generation, Generation] | None = None
        """An opening that is not logged before it is known whether another worker was quicker."""

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
        self._fleet.look_after(self)

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
                    log_change(breaker, was, opened)
            log_change(breaker, before, after)
        self._fleet.look_after(self)

    def log_opening(self) -> None:
        """Log the opening that was not logged yet: it holds here, whatever others do."""
        unlogged, self._unlogged = self._unlogged, None
        breaker = self._breaker()
        if unlogged is not None and breaker is not None:
            log_change(breaker, *unlogged)

    def ends(self, generation: Generation) -> None:
        """The breaker leaves a generation; its lock is held."""
        breaker = self._breaker()
        if breaker is not None:
            totals = self._totals(breaker)
            if generation is self.local or self.alone:
                self._left = _sum(self._left, totals, self._seen)
            else:
                self._ended = generation, _sum(NO_CALLS, totals, self._seen)
            self._seen = totals

    def came_late(self, failures: int, slow_calls: int) -> None:
        """A call was counted that was admitted in an earlier generation."""
        late = self._late
        self._late = Counts(late.calls + 1, late.failures + failures, late.slow_calls + slow_calls)

    def want(self, probes: int) -> bool:
        """Ask for probes, unless there was none a moment ago. Whether it has asked."""
        if self._was_refused:
            return False
        self.wanted = probes
        self._fleet.look_after(self)
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
        """Wait until a probe is here, but not for long; nor at all without asyncio."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        came = loop.create_future()

        def come() -> None:
            if not came.done():
                came.set_result(None)

        self._waiting.append(lambda: loop.call_soon_threadsafe(come))
        if self.want(self.wanted + 1):
            await asyncio.wait([came], timeout=self._fleet.patience)

    def wait(self) -> None:
        """The same, in a thread that has no event loop."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            return  # which must not be held up; it has asked, and the next call may be the probe
        came = Event()
        self._waiting.append(came.set)
        if self.want(self.wanted + 1):
            came.wait(self._fleet.patience)

    # For the fleet

    def answer(self) -> None:
        """Let those go on who wait."""
        self.wanted = 0
        while self._waiting:
            try:
                self._waiting.popleft()()
            except RuntimeError:  # its event loop is closed
                continue

    def refused(self) -> None:
        """There is no probe for now."""
        self._refused_until = self._fleet.now() + _REFUSED

    def note(self) -> None:
        """Set aside what was seen in the fleet's generation since this was last done."""
        breaker = self._breaker()
        if breaker is None or self.local.record is None:
            return
        with breaker._lock:
            counts, totals = self._left, self._totals(breaker)
            if breaker._generation is self.local or self.alone:
                counts = _sum(counts, totals, self._seen)
                if min(counts) < 0:  # a late call is about to be taken out
                    return
                self._seen = totals
            self._left = NO_CALLS
        if counts != NO_CALLS:
            self._notes.add(counts, self._fleet.now(), _seconds_that_matter(breaker))

    def report(self) -> Report | None:
        """What was seen in the fleet's generation since the last report."""
        self.note()
        breaker, record = self._breaker(), self.local.record
        if breaker is None or record is None or self.generation == UNKNOWN or not self._notes:
            return None
        if self.alone:  # what its own probes see is evidence too
            record = breaker._generation.record or record
        seconds = self._notes.take(self._fleet.now())
        return Report(
            name=self.name,
            generation=self.generation,
            seconds=seconds,
            streak=record.streak,
            unbroken=all(counts.failures == counts.calls for _, counts in seconds),
            keep=_seconds_that_matter(breaker),
        )

    def is_at(self, generation: int, local: Generation) -> None:
        """The fleet's generation is this one here."""
        if generation != self.generation:
            self._left = NO_CALLS
            self._notes.clear()
        ended, counts = self._ended
        if ended is local:
            self._left = _sum(self._left, counts, NO_CALLS)
        self.generation = generation
        self.local = local
        self.alone = False
        self.log_opening()

    def is_alone(self, local: Generation) -> None:
        """It has opened here, and for itself."""
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
            self.is_at(shared.generation, after)

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
        self._waiting.clear()
        self.wanted = 0
        self._left, self._unlogged = NO_CALLS, None
        self._notes.clear()
        breaker = self._breaker()
        if breaker is not None:
            self._seen = self._totals(breaker)
            probes = breaker._generation.probes
            if isinstance(probes, FleetProbes):
                probes.drop()

    def _totals(self, breaker: CircuitBreaker) -> Counts:
        failures, late = breaker.failures, self._late
        return Counts(
            breaker.successes + failures - late.calls,
            failures - late.failures,
            breaker.slow_calls - late.slow_calls,
        )


def _sum(counts: Counts, totals: Counts, before: Counts) -> Counts:
    return Counts(*(a + b - c for a, b, c in zip(counts, totals, before, strict=True)))


def _seconds_that_matter(breaker: CircuitBreaker) -> int:
    """For how long the fleet's rules look at a call: the others' calls count in a `TimeWindow`."""
    window = breaker.config.window
    if not (breaker.config.rated and isinstance(window, TimeWindow)):
        return 0
    return int(window.seconds)  # type: ignore[arg-type]
