"""Reconciles a breaker of this process with the fleet's record of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi._core.generation import Transition
from breaker_asgi._core.rules import due_change
from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi._core.windows import CountWindow
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi._fleet.member import UNKNOWN
from breaker_asgi._fleet.pending_counts import seconds_that_matter
from breaker_asgi.stores.protocol import Change, Shared, total

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._fleet.member import Member
    from breaker_asgi._fleet.quorum import Quorum
    from breaker_asgi._fleet.reporter import Reporter
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Store

_SAME = 1.0
"""Seconds by which two ends of the same state may differ."""
_EXACT = 1e-12
"""Relative error of a number that a store has kept."""
_LASTING = {FORCED_OPEN, DISABLED, METRICS_ONLY}
"""States that only an operator sets."""
_JUST_NOW = 5.0
"""Seconds for which an operator's change takes precedence over automatic ones."""
_TRIES = 10


class FleetStats(NamedTuple):
    """Counts of the whole fleet, as the rules use them."""

    streak: int
    calls: int = 0
    failures: int = 0
    slow_calls: int = 0


class Reconciler:
    """Shares the changes of this process, and follows or leads the other workers.

    The rules are the core's; of two changes from one generation the store makes one.
    """

    def __init__(self, store: Store, quorum: Quorum, reporter: Reporter) -> None:
        self._store = store
        self._quorum = quorum
        self._reporter = reporter

    def sync_member(self, member: Member, breaker: CircuitBreaker) -> None:
        """Share a change that was made here, claim probes, and give them back."""
        member.give_back(breaker.config.clock())
        while member.ended:
            lease, generation, counts = member.ended[0]
            shared = self._store.settle(member.name, generation, lease, counts)
            member.ended.popleft()
            self.reconcile(member, shared)
        if breaker._generation is not member.local:
            self._share_change(member, breaker)
        if member.wanted:
            self._claim(member, breaker)
            member.wake_waiters()

    def _share_change(self, member: Member, breaker: CircuitBreaker) -> None:
        """Propose the breaker's change to the fleet, unless it is for this process only."""
        local = breaker._generation
        if member.local.state is CLOSED and not local.transition.by_hand:
            if local.state is CLOSED:
                member.set_generation(member.generation, local)
                return
            if local.state is not OPEN or not self._has_quorum(member, breaker):
                member.mark_local_only(breaker, local)
                return
        self._propose(member, breaker, local, member.generation)

    def _has_quorum(self, member: Member, breaker: CircuitBreaker) -> bool:
        """Return True if a quorum has seen failures, this worker's unreported ones included."""
        if self._quorum.is_one:
            return True
        self._reporter.take([member])
        shared = self._reporter.exchange(member.name).get(member.name, Shared())
        return shared.generation != member.generation or self._is_for_all(breaker, shared)

    def _propose(
        self, member: Member, breaker: CircuitBreaker, local: Generation, expected: int
    ) -> None:
        """Make a change in the store, or follow one that was quicker. An operator's is retried."""
        made = local.transition
        for _ in range(_TRIES):
            change = Change(
                name=member.name,
                expected=expected,
                state=made.state,
                reason=made.reason,
                by_hand=made.by_hand,
                who=made.who,
                worker=self._reporter.worker,
                age=round(max(0.0, breaker.config.clock() - local.since), 3),
                lasts=made.lasts,
                openings=made.openings,
            )
            shared = self._store.change(change)
            if _is_applied(change, shared):
                if shared.worker != change.worker:
                    local.transition = made._replace(remote=True)
                member.set_generation(shared.generation, local)
                return
            holds = made.by_hand and _takes_precedence(breaker, local, shared)
            if shared.generation > expected and not holds:
                member.follow(shared, local)
                return
            expected = shared.generation
        raise RuntimeError("it keeps a different change")

    def _claim(self, member: Member, breaker: CircuitBreaker) -> None:
        """Claim the probes that calls wait for."""
        generation, config = breaker._generation, breaker.config
        if generation.state is OPEN and generation.has_ended(config.clock()):
            breaker._change(Transition(HALF_OPEN, "the open time has passed"), expected=generation)
            self._share_change(member, breaker)
        for _ in range(min(member.wanted, config.half_open_calls)):
            probes = breaker._generation.probes
            if not isinstance(probes, LeasedProbes) or breaker._generation is not member.local:
                return
            requested_at = config.clock()
            patience = probes.patience(requested_at)
            claim = self._store.claim(
                self._reporter.worker,
                member.name,
                member.generation,
                config.half_open_calls,
                probes.term(patience),
            )
            if claim.lease is None:
                member.refused()
                self.reconcile(member, claim.shared)
                return
            probes.grant(claim.lease, member.generation, requested_at, patience)

    def reconcile(self, member: Member, shared: Shared) -> None:
        """Follow the fleet's record, or change it where the counts of all workers require that."""
        breaker = member.breaker
        if breaker is None:
            return
        here = member.local.transition
        is_new = member.generation == UNKNOWN and (here.by_hand or shared.state is CLOSED)
        has_forgotten = shared.generation == member.generation and _differs(here, shared)
        if is_new or has_forgotten or shared.generation < member.generation:
            self._restore(member, breaker, shared)
        elif shared.generation > member.generation:
            member.follow(shared)
        elif breaker._generation is member.local or member.alone:
            self._lead(member, breaker, shared)
        else:
            member.changed()

    def _restore(self, member: Member, breaker: CircuitBreaker, shared: Shared) -> None:
        """Resolve a record that is missing or was lost: follow it, or propose the local state."""
        local = member.local
        if not _differs(local.transition, shared) and _has_same_end(breaker, local, shared):
            member.generation = shared.generation
        elif shared.generation > 0 and not _takes_precedence(breaker, local, shared):
            member.follow(shared)
        else:
            self._propose(member, breaker, local, shared.generation)

    def _lead(self, member: Member, breaker: CircuitBreaker, shared: Shared) -> None:
        """Change by the calls of all workers, or open for all once the quorum is met."""
        if not member.alone:
            change = due_change(shared.state, breaker.config, _fleet_stats(breaker, shared))
            if change is None or not self._is_for_all(breaker, shared):
                return
            if not breaker._change(breaker._explained(change), expected=member.local):
                return
        elif breaker._generation.state is not OPEN or not self._is_for_all(breaker, shared):
            return
        self._propose(member, breaker, breaker._generation, shared.generation)

    def _is_for_all(self, breaker: CircuitBreaker, shared: Shared) -> bool:
        """Return True if the quorum is met, and all workers together have seen enough failures."""
        if shared.state is not CLOSED or self._quorum.is_one:
            return True
        config = breaker.config
        has_own_window = config.rated and isinstance(config.window, CountWindow)
        suffices = (
            has_own_window or due_change(CLOSED, config, _fleet_stats(breaker, shared)) is not None
        )
        return suffices and self._quorum.is_met(shared)


