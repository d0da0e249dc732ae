"""The connections of the workers to the store: they lose requests and replies, and are slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from breaker_asgi.stores.protocol import Answer, Entry
from tests.stores.simulation.terms import hold

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

    def sync(self, name: str, number: int, cursor: int, batch: Sequence[Entry]) -> Answer:
        """Exchange a batch; it may be lost before or after the store has applied it."""
        world, worker, began = self._world, self._worker, self._world.now
        hold(name == worker.name, "a batch under another name")
        if not world.is_faulty:
            answer = world.sync(worker, began, number, cursor, batch)
            world.commands.receive(worker, self._commands(answer))
            return answer
        linked = {link.name for link in worker.links}
        if world.now < max(world.out_until, worker.cut_until) or world.chance(world.loss):
            raise LostError("the request")
        world.meanwhile(worker)
        answer = world.sync(worker, began, number, cursor, batch)
        answered, commands = world.now, self._commands(answer)
        world.meanwhile(worker)
        world.commands.carry(commands, world.now - began)
        if world.chance(world.loss):
            raise LostError("the reply")
        received = {name: number for name, number in commands.items() if name in linked}
        world.commands.receive(worker, received)  # a breaker that was made meanwhile asks again
        for breaker, reply in answer.replies.items():
            worker.late[breaker, reply.shared.generation] = world.now - answered
        return answer

    def _commands(self, answer: Answer) -> dict[str, int]:
        """Return the store's commands of the breakers in an answer."""
        stored = self._world.store.commands
        return {name: stored[name] for name in answer.replies if name in stored}
