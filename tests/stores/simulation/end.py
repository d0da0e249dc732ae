"""The end of a world: without faults all workers agree after a while, and all breakers close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._fleet.synchroniser import COMPARE
from breaker_asgi.stores.protocol import NO_CALLS
from tests.stores.simulation.terms import (
    ALIKE,
    BY_HAND,
    OPEN_TIME,
    SKEW,
    TERM,
    at_most,
    hold,
)

if TYPE_CHECKING:
    from breaker_asgi._fleet.link import Link
    from breaker_asgi.stores.record import Record
    from tests.stores.simulation.world import World


def check_end(world: World) -> None:
    slack = COMPARE if world.incarnation else 0
    if not world.workers:
        world.add()
    agree(world, ALIKE + slack)
    if unreadable := [name for name in world.names if not world.store.is_readable(name)]:
        for name in unreadable:
            world.store.evict(name)
        agree(world, ALIKE + slack)
    for name in world.names:
        if world.store.record(name).state in BY_HAND:
            world.workers[0].registry[name].reset(who="anna")
    alone = world.chance(0.5)
    callers = world.workers[:1] if alone else world.workers
    bound = (OPEN_TIME * 1.1**3 + TERM + 1) * (1 + SKEW) + ALIKE + slack
    world.go_on(bound, callers)
    if alone:  # a worker that is open locally needs calls to recover
        shared = [world.store.record(name).state for name in world.names]
        hold(shared == ["closed"] * len(shared), "stuck", shared)
        hold(not disagreement(world), "no agreement", disagreement(world))
        world.go_on(bound, world.workers)
    hold(not open_ones(world), "stuck", open_ones(world))
    world.go_on(ALIKE, ())
    check_all_is_reported(world)


def agree(world: World, seconds: float) -> None:
    readable = [name for name in world.names if world.store.is_readable(name)]
    world.go_on(
        seconds,
        (),
        lambda: not (outs(world) or disagreement(world) or world.commands.broken(readable)),
    )
    for _ in range(2 if world.faults.snapshots else 1):
        hold(not outs(world), "decide alone", outs(world))
        hold(not disagreement(world), "no agreement", disagreement(world), states(world))
        broken = world.commands.broken(readable)
        hold(not broken, "a later command does not hold", broken)
        world.go_on(ALIKE if world.faults.snapshots else 0, ())  # and it stays so


def check_all_is_reported(world: World) -> None:
    for worker in world.workers if not world.incarnation else ():
        for link in worker.links:
            change, record = (link.generation, link.id), world.store.record(link.name)
            is_made_again = record.generation > 0 and record.worker is None
            if (
                is_made_again or len(worker.was[link.local]) > 1
            ):  # earlier calls went to another one
                continue
            key = link.name, change, worker.name
            reported = world.store.reported.get(key, NO_CALLS)
            counted = world.rules.counts(worker, change, link.name)
            hold(at_most(counted, reported), "not all is reported", key, reported, counted)


def outs(world: World) -> list[str]:
    """Return the workers and breakers that decide alone, and not because of their record."""
    return [
        f"{worker.name} {link.name}"
        for worker in world.workers
        for link in worker.links
        if worker.fleet.is_out or (link.unreadable and world.store.is_readable(link.name))
    ]


def states(world: World) -> list[str]:
    return [
        f"{w.name} {m.name} {m.breaker.state}" for w in world.workers for m in w.links if m.breaker
    ]


def disagreement(world: World) -> list[str]:
    """Return the workers and breakers in another state than the store's, except local openings."""
    return [
        f"{worker.name} {link.name}"
        for worker in world.workers
        for link in worker.links
        if (breaker := link.breaker) is not None and world.store.is_readable(link.name)
        if not link.alone or breaker._generation.transition.by_hand
        if breaker._generation is not link.local or differs(link, world.store.record(link.name))
    ]


def differs(link: Link, record: Record) -> bool:
    """Return True if a breaker is in another generation than the store, or in another state.

    A closed one keeps its own reason, as each worker starts with one. One that has never changed
    here meets a record that has closed again with its next report.
    """
    made = link.local.transition
    if link.generation == 0 and made.state == record.state == "closed":
        return False
    mine, theirs = (made.who, made.reason), (record.who, record.reason)
    if (link.generation, link.id, made.state) != (record.generation, record.id, record.state):
        return True
    return record.state != "closed" and mine != theirs


def open_ones(world: World) -> list[str]:
    return [state for state in states(world) if not state.endswith("closed")]