def _differs(here: Transition, shared: Shared) -> bool:
    """Return True if the fleet's change is not the one that was made here."""
    if here.state is not shared.state:
        return True
    return here.state in _LASTING and (here.who, here.reason) != (shared.who, shared.reason)


def _has_same_end(breaker: CircuitBreaker, local: Generation, shared: Shared) -> bool:
    """Return True if an operator's state ends here when it ends for all."""
    lasts = local.transition.lasts
    if local.state not in _LASTING or lasts is None or shared.lasts is None:
        return local.state not in _LASTING or lasts is shared.lasts
    left = local.until - breaker.config.clock()
    return abs(left - (shared.lasts - shared.age)) < _SAME


def _takes_precedence(breaker: CircuitBreaker, local: Generation, shared: Shared) -> bool:
    """Return True if the local state takes precedence over the fleet's different one.

    An operator's change does over an automatic one; otherwise the younger one does.
    """
    here, age = local.transition, breaker.config.clock() - local.since
    if here.by_hand and not shared.by_hand and (here.state in _LASTING or age < _JUST_NOW):
        return True
    if shared.by_hand and not here.by_hand and shared.state in _LASTING:
        return False
    return age < shared.age


def _is_applied(change: Change, shared: Shared) -> bool:
    """Return True if the store has the change; the reply to an earlier try may have been lost."""
    wanted = change.expected + 1, change.state, change.reason, change.who
    if wanted != (shared.generation, shared.state, shared.reason, shared.who):
        return False
    if change.lasts is None or shared.lasts is None:
        return change.lasts is shared.lasts
    left = shared.lasts - shared.age
    return abs(left - (change.lasts - change.age)) < _SAME + change.lasts * _EXACT


def _fleet_stats(breaker: CircuitBreaker, shared: Shared) -> FleetStats:
    """Return the probes of all workers, or their calls in this breaker's time window."""
    if shared.state is HALF_OPEN:
        return FleetStats(0, *shared.settled)
    window = seconds_that_matter(breaker)  # other workers may have a longer one
    return FleetStats(
        shared.streak, *total(counts for age, counts in shared.seconds if age < window)
    )
