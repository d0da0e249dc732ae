"""Worlds with one fault, and their required results."""

from __future__ import annotations

from breaker_asgi._fleet.synchroniser import COMPARE
from tests.stores.simulation.end import check_end
from tests.stores.simulation.events import forget, step
from tests.stores.simulation.terms import ALIKE, EPOCH, OPEN_TIME, hold
from tests.stores.simulation.world import World


def admitted_after_a_prober_has_died(seed: int) -> float:
    """Return the seconds from the death of a probing worker to the next admitted call."""
    world = World(seed, names=("single",), forgets=False, quorum=1, size=3, is_faulty=False)
    world.workers[0].registry["single"].open()
    world.go_on(OPEN_TIME + 1, ())
    victim, *others = world.workers
    while not world.happened["probes"]:
        world.now += 0.01
        world.call(victim, "single")
        victim.step()
    world.now += world.random.uniform(0, 0.5)
    world.bury(victim)
    died, rejected = world.now, world.happened["rejected"]
    while True:
        world.now += 0.05
        for worker in others:
            if world.call(worker, "single"):
                hold(world.happened["rejected"] > rejected, "it was the only probe")
                return world.now - died
            worker.step()
        hold(world.now < died + 60, "no call was admitted")


def with_one_sick_worker(seed: int) -> World:
    """Run a quorum of two, and one worker that cannot reach a healthy dependency."""
    world = World(seed, names=("streak",), forgets=False, quorum=2, size=4, is_faulty=False)
    sick, *others = world.workers
    for _ in range(600):
        world.now += world.random.expovariate(20)
        world.call()
        for call in [call for call in world.calls if call.ends <= world.now]:
            world.calls.remove(call)
            world.settle(call, failed=call.worker is sick)
        step(world)
        world.rules.check()
        world.happened[sick.registry["streak"].state] += 1
        hold(all(worker.registry["streak"].state == "closed" for worker in others), "shop closed")
    hold(world.store.record("streak").generation == 0, "the fleet was changed")
    world.heal()
    check_end(world)
    return world


def after_the_store_has_forgotten(seed: int) -> None:
    """Check that workers restore a lost record, without a longer open time."""
    world = World(seed, names=("streak",), forgets=False, quorum=1, size=3, is_faulty=False)
    world.workers[0].registry["streak"].metrics_only()
    world.go_on(0.5, ())
    world.copies.append(world.store.dump())
    breaker = world.random.choice(world.workers).registry["streak"]
    if forced := world.chance(0.5):
        breaker.force_open(who="anna")
    else:
        breaker.reset()
        breaker.open()
    ends = world.now + OPEN_TIME
    world.go_on(world.random.uniform(0.5, 3), ())
    forget(world)
    world.go_on(COMPARE if forced else 0.5, ())
    record = world.store.record("streak")
    hold(record.state == ("forced_open" if forced else "open"), "not restored", record)
    states = {worker.registry["streak"].state for worker in world.workers}
    hold(states == {record.state}, "the workers are not in step", states, record)
    if not forced:
        until = record.changed / 1000 - EPOCH + (record.lasts or 0)
        hold(abs(until - ends) < 0.5, "it lasts too long", until, ends)


def when_each_worker_sees_a_failure(seed: int) -> None:
    """Check that failures spread over the workers count as those of one."""
    for name in ("streak", "rate", "count"):
        world = World(seed, names=(name,), forgets=False, quorum=1, size=4, is_faulty=False)
        world.go_on(ALIKE, ())
        for worker in world.workers * (2 if name == "count" else 1):
            world.call(worker, name)
            world.settle(world.calls.pop(), failed=True)
        open_at_once = any(worker.registry[name].state != "closed" for worker in world.workers)
        hold(not open_at_once, "opened by one failure")
        world.go_on(ALIKE, ())
        hold(world.store.record(name).state == "open", "failures of all have not opened", name)


def when_a_call_of_each_worker_hangs(seed: int) -> None:
    """Check that calls that hang in all workers open while they run."""
    world = World(seed, names=("slow",), forgets=False, quorum=1, size=4, is_faulty=False)
    world.go_on(ALIKE, ())
    for _ in range(2):
        for worker in world.workers:
            world.call(worker, "slow")
            hold(worker.registry["slow"].state == "closed", "opened by one call")
        world.now += 1.1
    for worker in world.workers * 2:
        worker.step()
        world.rules.check()
    hold(world.store.record("slow").state == "open", "calls that hang have not opened")
    hold(world.happened["overdue"] == len(world.workers), "other calls than the first ones")


def when_two_workers_are_sick(seed: int) -> None:
    """Check that a quorum of two opens for all, in time."""
    world = World(seed, names=("streak",), forgets=False, quorum=2, size=4, is_faulty=False)
    world.go_on(ALIKE, ())
    for worker in world.workers[:2]:
        for _ in range(3):
            world.call(worker, "streak")
            world.settle(world.calls.pop(), failed=True)
    world.go_on(0.5, ())
    hold(world.store.record("streak").state == "open", "a quorum has not opened")
