"""Events and faults of a world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.stores.simulation.counting import Counting

if TYPE_CHECKING:
    from tests.stores.simulation.world import World


def possible(world: World) -> Iterator[tuple[int, Callable[[World], Any]]]:
    """Yield the events that are possible now, with their weights."""
    yield 35, call
    yield 30, end_calls
    yield 40, step
    if world.is_faulty:
        yield 2, toggle_dependency
        yield 1, toggle_worker
        yield 1, kill
        yield 1, pause
        yield 1, cut
        yield 2, cancel
        yield 3 if world.faults.snapshots else 1, by_hand
        if world.faults.slow:
            yield 1, slow_down
        if world.forgets and world.faults.snapshots:
            yield 1, go_back
        if world.forgets and world.faults.unreadable:
            yield 1, spoil
        if world.chance(0.2):
            yield 1, restart_all
            yield 1, go_out
            if world.forgets:
                yield 2, forget
                yield 1, forget_one


def call(world: World) -> None:
    world.call()


def end_calls(world: World) -> None:
    world.end_calls()


def step(world: World) -> None:
    if (worker := world.some_worker()) is not None:
        worker.step()


def toggle_dependency(world: World) -> None:
    world.failing ^= {world.random.choice(world.names)}
    world.note(f"failing: {sorted(world.failing)}")


def toggle_worker(world: World) -> None:
    if (worker := world.some_worker()) is not None:
        worker.is_failing = not worker.is_failing


def kill(world: World) -> None:
    """Kill a random worker, preferably one that probes just now."""
    probers = [call.worker for call in world.calls if call.episode]
    if world.workers:
        world.bury(world.random.choice(probers or world.workers))
    world.add()


def restart_all(world: World) -> None:
    for worker in list(world.workers):
        world.bury(worker)
    for _ in range(world.size or 0):
        world.add()


def pause(world: World) -> None:
    if (worker := world.some_worker()) is not None:
        worker.paused_until = world.now + world.random.expovariate(0.2)
        world.note(f"{worker.name} pauses until {worker.paused_until:.1f}")


def cut(world: World) -> None:
    if (worker := world.some_worker()) is not None:
        worker.cut_until = world.now + world.random.expovariate(0.2)
        world.note(f"{worker.name} is cut off until {worker.cut_until:.1f}")


def cancel(world: World) -> None:
    running = [call for call in world.calls if call.worker.runs]
    if running:
        call = world.random.choice(running)
        counting = Counting(world, call.worker, call.breaker)
        world.calls.remove(call)
        call.permit.ignore()
        counting.cancelled()
        world.note(f"{call.worker.name} cancels {call.breaker.name}")


def go_out(world: World) -> None:
    world.out_until = world.now + world.random.expovariate(0.2)
    world.note(f"the store is out until {world.out_until:.1f}")


def slow_down(world: World) -> None:
    world.slow_until = world.now + world.random.expovariate(0.5)
    world.note(f"the store is slow until {world.slow_until:.1f}")


def go_back(world: World) -> None:
    number = world.random.randrange(len(world.copies))
    world.note(f"the store goes back to its state {number} of {len(world.copies)}")
    world.go_back(world.copies[number])


def spoil(world: World, name: str | None = None) -> None:
    world.incarnation += 1
    world.forgot_at = world.now
    name, is_newer = name or world.random.choice(world.names), world.chance(0.5)
    is_noticed = world.chance(0.7)
    world.note(f"the record of {name} is {'of a newer version' if is_newer else 'malformed'}")
    world.store.spoil(name, is_newer=is_newer, is_noticed=is_noticed)


def forget(world: World) -> None:
    world.incarnation += 1
    world.forgot_at = world.now
    if world.chance(0.4):
        world.note("the store is flushed")
        world.store.flush()
    else:
        world.note("the store is put back")
        world.store.load(world.copies[-1])


def forget_one(world: World) -> None:
    world.incarnation += 1
    world.forgot_at = world.now
    name = world.random.choice(world.names)
    world.note(f"the store has dropped {name}")
    world.store.evict(name)


def by_hand(world: World) -> None:
    if (worker := world.some_worker()) is None:
        return
    breaker = worker.registry.get(world.random.choice(world.names))
    why = f"number {world.happened['by_hand']}"  # so that the changes differ
    ways: list[Callable[[], None]] = [
        partial(breaker.reset, why=why),
        partial(breaker.close, why=why),
        partial(breaker.half_open, why=why),
        partial(breaker.open, world.random.choice((None, 3)), why=why),
        partial(breaker.force_open, for_=world.random.choice((None, 3)), who="anna", why=why),
        partial(breaker.disable, for_=3, who="bert", why=why),
        partial(breaker.metrics_only, for_=world.random.choice((None, 3)), why=why),
    ]
    world.random.choice(ways)()
    worker.by_hand[breaker.name] = breaker._generation
    world.commands.make(worker, breaker)
    world.note(f"{worker.name} by hand: {breaker!r}")
