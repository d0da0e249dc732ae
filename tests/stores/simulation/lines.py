"""The connections of the workers to the store: they lose requests and replies, and are slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from breaker_asgi.stores.protocol import Change, Claim, Shared

if TYPE_CHECKING:
    from tests.stores.simulation.workers import Worker
    from tests.stores.simulation.world import World


class LostError(Exception):
    """A request or a reply was lost."""


class Line:
    """The connection of one worker to the store."""

    label = "simulated"

    def __init__(self, world: World, worker: Worker) -> None:
        self._world = world
        self._worker = worker

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return partial(self._ask, operation)

    def _ask(self, operation: str, *args: Any) -> Any:
        world, worker = self._world, self._worker
        if not world.is_faulty:
            answer = world.do(worker, operation, *args)
            world.commands.fetch(worker, self._commands(args, answer))
            return answer
        if world.now < max(world.out_until, worker.cut_until) or world.chance(world.loss):
            raise LostError("the request")
        began = world.now
        world.meanwhile(worker)
        answer = world.do(worker, operation, *args)
        answered, commands = world.now, self._commands(args, answer)
        world.meanwhile(worker)
        world.commands.carry(commands, world.now - began)
        if world.chance(world.loss):
            raise LostError("the reply")
        world.commands.fetch(worker, commands)
        for name, shared in records_in(args, answer):
            worker.late[name, shared.generation] = world.now - answered
        return answer

    def _commands(self, args: Sequence[Any], answer: Any) -> dict[str, int]:
        """Return the store's commands of the breakers in a reply."""
        stored = self._world.store.commands
        names = [name for name, _ in records_in(args, answer)]
        return {name: stored[name] for name in names if name in stored}


def records_in(args: Sequence[Any], answer: Any) -> Iterable[tuple[str, Shared]]:
    """Return the records in a reply of the store."""
    if isinstance(answer, Mapping):
        return answer.items()
    if isinstance(answer, Claim):
        return [(args[1], answer.shared)]
    if isinstance(answer, Shared):
        return [(args[0].name if isinstance(args[0], Change) else args[0], answer)]
    return ()
