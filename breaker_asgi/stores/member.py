"""A breaker of this process as a part of the fleet."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress
from threading import Event, RLock
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from breaker_asgi.generation import Probes, Transition
from breaker_asgi.log import is_first_opening, log_change
from breaker_asgi.outcome import FAILURE, IGNORED, Outcome
from breaker_asgi.state import OPEN
from breaker_asgi.stores.protocol import NO_CALLS, Counts, Report
from breaker_asgi.window import TimeWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.generation import Generation
    from breaker_asgi.permit import Permit
    from breaker_asgi.stores.fleet import Fleet
    from breaker_asgi.stores.protocol import Shared

_UNUSED = 1.0
"""Seconds after which a probe that nobody has used is given back."""
_REFUSED = 0.05
"""Seconds without another question after one that got no probe, however many calls come."""
UNKNOWN = -1
"""The generation of a breaker that the store has not been asked about."""


class Evidence(NamedTuple):
    """What the whole fleet has seen, as the rules look at it."""

    streak: int
    calls: int = 0
    failures: int = 0
    slow_calls: int = 0


class Lease(NamedTuple):
    """A probe that the store has lent."""

    name: str
    generation: int
    granted: float
    """On the breaker's clock."""


class Ended(NamedTuple):
    """A probe that is over."""

    lease: str
    generation: int
    counts: Counts | None
    """None if it said nothing, and goes back."""


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
        """The totals, as far as they have been reported or are of no interest."""
        self._left = NO_CALLS
        """What `local` had seen and not reported when it ended here."""
        self._ended: tuple[Generation | None, Counts] = None, NO_CALLS
        """The same of one that ended before the fleet's generation of it was known."""
        self._unlogged: tuple[Generation, Generation] | None = None
        """An opening that is not logged before it is known whether another worker was quicker."""

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The breaker, while somebody holds it."""
        return self._breaker()

    # For the calls

    def probes(self, calls: int, timeout: float) -> Probes:
        """The permits of a half-open generation."""
        return FleetProbes(self, calls, timeout)

    def changed(self) -> None:
        """A probe has ended."""
        self._fleet.look_after(self)

    def changed_state(self, before: Generation, after: Generation) -> None:
        """The breaker has changed its state.

        Of all workers that open at the same time, one makes the fleet's change and warns of it.
        """
        if is_first_opening(after) and not self._fleet.is_out:
            self._unlogged = before, after
        elif (breaker := self._breaker()) is not None:
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
            if generation is self.local:
                self._left = _sum(self._left, totals, self._seen)
            else:
                self._ended = generation, _sum(NO_CALLS, totals, self._seen)
            self._seen = totals

    def came_late(self, failures: int, slow_calls: int) -> None:
        """A call was counted that was admitted in an earlier generation."""
        late = self._late
        self._late = Counts(late.calls + 1, late.failures + failures, late.slow_calls + slow_calls)

    def want(self, probes: int) -> None:
        """Ask for probes, unless there was none a moment ago."""
        if not self._was_refused:
            self.wanted = probes
            self._fleet.look_after(self)

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
        self.want(self.wanted + 1)
        await asyncio.wait([came], timeout=self._fleet.patience)

    def wait(self) -> None:
        """The same, in a thread that has no event loop."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            return  # which must not be held up; it has asked, and the next call may be the probe
        came = Event()
        self._waiting.append(came.set)
        self.want(self.wanted + 1)
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

    def report(self) -> Report | None:
        """What was seen in the fleet's generation since the last report."""
        breaker, record = self._breaker(), self.local.record
        if breaker is None or record is None or self.generation == UNKNOWN:
            return None
        with breaker._lock:
            counts, totals = self._left, self._totals(breaker)
            if breaker._generation is self.local:
                counts = _sum(counts, totals, self._seen)
                if min(counts) < 0:  # a late call is about to be taken out
                    return None
                self._seen = totals
            self._left = NO_CALLS
        if counts == NO_CALLS:
            return None
        window = breaker.config.window
        timed = breaker.config.rated and isinstance(window, TimeWindow)
        return Report(
            name=self.name,
            generation=self.generation,
            counts=counts,
            streak=record.streak,
            unbroken=counts.failures == counts.calls,
            keep=int(window.seconds) if timed else 0,  # type: ignore[union-attr, arg-type]
        )

    def is_at(self, generation: int, local: Generation) -> None:
        """The fleet's generation is this one here."""
        if generation != self.generation:
            self._left = NO_CALLS
        ended, counts = self._ended
        if ended is local:
            self._left = _sum(self._left, counts, NO_CALLS)
        self.generation = generation
        self.local = local
        self.alone = False
        self.log_opening()

    def follow(self, shared: Shared) -> None:
        """Go to the state that the fleet is in, unless a person has just set another one here."""
        breaker = self._breaker()
        if breaker is None:
            return
        change = Transition(
            shared.state,
            shared.reason,
            lasts=shared.lasts,
            who=shared.who,
            age=shared.age,
            openings=shared.openings or None,
            elsewhere=True,
        )
        after = breaker._follow(change, self.local)
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
        breaker = self._breaker()
        if breaker is not None:
            breaker._lock = RLock()  # a thread of the parent's may have held it
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


class FleetProbes(Probes):
    """Permits that the store lends; while it is out, as many as the breaker's settings say."""

    __slots__ = ("_calls", "_leases", "_member", "_of")

    def __init__(self, member: Member, calls: int, timeout: float) -> None:
        super().__init__(0, timeout)
        self._calls = calls
        self._member = member
        self._of: dict[Permit, Lease] = {}
        self._leases: deque[Lease] = deque()

    def grant(self, lease: Lease) -> None:
        """Take a lease in that the store has given."""
        self._leases.append(lease)

    @property
    def holds_some(self) -> bool:
        """Whether there are some that no call has got yet."""
        return bool(self._leases)

    def lend(self, permit: Permit, now: float) -> bool:
        while self._leases:
            lease = self._leases.popleft()
            if self._is_valid(lease, now):
                self._of[permit] = lease
                self._lent[permit] = now
                return True
        if self._member._fleet.is_out or self._member.alone:
            self._free, self._calls = self._free + self._calls, 0
            return super().lend(permit, now)
        self._member.want(max(self._member.wanted, 1))  # for whoever comes next
        return False

    def end(self, permit: Permit, outcome: Outcome) -> bool:
        lease = self._of.pop(permit, None)
        if lease is None:
            return super().end(permit, outcome)
        lent = self._lent.pop(permit, None) is not None
        if not lent or not self._is_valid(lease, permit.breaker.config.clock()):
            return False
        counts = None
        if outcome is not IGNORED:
            counts = Counts(1, int(outcome is FAILURE), int(_is_slow(permit)))
        self._member.ended.append(Ended(lease.name, lease.generation, counts))
        self._member.changed()
        return True

    def _is_valid(self, lease: Lease, now: float) -> bool:
        return lease.granted <= now <= lease.granted + self._timeout

    def unused(self, now: float) -> Iterator[Ended]:
        """The leases that no call has used for a second, to be given back."""
        while self._leases and not 0 <= now - self._leases[0].granted <= _UNUSED:
            lease = self._leases.popleft()
            yield Ended(lease.name, lease.generation, None)

    def drop(self) -> None:
        """Forget all leases: they are another process's."""
        self._leases.clear()
        self._of.clear()


def _is_slow(permit: Permit) -> bool:
    config = permit.breaker.config
    return permit._started is not None and config.clock() - permit._started > config.slow_after
