"""How a breaker of this process and what the fleet knows of it come to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi.generation import Transition, due_change
from breaker_asgi.state import CLOSED, HALF_OPEN, OPEN
from breaker_asgi.stores.member import UNKNOWN
from breaker_asgi.stores.probes import FleetProbes, Lease
from breaker_asgi.stores.protocol import Change, Shared, total

if TYPE_CHECKING:
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.generation import Generation
    from breaker_asgi.stores.member import Member
    from breaker_asgi.stores.protocol import Store
    from breaker_asgi.stores.quorum import Quorum
    from breaker_asgi.stores.reports import Reports

_SAME = 1.0
"""Seconds by which two ends of one state may differ."""
_EXACT = 1e-12
"""The share of a number by which it may differ after a store has kept it."""


class Evidence(NamedTuple):
    """What the whole fleet has seen, as the rules look at it."""

    streak: int
    calls: int = 0
    failures: int = 0
    slow_calls: int = 0


class Agreement:
    """Makes what changes here known to all, and follows or leads the others.

    The rules are the core's; of two changes from one generation the store makes one.
    """

    def __init__(self, store: Store, quorum: Quorum, reports: Reports) -> None:
        self._store = store
        self._quorum = quorum
        self._reports = reports

    def tend(self, member: Member, breaker: CircuitBreaker) -> None:
        """Make a change known that was made here, and lend and take back probes."""
        member.give_back(breaker.config.clock())
        while member.ended:
            lease, generation, counts = member.ended[0]
            shared = self._store.settle(member.name, generation, lease, counts)
            member.ended.popleft()
            self.judge(member, shared)
        if breaker._generation is not member.local:
            self._make_known(member, breaker)
        if member.wanted:
            self._claim(member, breaker)
            member.answer()

    def _make_known(self, member: Member, breaker: CircuitBreaker) -> None:
        """The breaker has changed here: propose it to all, unless it is for this process only."""
        local = breaker._generation
        if member.local.state is CLOSED and not local.transition.by_hand:
            if local.state is CLOSED:
                member.is_at(member.generation, local)
                return
            if local.state is not OPEN or not self._is_seen_by_enough(member):
                member.alone = True
                member.log_opening()
                return
        self._propose(member, breaker, local, member.generation)

    def _is_seen_by_enough(self, member: Member) -> bool:
        """Whether a quorum has seen failures, this worker with what it has not told included."""
        if self._quorum.is_one:
            return True
        self._reports.take([member])
        shared = self._reports.tell(member.name).get(member.name, Shared())
        return shared.generation != member.generation or self._quorum.is_met(shared)

    def _propose(
        self, member: Member, breaker: CircuitBreaker, local: Generation, expected: int
    ) -> None:
        """Make a change in the store. Who was quicker is followed; a person has the last word."""
        made = local.transition
        while True:
            change = Change(
                name=member.name,
                expected=expected,
                state=made.state,
                reason=made.reason,
                who=made.who,
                worker=self._reports.worker,
                lasts=local.lasts(breaker.config.clock()),
                openings=breaker._openings,
            )
            shared = self._store.change(change)
            if _is_made(change, shared):
                if shared.worker != change.worker:
                    local.transition = made._replace(elsewhere=True)
                member.is_at(shared.generation, local)
                return
            if shared.generation > expected and not made.by_hand:
                member.follow(shared)
                return
            expected = shared.generation

    def _claim(self, member: Member, breaker: CircuitBreaker) -> None:
        """Get the probes that calls wait for."""
        generation, config = breaker._generation, breaker.config
        if generation.state is OPEN and generation.has_ended(config.clock()):
            breaker._change(Transition(HALF_OPEN, "the open time has passed"), expected=generation)
            self._make_known(member, breaker)
        for _ in range(min(member.wanted, config.half_open_calls)):
            probes = breaker._generation.probes
            if not isinstance(probes, FleetProbes) or breaker._generation is not member.local:
                return
            asked_at = config.clock()
            claim = self._store.claim(
                self._reports.worker,
                member.name,
                member.generation,
                config.half_open_calls,
                config.probe_timeout,
            )
            if claim.lease is None:
                member.refused()
                self.judge(member, claim.shared)
                return
            probes.grant(Lease(claim.lease, member.generation, asked_at))

    def judge(self, member: Member, shared: Shared) -> None:
        """Follow the fleet, or lead it where what all have seen says so."""
        breaker = member.breaker
        if breaker is None:
            return
        is_new = member.generation == UNKNOWN and shared.state is CLOSED
        if is_new or shared.generation < member.generation:
            self._restore(member, breaker, shared)
        elif shared.generation > member.generation or shared.state is not member.local.state:
            member.follow(shared)
        elif breaker._generation is member.local or member.alone:
            self._lead(member, breaker, shared)
        else:
            member.changed()

    def _restore(self, member: Member, breaker: CircuitBreaker, shared: Shared) -> None:
        """The store does not know what is known here, or has forgotten: what is younger holds."""
        local = member.local
        if shared.state is local.state:
            member.generation = shared.generation
        elif shared.generation > 0 and shared.age < breaker.config.clock() - local.since:
            member.follow(shared)
        else:
            self._propose(member, breaker, local, shared.generation)

    def _lead(self, member: Member, breaker: CircuitBreaker, shared: Shared) -> None:
        """Change as all calls together say, or open for all where enough have seen failures now."""
        if not member.alone:
            change = due_change(shared.state, breaker.config, _evidence(shared))
            if change is None or not self._is_for_all(shared):
                return
            if not breaker._change(change, expected=member.local):
                return
        elif breaker._generation.state is not OPEN or not self._is_for_all(shared):
            return
        self._propose(member, breaker, breaker._generation, shared.generation)

    def _is_for_all(self, shared: Shared) -> bool:
        return shared.state is not CLOSED or self._quorum.is_met(shared)


def _is_made(change: Change, shared: Shared) -> bool:
    """Whether a change is what the store has; the answer to an earlier try may have been lost."""
    wanted = change.expected + 1, change.state, change.reason, change.who
    if wanted != (shared.generation, shared.state, shared.reason, shared.who):
        return False
    if change.lasts is None or shared.lasts is None:
        return change.lasts is shared.lasts
    return abs(shared.lasts - shared.age - change.lasts) < _SAME + change.lasts * _EXACT


def _evidence(shared: Shared) -> Evidence:
    """What the rules look at: the probes of all, or the calls of all in a time window."""
    if shared.state is HALF_OPEN:
        return Evidence(0, *shared.settled)
    return Evidence(shared.streak, *total(each.counts for each in shared.seconds))
