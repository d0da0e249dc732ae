"""The counts of a worker's calls: each counts once, at its end or as soon as it is overdue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.permit import TimedPermit
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi.stores.protocol import NO_CALLS, Counts
from tests.stores.simulation.terms import LEASE, SKEW, add, hold, less, totals

if TYPE_CHECKING:
    from breaker_asgi import CircuitBreaker
    from tests.stores.simulation.workers import Call, Worker
    from tests.stores.simulation.world import World

_OVERDUE = Counts(1, 0, 1)
"""A call that counts as slow while it runs."""
_TURN = 0.05
"""The longest time between two turns of the wheel, and of one of its slots."""


class Counting:
    """One admission or settlement: it may count its own call, and any that are overdue."""

    def __init__(self, world: World, worker: Worker, breaker: CircuitBreaker) -> None:
        self._world, self._worker, self._breaker = world, worker, breaker
        self.generation = generation = breaker._generation
        link = worker.link(breaker.name)
        self._key = link.local if link._is_evidence(generation) else generation
        self._before = totals(breaker)
        self._ended = breaker.successes + breaker.failures
        self._running: list[Call] = []
        if breaker.config.measures_duration:
            calls = (call for call in world.calls if call.breaker is breaker)
            self._running = [call for call in calls if call.counts]

    def admitted(self) -> None:
        """Check an admission: all overdue calls of its generation have been counted."""
        self._check(NO_CALLS)
        now, config = self._worker.clock(), self._breaker.config
        for call in self._running:
            if call.is_overdue or call.permit.generation is not self._breaker._generation:
                continue
            probes, ran = call.permit.generation.probes, now - call.started
            if probes is None:
                hold(ran <= config.slow_after + 2 * _TURN, "an overdue call", call)
            elif isinstance(probes, LeasedProbes) and ran > config.slow_after:
                lease = probes._leased.get(id(call.permit))
                hold(lease is None or not lease.is_valid(now), "an overdue probe", call)

    def ended(self, call: Call, *, failed: bool) -> None:
        """Check the end of a call, which counts unless it was a lost probe of an earlier state."""
        config = self._breaker.config
        slow = config.measures_duration and self._worker.clock() - call.started > config.slow_after
        own = Counts(0, failed, 0) if call.is_overdue else Counts(1, failed, slow)
        is_current = call.permit.generation is self.generation
        if call.permit.generation.probes is not None and not is_current and not call.is_overdue:
            expired = self._world.now > call.leased_until + 3 * SKEW * 2 * LEASE
            late = call.leased_until and expired
            if late or totals(self._breaker) == self._before:
                own = NO_CALLS
        if not call.counts:
            own = NO_CALLS
        self._check(own)
        if is_current and not self._was_late():
            self._add(own)

    def _was_late(self) -> bool:
        """Return True if an overdue call has changed the state before this call had ended."""
        if self._breaker._generation is self.generation:
            return False
        return self._worker.ended[self._breaker.name] == self._ended

    def cancelled(self) -> None:
        """Check the cancellation of a call: it does not count, nor is it taken out."""
        self._check(NO_CALLS)

    def _check(self, own: Counts) -> None:
        """Check that nothing has counted but the call itself, and what was overdue."""
        counted = own
        for call in self._running:
            if not call.is_overdue and _is_counted(call):
                self._count_overdue(call)
                counted = add(counted, _OVERDUE)
        new = less(totals(self._breaker), self._before)
        hold(new == counted, "other counts than those of the calls", new, counted)

    def _count_overdue(self, call: Call) -> None:
        ran = self._worker.clock() - call.started
        hold(ran > self._breaker.config.slow_after, "it was not slow yet", call)
        call.is_overdue = True
        self._world.note("{} counts {} as slow", self._worker.name, call.breaker.name)
        self._world.happened["overdue probes" if call.probe else "overdue"] += 1
        if call.probe is not None:
            self._world.outcomes[call.probe] = 1, 0
        if call.permit.generation is self.generation:
            self._add(_OVERDUE)

    def _add(self, counts: Counts) -> None:
        sums = self._worker.counts[self._breaker.name]
        sums[self._key] = add(sums[self._key], counts)


def _is_counted(call: Call) -> bool:
    """Return True if the library has counted a call while it runs."""
    permit = call.permit
    if isinstance(permit, TimedPermit):
        return permit.slot is not None and permit.slot.place is not None
    probes = permit.generation.probes
    return probes is not None and id(permit) in probes._slow
