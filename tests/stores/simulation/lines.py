"""The lines between the workers and the store: they lose what is said, and take their time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from breaker_asgi.stores.protocol import Change, Claim, Shared

if TYPE_CHECKING:
    from tests.stores.simulation.workers import Worker
    from tests.stores.simulation.world import World


class LostError(Exception):
    """The line has lost a question or an answer."""


class Line:
    """A store as one worker reaches it."""

    label = "simulated"

    def __init__(self, world: World, worker: Worker) -> None:
        self._world = world
        self._worker = worker

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return partial(self._ask, operation)

    def _ask(self, operation: str, *args: Any) -> Any:
        world, worker = self._world, self._worker
        if not world.is_faulty:
            return world.do(worker, operation, *args)
        if world.now < max(world.out_until, worker.cut_until) or world.chance(world.loss):
            raise LostError("the question")
        world.meanwhile(worker)
        answer = world.do(worker, operation, *args)
        answered = world.now
        world.meanwhile(worker)
        if world.chance(world.loss):
            raise LostError("the answer")
        for name, shared in known_by(args, answer):
            worker.late[name, shared.generation] = world.now - answered
        return answer


def known_by(args: Sequence[Any], answer: Any) -> Iterable[tuple[str, Shared]]:
    """What a worker knows by the store's answer to a command."""
    if isinstance(answer, Mapping):
        return answer.items()
    if isinstance(answer, Claim):
        return [(args[1], answer.shared)]
    if isinstance(answer, Shared):
        return [(args[0].name if isinstance(args[0], Change) else args[0], answer)]
    return ()
