"""What may happen in a world, and what may go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.stores.simulation.world import World


def possible(world: World) -> Iterator[tuple[int, Callable[[World], Any]]]:
    """What may happen now, with its weight."""
    yield 35, call
    yield 30, end_calls
    yield 40, step
    if world.is_faulty:
        yield 2, turn
        yield 1, turn_one
        yield 1, kill
        yield 1, pause
        yield 1, cut
        yield 2, cancel
        yield 1, by_hand
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


def turn(world: World) -> None:
    world.sick ^= {world.random.choice(world.names)}
    world.note(f"sick: {sorted(world.sick)}")


def turn_one(world: World) -> None:
    if (worker := world.some_worker()) is not None:
        worker.is_sick = not worker.is_sick


def kill(world: World) -> None:
    """Anyone, or one that probes just now."""
    probers = [each.worker for each in world.calls if each.episode]
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
    running = [each for each in world.calls if each.worker.runs]
    if running:
        call = world.random.choice(running)
        world.calls.remove(call)
        call.permit.ignore()
        world.note(f"{call.worker.name} cancels {call.breaker.name}")


def go_out(world: World) -> None:
    world.out_until = world.now + world.random.expovariate(0.2)
    world.note(f"the store is out until {world.out_until:.1f}")


def forget(world: World) -> None:
    world.incarnation += 1
    world.forgot_at = world.now
    if world.chance(0.4):
        world.note("the store is flushed")
        world.store.flush()
    else:
        world.note("the store is put back")
        world.store.load(world.copy)


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
    why = f"number {world.happened['by_hand']}"  # so that each is told from the others
    ways: list[Callable[[], None]] = [
        breaker.reset,
        breaker.close,
        breaker.half_open,
        partial(breaker.open, world.random.choice((None, 3))),
        partial(breaker.force_open, for_=world.random.choice((None, 3)), who="anna", why=why),
        partial(breaker.disable, for_=3, who="bert", why=why),
        partial(breaker.metrics_only, for_=world.random.choice((None, 3)), why=why),
    ]
    world.random.choice(ways)()
    worker.by_hand[breaker.name] = breaker._generation
    world.note(f"{worker.name} by hand: {breaker!r}")
