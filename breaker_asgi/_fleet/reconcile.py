"""The one table of what a link does when it meets the store's record of its breaker.

| the record has | the same last command | a younger command here | a younger one there |
| --- | --- | --- | --- |
| the fleet's change, by its `id` | judge by the counts of all | - | - |
| a higher generation | follow: a worker was quicker | propose | follow |
| a lower generation, or none | the younger change: propose, or follow | propose | follow |

A store may lose records, or go back to an earlier state by a snapshot or a lagging replica. Then
the younger command holds, and after it the younger change; the workers write it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi._core.rules import due_change
from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi._fleet.commands import ALIKE
from breaker_asgi._fleet.link import (
    IN_STEP,
    NEVER_FETCHED,
    PROPOSED,
    THIS_WORKER_ONLY,
    closes_gently,
    stored_state,
)
from breaker_asgi.stores.protocol import unidentified

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._fleet.link import Link
    from breaker_asgi._fleet.quorum import Quorum
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Command, Shared

_JUST_NOW = 5.0
"""Seconds for which a command holds against later openings, which overlap with it."""
_LASTING = {FORCED_OPEN, DISABLED, METRICS_ONLY}
"""States that only an operator sets."""


class FleetStats(NamedTuple):
    """Counts of the whole fleet, as the rules use them."""

    streak: int
    calls: int = 0
    failures: int = 0
    slow_calls: int = 0


def reconcile(link: Link, shared: Shared, quorum: Quorum) -> None:
    """Follow the fleet's record, or propose another one."""
    breaker = link.breaker
    if breaker is None:
        return
    _reconcile(link, breaker, shared, quorum)
    if link.status == IN_STEP and link.id == shared.id:
        link.outage.adopt(breaker, shared)


def _reconcile(link: Link, breaker: CircuitBreaker, shared: Shared, quorum: Quorum) -> None:
    is_new, now = link.generation == NEVER_FETCHED, breaker._generation
    link.note_command(now)
    here = link.local if link.alone or (is_new and not now.transition.by_hand) else now
    if not is_new and _is_the_same(link, shared):
        link.generation = shared.generation
        link.fetched(shared)
        link.is_lost = _has_a_wrong_age(link, breaker, shared)
        if link.status == PROPOSED:
            link.changed()
        elif not link.stands_in:
            _judge(link, breaker, shared, quorum)
        if shared.state is CLOSED:
            link.window.fit(shared.counts.calls)
    elif _holds(link, breaker, here, shared):
        link.generation, link.is_lost = shared.generation, False
        if here is link.local:
            link.lose()
        link.changed()
    elif (
        here.state is CLOSED is shared.state
        and (is_new or shared.generation == 0)
        and not closes_gently(breaker, shared)
    ):
        link.adopt(shared, here)
        link.changed()
    else:
        link.follow(shared, now)


def _is_the_same(link: Link, shared: Shared) -> bool:
    """Return True if the record has the fleet's change, as a worker here knows it.

    In a rolling deploy workers of the first version write records again without the identity.
    """
    is_rewritten = bool(shared.id) and shared.id == unidentified(link.generation)
    state = stored_state(link.local.state)
    return shared.id == link.id or (is_rewritten and shared.state is state)


def _has_a_wrong_age(link: Link, breaker: CircuitBreaker, shared: Shared) -> bool:
    """Return True if the store's clock was set forward since a command with an end was given.

    The worker that has given it writes the record again: for one that starts it would end too
    early. Other workers may take it for younger, by the time that the answer took.
    """
    age = breaker.config.clock() - link.local.since
    is_own = shared.by_hand and not link.local.transition.remote
    return is_own and shared.lasts is not None and shared.age - age > ALIKE


def _holds(link: Link, breaker: CircuitBreaker, here: Generation, shared: Shared) -> bool:
    """Return True if the state here holds, and not that of the store."""
    mine, theirs = link.commands.last, shared.command
    is_higher = shared.generation > link.generation != NEVER_FETCHED
    age = breaker.config.clock() - here.since
    if shared.generation == 0:
        return here.state is not CLOSED or mine is not None
    is_overruled = is_higher and not shared.by_hand and link.commands.is_overruled
    if is_overruled or (mine and mine.id) == (theirs and theirs.id):
        return not is_higher and here.number > 0 and age < shared.age
    has_replaced = theirs is not None and link.commands.has_replaced(theirs)
    if not has_replaced and not _is_younger(mine, theirs, is_higher=is_higher):
        return False
    overlap = _JUST_NOW if here.transition.by_hand else 0.0
    return shared.by_hand or here.state in _LASTING or age - shared.age < overlap


def _is_younger(mine: Command | None, theirs: Command | None, *, is_higher: bool) -> bool:
    """Return True if the last command here is younger. Of two at once the store's holds."""
    if mine is None or theirs is None:
        return theirs is None
    if abs(mine.age - theirs.age) < ALIKE:
        return not is_higher
    return mine.age < theirs.age


def _judge(link: Link, breaker: CircuitBreaker, shared: Shared, quorum: Quorum) -> None:
    """Change by the calls of all workers, or open for all once the quorum is met."""
    if link.status == THIS_WORKER_ONLY:
        if breaker._generation.state is OPEN and is_for_all(breaker, shared, quorum):
            link.alone, link.for_all = False, breaker._generation
            link.changed()
        else:
            link.confirm_alone()
    elif link.status == IN_STEP:
        change = due_change(shared.state, breaker.config, _fleet_stats(shared))
        if change is None or not is_for_all(breaker, shared, quorum):
            return
        if breaker._change(breaker._explained(change), expected=link.local):
            link.for_all = breaker._generation
            link.outage.judged(breaker, link.for_all, shared)


def is_for_all(breaker: CircuitBreaker, shared: Shared, quorum: Quorum) -> bool:
    """Return True if a breaker may open for all workers.

    A quorum of them has seen failures, and all together enough for its rules; or a quorum has
    tripped by itself, and calls no more.
    """
    if shared.state is not CLOSED or quorum.is_one or quorum.is_met(shared.tripped):
        return True
    suffices = due_change(CLOSED, breaker.config, _fleet_stats(shared)) is not None
    return suffices and quorum.is_met(shared.witnesses)


def _fleet_stats(shared: Shared) -> FleetStats:
    """Return the probes of all workers, or their calls in this breaker's window.

    A call that was counted as slow while it ran may have failed later than it was counted.
    """
    if shared.state is HALF_OPEN:
        return FleetStats(0, *shared.settled)
    calls, failures, slow_calls = shared.counts
    return FleetStats(shared.streak, calls, min(failures, calls), min(slow_calls, calls))
