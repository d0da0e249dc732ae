"""A breaker of this process as a part of the fleet."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from breaker_asgi.generation import Probes, Transition
from breaker_asgi.outcome import FAILURE, IGNORED, Outcome
from breaker_asgi.state import OPEN
from breaker_asgi.stores.protocol import Counts, Report
from breaker_asgi.window import TimeWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.generation import Generation
    from breaker_asgi.permit import Permit
    from breaker_asgi.stores.fleet import Fleet
    from breaker_asgi.stores.protocol import Shared

_UNUSED = 1.0
"""Seconds after which a probe that nobody has used is given back."""


class Evidence(NamedTuple):
    """What the whole fleet has seen, as the rules look at it."""

    streak: int
    calls: int = 0
    failures: int = 0
    slow_calls: int = 0


class Ended(NamedTuple):
    """A probe that is over."""

    lease: str
    generation: int
    counts: Counts | None
    """None if it said nothing, and goes back."""


class Member:
    """What the fleet has to know of one breaker, and what it has to do for it.

    Used by the calls (`probes`, `changed`, `wait`, `ready`), and by the fleet's thread (the rest).
    """

    def __init__(self, fleet: Fleet, breaker: CircuitBreaker) -> None:
        self._fleet = fleet
        self._breaker = ref(breaker)
        self.name = breaker.name
        self.local = breaker._generation
        """The generation here that `generation` is in the fleet."""
        self.generation = 0
        self.alone = False
        """Whether it is open here only, as too few others have seen what it saw."""
        self.ended: deque[Ended] = deque()
        self.wanted = 0
        """Probes that calls wait for."""
        self._waiting: deque[Callable[[], object]] = deque()
        self._seen = self._totals(breaker)

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The breaker, while somebody holds it."""
        return self._breaker()

    # For the calls

    def probes(self, calls: int, timeout: float) -> Probes:
        """The permits of a half-open generation."""
        return FleetProbes(self, calls, timeout)

    def changed(self) -> None:
        """The breaker has changed its state, or a probe has ended."""
        self._fleet.look_after(self)

    def want(self) -> None:
        """Ask for a probe."""
        self.wanted += 1
        self._fleet.look_after(self)

    def lacks_a_probe(self) -> bool:
        """Whether a call that comes now has to ask the store for a probe."""
        breaker = self._breaker()
        if breaker is None or self.alone or self._fleet.is_out:
            return False
        generation = breaker._generation
        if generation.state is OPEN:
            return generation.has_ended(breaker.config.clock())
        probes = generation.probes
        return isinstance(probes, FleetProbes) and not probes.holds_some

    async def ready(self) -> None:
        """Wait until a probe is here, but not for long."""
        loop = asyncio.get_running_loop()
        came = loop.create_future()

        def come() -> None:
            if not came.done():
                came.set_result(None)

        self._waiting.append(lambda: loop.call_soon_threadsafe(come))
        self.want()
        await asyncio.wait([came], timeout=self._fleet.patience)

    def wait(self) -> None:
        """The same, in a thread that has no event loop."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            return  # which must not be held up; it has asked, and the next call may be the probe
        came = Event()
        self._waiting.append(came.set)
        self.want()
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

    def report(self) -> Report | None:
        """What was seen since the last report, if it was in the fleet's generation."""
        breaker = self._breaker()
        if breaker is None:
            return None
        totals, before = self._totals(breaker), self._seen
        self._seen = totals
        record = self.local.record
        if breaker._generation is not self.local or record is None or totals == before:
            return None
        counts = Counts(*(now - then for now, then in zip(totals, before, strict=True)))
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
        self.generation = generation
        self.local = local
        self.alone = False
        breaker = self._breaker()
        if breaker is not None:
            self._seen = self._totals(breaker)

    def follow(self, shared: Shared) -> None:
        """Go to the state that the fleet is in."""
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
        )
        self.is_at(shared.generation, breaker._follow(change))

    @staticmethod
    def _totals(breaker: CircuitBreaker) -> Counts:
        failures = breaker.failures
        return Counts(breaker.successes + failures, failures, breaker.slow_calls)


class FleetProbes(Probes):
    """Permits that the store lends; while it is out, as many as the breaker's settings say."""

    __slots__ = ("_calls", "_leases", "_member", "_of")

    def __init__(self, member: Member, calls: int, timeout: float) -> None:
        super().__init__(0, timeout)
        self._calls = calls
        self._member = member
        self._of: dict[Permit, str] = {}
        self._leases: deque[tuple[str, float]] = deque()

    def grant(self, lease: str, now: float) -> None:
        """Take a lease in that the store has given."""
        self._leases.append((lease, now))

    @property
    def holds_some(self) -> bool:
        """Whether there are some that no call has got yet."""
        return bool(self._leases)

    def lend(self, permit: Permit, now: float) -> bool:
        while self._leases:
            lease, granted = self._leases.popleft()
            if granted <= now <= granted + self._timeout:
                self._of[permit] = lease
                self._lent[permit] = now
                return True
        if self._member._fleet.is_out or self._member.alone:
            self._free, self._calls = self._free + self._calls, 0
            return super().lend(permit, now)
        self._member.want()
        return False

    def end(self, permit: Permit, outcome: Outcome) -> bool:
        lease = self._of.pop(permit, None)
        if lease is None:
            return super().end(permit, outcome)
        counts = None
        if outcome is not IGNORED:
            counts = Counts(1, int(outcome is FAILURE), int(_is_slow(permit)))
        self._member.ended.append(Ended(lease, self._member.generation, counts))
        self._member.changed()
        return self._lent.pop(permit, None) is not None

    def give_back(self, now: float) -> list[str]:
        """The leases that nobody has used for a second: others may want them."""
        given = []
        while self._leases and not 0 <= now - self._leases[0][1] <= _UNUSED:
            given.append(self._leases.popleft()[0])
        return given


def _is_slow(permit: Permit) -> bool:
    config = permit.breaker.config
    return permit._started is not None and config.clock() - permit._started > config.slow_after
