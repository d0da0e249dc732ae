"""How a breaker of this process and what the fleet knows of it come to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi._core.generation import Transition
from breaker_asgi._core.rules import due_change
from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi._core.windows import CountWindow
from breaker_asgi._fleet.leased_probes import FleetProbes
from breaker_asgi._fleet.member import UNKNOWN
from breaker_asgi._fleet.pending_counts import seconds_that_matter
from breaker_asgi.stores.protocol import Change, Shared, total

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._fleet.member import Member
    from breaker_asgi._fleet.quorum import Quorum
    from breaker_asgi._fleet.reporter import Reports
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Store

_SAME = 1.0
"""Seconds by which two ends of one state may differ."""
_EXACT = 1e-12
"""The share of a number by which it may differ after a store has kept it."""
_LASTING = {FORCED_OPEN, DISABLED, METRICS_ONLY}
"""What nothing but a person sets, and what lasts until that is over."""
_JUST_NOW = 5.0
"""Seconds for which a person has the last word over what happens by itself."""
_TRIES = 10


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
                member.set_generation(member.generation, local)
                return
            if local.state is not OPEN or not self._is_seen_by_enough(member, breaker):
                member.is_alone(breaker, local)
                return
        self._propose(member, breaker, local, member.generation)

    def _is_seen_by_enough(self, member: Member, breaker: CircuitBreaker) -> bool:
        """Whether a quorum has seen failures, this worker with what it has not told included."""
        if self._quorum.is_one:
            return True
        self._reports.take([member])
        shared = self._reports.tell(member.name).get(member.name, Shared())
        return shared.generation != member.generation or self._is_for_all(breaker, shared)

    def _propose(
        self, member: Member, breaker: CircuitBreaker, local: Generation, expected: int
    ) -> None:
        """Make a change in the store. Who was quicker is followed, but not by what a person did."""
        made = local.transition
        for _ in range(_TRIES):
            change = Change(
                name=member.name,
                expected=expected,
                state=made.state,
                reason=made.reason,
                by_hand=made.by_hand,
                who=made.who,
                worker=self._reports.worker,
                age=round(max(0.0, breaker.config.clock() - local.since), 3),
                lasts=made.lasts,
                openings=breaker._openings,
            )
            shared = self._store.change(change)
            if _is_made(change, shared):
                if shared.worker != change.worker:
                    local.transition = made._replace(elsewhere=True)
                member.set_generation(shared.generation, local)
                return
            holds = made.by_hand and _holds(breaker, local, shared)
            if shared.generation > expected and not holds:
                member.follow(shared, local)
                return
            expected = shared.generation
        raise RuntimeError("it keeps something else than it is told")

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
            patience = probes.patience(asked_at)
            claim = self._store.claim(
                self._reports.worker,
                member.name,
                member.generation,
                config.half_open_calls,
                probes.term(patience),
            )
            if claim.lease is None:
                member.refused()
                self.judge(member, claim.shared)
                return
            probes.grant(claim.lease, member.generation, asked_at, patience)

    def judge(self, member: Member, shared: Shared) -> None:
        """Follow the fleet, or lead it where what all have seen says so."""
        breaker = member.breaker
        if breaker is None:
            return
        here = member.local.transition
        is_new = member.generation == UNKNOWN and (here.by_hand or shared.state is CLOSED)
        has_forgotten = shared.generation == member.generation and _is_another(here, shared)
        if is_new or has_forgotten or shared.generation < member.generation:
            self._restore(member, breaker, shared)
        elif shared.generation > member.generation:
            member.follow(shared)
        elif breaker._generation is member.local or member.alone:
            self._lead(member, breaker, shared)
        else:
            member.changed()

    def _restore(self, member: Member, breaker: CircuitBreaker, shared: Shared) -> None:
        """The store does not know what is known here, or has forgotten it."""
        local = member.local
        if not _is_another(local.transition, shared) and _ends_alike(breaker, local, shared):
            member.generation = shared.generation
        elif shared.generation > 0 and not _holds(breaker, local, shared):
            member.follow(shared)
        else:
            self._propose(member, breaker, local, shared.generation)

    def _lead(self, member: Member, breaker: CircuitBreaker, shared: Shared) -> None:
        """Change as all calls together say, or open for all where enough have seen failures now."""
        if not member.alone:
            change = due_change(shared.state, breaker.config, _evidence(breaker, shared))
            if change is None or not self._is_for_all(breaker, shared):
                return
            if not breaker._change(breaker._explained(change), expected=member.local):
                return
        elif breaker._generation.state is not OPEN or not self._is_for_all(breaker, shared):
            return
        self._propose(member, breaker, breaker._generation, shared.generation)

    def _is_for_all(self, breaker: CircuitBreaker, shared: Shared) -> bool:
        """Whether enough workers have seen failures, and all of them together enough failures."""
        if shared.state is not CLOSED or self._quorum.is_one:
            return True
        config = breaker.config
        each_by_itself = config.rated and isinstance(config.window, CountWindow)
        suffices = (
            each_by_itself or due_change(CLOSED, config, _evidence(breaker, shared)) is not None
        )
        return suffices and self._quorum.is_met(shared)


def _is_another(here: Transition, shared: Shared) -> bool:
    """Whether the fleet's change is not the one that was made here."""
    if here.state is not shared.state:
        return True
    return here.state in _LASTING and (here.who, here.reason) != (shared.who, shared.reason)


def _ends_alike(breaker: CircuitBreaker, local: Generation, shared: Shared) -> bool:
    """Whether what a person has set ends here when it ends for all."""
    lasts = local.transition.lasts
    if local.state not in _LASTING or lasts is None or shared.lasts is None:
        return local.state not in _LASTING or lasts is shared.lasts
    left = local.until - breaker.config.clock()
    return abs(left - (shared.lasts - shared.age)) < _SAME


def _holds(breaker: CircuitBreaker, local: Generation, shared: Shared) -> bool:
    """Whether what is so here holds, where all others have something else.

    What a person has set does over what came by itself; otherwise the younger one does.
    """
    here, age = local.transition, breaker.config.clock() - local.since
    if here.by_hand and not shared.by_hand and (here.state in _LASTING or age < _JUST_NOW):
        return True
    if shared.by_hand and not here.by_hand and shared.state in _LASTING:
        return False
    return age < shared.age


def _is_made(change: Change, shared: Shared) -> bool:
    """Whether a change is what the store has; the answer to an earlier try may have been lost."""
    wanted = change.expected + 1, change.state, change.reason, change.who
    if wanted != (shared.generation, shared.state, shared.reason, shared.who):
        return False
    if change.lasts is None or shared.lasts is None:
        return change.lasts is shared.lasts
    left = shared.lasts - shared.age
    return abs(left - (change.lasts - change.age)) < _SAME + change.lasts * _EXACT


def _evidence(breaker: CircuitBreaker, shared: Shared) -> Evidence:
    """What the rules look at: the probes of all, or the calls of all in a time window."""
    if shared.state is HALF_OPEN:
        return Evidence(0, *shared.settled)
    window = seconds_that_matter(breaker)  # others may have a longer one
    return Evidence(shared.streak, *total(counts for age, counts in shared.seconds if age < window))
