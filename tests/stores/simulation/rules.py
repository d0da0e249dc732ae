"""Invariants of a world."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from breaker_asgi import CircuitBreaker, CountWindow
from breaker_asgi._fleet.fitted_window import LONGEST
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi._fleet.link import NEVER_FETCHED, Link
from breaker_asgi._fleet.reconcile import _JUST_NOW
from breaker_asgi._fleet.synchroniser import COMPARE
from breaker_asgi.stores.protocol import NO_CALLS, Change, Counts
from breaker_asgi.stores.record import Record
from tests.stores.simulation.terms import (
    BY_HAND,
    EPOCH,
    KINDS,
    LEGAL,
    SAME,
    SKEW,
    Violation,
    add,
    at_most,
    hold,
    most,
)

if TYPE_CHECKING:
    from tests.stores.simulation.workers import Worker
    from tests.stores.simulation.world import World


class Rules:
    """The rules of one world, which are checked after each event."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.checked = 0
        """The store's version at the last check."""

    # When a change is made

    def has_changed(self, name: str, change: Change, before: str) -> None:
        """Check that the change is a legal transition."""
        world, proposer = self._world, self._proposer
        if change.by_hand:
            proposer.by_hand.pop(name, None)
            return
        if (before, change.state.value) in LEGAL or (
            before in BY_HAND and change.state == "closed"
        ):
            return
        now = proposer.registry[name]._generation
        steps = now.number - proposer.link(name).local.number
        forgot = world.incarnation and world.now - world.forgot_at < 60
        several = steps > 1 and (before, change.state) != ("closed", "half_open")
        is_restored = change.worker is None or before == change.state == "closed"
        later = is_restored and change.command is not None  # it overrules the store's command
        commanded = name in proposer.by_hand or later
        hold(several or forgot or commanded, "no such transition", before, change)

    def check_evidence(self, name: str, change: Change, was: Record, witnesses: int) -> None:
        """Check that enough workers or probes justify an automatic change."""
        if self._world.incarnation or change.by_hand:
            return
        quorum = self._world.quorum
        is_opening = quorum > 1 and (was.state, change.state) == ("closed", "open")
        if is_opening and not self._is_half_open_by_hand(name):
            hold(witnesses >= quorum, "opened without a quorum", change, witnesses)
        if change.reason == "the probes succeeded":
            counted = self._proposer.counts[name].items()
            own = max(
                (sums.calls for generation, sums in counted if generation.state == "half_open"),
                default=0,
            )
            hold(max(own, was.settled[0]) >= most(name), "closed by too few probes", own)

    def _is_half_open_by_hand(self, name: str) -> bool:
        """Return True if probes failed after a command that has not reached the store."""
        made, now = self._proposer.by_hand.get(name), self._proposer.registry[name]._generation
        if made is None or made.state not in {"half_open", "open"}:
            return False
        openings = now.transition.openings - made.transition.openings  # none if it has closed
        return now.number - made.number == 2 * openings - (made.state == "half_open")

    def same_was_done(self, name: str) -> None:
        """Forget a manual change that the store has already."""
        self._proposer.by_hand.pop(name, None)

    @property
    def _proposer(self) -> Worker:
        assert self._world.proposer is not None
        return self._world.proposer

    # After each event

    def check(self) -> None:
        """Check all that may have changed since the last check."""
        world, version = self._world, self._world.store.version
        for name in world.names:
            record = world.store.record(name)
            if record.state == "half_open":
                self.check_probes(name, record)
            if not world.incarnation and self.checked != version:
                self.check_sums(name, record)
        self.checked = version
        for worker in world.workers:
            trouble = worker.fleet.step_trouble
            if trouble is not None and not trouble.startswith("LostError"):
                raise Violation("the engine itself has failed", trouble)
            for link in worker.links:
                breaker = cast("CircuitBreaker", link.breaker)
                now = version, link.generation, link.local, breaker._generation
                if worker.checked.get(link) != now:
                    worker.checked[link] = now
                    self.check_link(worker, link)
            worker.took = 0.0

    def check_probes(self, name: str, record: Record) -> None:
        """Check the number of lent and settled probes, in the store and at the dependency."""
        world, left = self._world, most(name) - record.settled[0]
        lent = sum(until > (EPOCH + world.now) * 1000 for until in record.leases.values())
        hold(lent <= left, "more probes than are allowed")
        episode = name, world.incarnation, record.generation
        calling = [call for call in world.calls if call.episode == episode]
        under_way = sum(
            call.leased_until > world.now and not world.store.has_counted(call.probe)
            for call in calling  # one that is overdue has ended for the store
        )
        hold(under_way <= left, "more probes at the dependency")

    def check_leases(self, worker: Worker) -> None:
        """Check that each lease since the end of the faults is in use, or was a second ago."""
        world = self._world
        for link in worker.links:
            leases = world.store.record(link.name).leases
            if not leases:
                continue
            probes = worker.registry[link.name]._generation.probes
            held = set()
            if isinstance(probes, LeasedProbes):
                held = {lease.name for lease in probes._leased.values()}
                soon = worker.clock() - 0.2
                held |= {lease.name for lease in probes._leases if lease.kept_until > soon}
            for lease, end in leases.items():
                until, lent = end / 1000 - EPOCH, world.store.lent[link.name, lease]
                if lease.startswith(f"{worker.name}:") and world.healed_at < lent:
                    hold(until < world.now or lease in held, "a lease is kept", lease)

    def check_sums(self, name: str, record: Record) -> None:
        """Check that the store has counted each report once, and none of another generation."""
        if name != "rate":  # the other kinds keep calls for less than a world lasts
            return
        reported = kept = NO_CALLS
        for key, counts in self._world.store.reported.items():
            if key[:2] == (name, (record.generation, record.id)):
                reported = add(reported, counts)
        for sums in record.seconds.values():
            kept = add(kept, Counts(*sums))
        hold(kept == reported, "the store's sums are not what was reported", kept, reported)

    def check_link(self, worker: Worker, link: Link) -> None:
        """Check a worker's view of the fleet's state."""
        took = self._check_generation(worker, link)
        self._check_by_hand(worker, link)
        self._check_window(link)
        if self._world.incarnation:
            return
        record = self._world.store.record(link.name)
        hold(link.generation <= record.generation, "a generation that no worker has made")
        if link.id == record.id and link.generation != NEVER_FETCHED:
            hold(link.local.state == record.state, "the same change, and another state")
            self._check_end_of(worker, link, record, took)
        elif link.generation == record.generation:
            differs = link.owes_a_change or link.alone
            hold(differs, "the same generation, and another change", worker.name, link.id)
        change = link.generation, link.id
        key = link.name, change, worker.name
        reported = self._world.store.reported.get(key, NO_CALLS)
        counted = self.counts(worker, change, link.name, maybe=True)
        hold(
            at_most(reported, counted), "more was reported than was counted", key, reported, counted
        )

    def _check_generation(self, worker: Worker, link: Link) -> float:
        """Check that it does not go back, unless the store did. Return the delay of the change.

        The seconds are an upper bound, as a step takes its time, and there may have been several.
        """
        world, name, generation = self._world, link.name, link.generation
        before, incarnation, took = worker.at.get(name, (NEVER_FETCHED, world.incarnation, 0.0))
        if generation < before:
            forgot = world.incarnation and world.now - world.forgot_at < COMPARE
            hold(incarnation < world.incarnation or forgot, "back to an older generation")
        if generation != before:
            took = max(worker.took, world.now - worker.began if worker.steps else 0.0)
            took = max(took, worker.late.get((name, generation), 0.0))
            incarnation = worker.incarnations.get((name, generation), world.incarnation)
            worker.at[name] = generation, incarnation, took
        if generation != NEVER_FETCHED:
            worker.was[link.local].add((generation, link.id))
        return took

    def _check_by_hand(self, worker: Worker, link: Link) -> None:
        """Check that a manual change gives way to later manual changes only.

        Unless it lasts, it also gives way to automatic ones that came a while after it.
        """
        changed, now = worker.by_hand.get(link.name), worker.registry[link.name]._generation
        if changed is None or changed is now or now is not link.local:
            return
        followed, age = now.transition, worker.clock() - changed.since
        if followed.remote and changed.number + 1 == now.number:
            later = followed.by_hand and worker.clock() - now.since < age + SAME
            later = later or self._world.commands.has_replaced(link.name, changed.reason)
            is_apart = now.since - changed.since > _JUST_NOW - 0.01
            hold(later or (changed.state not in BY_HAND and is_apart), "lost by hand")
        if followed.remote:
            del worker.by_hand[link.name]

    def _check_window(self, link: Link) -> None:
        """Check that the window is that of the settings, or one that follows the traffic."""
        window, seconds = KINDS[link.name].get("window"), link.window.seconds
        if isinstance(window, CountWindow):
            hold(1 <= seconds <= LONGEST, "a window of another length", seconds)
        else:
            hold(seconds == (window.seconds if window else 0), "another window", seconds)

    def _check_end_of(self, worker: Worker, link: Link, record: Record, took: float) -> None:
        """Check that a state ends in all workers at the same moment, however late they fetch it."""
        left = link.local.until - worker.clock()
        if record.lasts is None or left <= 0:
            return
        late = self._world.now + left - (record.changed / 1000 - EPOCH + record.lasts)
        slack = took + SAME + record.lasts * 2 * SKEW + self._world.store.delays[record.id]
        hold(abs(late) <= slack, "another end", worker.name, left, late, took)

    def counts(
        self, worker: Worker, change: tuple[int, str], name: str, *, maybe: bool = False
    ) -> Counts:
        """Return the calls that a worker has counted since one of the fleet's changes.

        With `maybe`, also those before its first fetch: they may count for that generation.
        """
        sums = NO_CALLS
        for local, counts in worker.counts[name].items():
            if change in worker.was[local] or (maybe and local.number == 0):
                sums = add(sums, counts)
        return sums
