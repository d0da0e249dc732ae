"""Worlds whose store goes back to a snapshot, or holds a record that can't be read."""

from __future__ import annotations

from breaker_asgi._fleet.synchroniser import COMPARE
from tests.stores.simulation.end import agree, check_end, disagreement, outs
from tests.stores.simulation.events import spoil
from tests.stores.simulation.faults import EVERY
from tests.stores.simulation.terms import ALIKE, LEASE, OPEN_TIME, hold
from tests.stores.simulation.workers import Worker
from tests.stores.simulation.world import World

NAME = "streak"
SINCE = "nothing", "trip", "restarts"
"""The events between a command and the return to a snapshot from before it."""


def after_a_snapshot(seed: int, size: int = 3) -> World:
    """Check that all workers agree after a trip, and that a snapshot from before closes nothing."""
    world = World(seed, names=(NAME,), forgets=False, quorum=1, size=size, is_faulty=False)
    world.workers[0].registry[NAME].metrics_only()
    world.go_on(ALIKE, ())
    world.workers[0].registry[NAME].reset()
    world.go_on(ALIKE, ())
    kept = world.store.dump()
    trip(world, world.random.choice(world.workers))
    hold(world.go_on(ALIKE, (), lambda: is_everywhere(world, "open")), "not open in all workers")
    world.go_back(kept)
    in_step = world.go_on(COMPARE + ALIKE, (), lambda: is_everywhere(world, "open"))
    hold(in_step, "the snapshot has closed it", disagreement(world))
    return world


def after_a_lifted_force_open(seed: int, since: str, size: int = 3) -> None:
    """Check that a snapshot brings back no `force_open` that an operator has lifted since."""
    world = World(
        seed, names=(NAME,), forgets=False, quorum=1, size=size, is_faulty=False, faults=EVERY
    )
    first, other = world.workers[0], world.workers[-1]
    first.registry[NAME].force_open(why="number 1")
    world.commands.make(first, first.registry[NAME])
    world.go_on(ALIKE, ())
    kept = world.store.dump()
    other.registry[NAME].close(why="number 2")
    world.commands.make(other, other.registry[NAME])
    world.go_on(ALIKE, ())
    if since == "trip":
        trip(world, world.random.choice(world.workers))
        world.go_on(OPEN_TIME + ALIKE + 1, world.workers)
    elif since == "restarts":
        for worker in list(world.workers):
            world.bury(worker)
            world.add()
            world.go_on(0.1, ())
    hold(is_everywhere(world, "closed"), "not closed before the snapshot")
    world.go_back(kept)
    agree(world, COMPARE + ALIKE)


def when_one_record_is_unreadable(seed: int) -> None:
    """Check that its breaker decides alone in each worker, and the other one is in step."""
    world = World(
        seed, names=(NAME, "single"), forgets=False, quorum=1, size=3, is_faulty=False, faults=EVERY
    )
    world.go_on(ALIKE, ())
    spoil(world, NAME)
    world.go_on(COMPARE + ALIKE, ())
    one, *others = world.workers
    trip(world, one)
    others[0].registry["single"].open()
    world.go_on(ALIKE, ())
    hold(not outs(world), "decide alone", outs(world))
    hold(one.registry[NAME].state == "open", "it does not decide alone")
    hold(all(other.registry[NAME].state == "closed" for other in others), "another one has opened")
    hold(all(worker.registry["single"].state == "open" for worker in world.workers), "not in step")
    world.go_on(OPEN_TIME + LEASE, world.workers)
    hold(all(worker.registry[NAME].state == "closed" for worker in world.workers), "stuck")
    check_end(world)


def trip(world: World, worker: Worker) -> None:
    for _ in range(3):
        world.call(worker, NAME)
        world.settle(world.calls.pop(), failed=True)


def is_everywhere(world: World, state: str) -> bool:
    states = {worker.registry[NAME].state for worker in world.workers}
    return states | {world.store.record(NAME).state} == {state}
