"""The commands of operators, and the rule that the later one holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from breaker_asgi import CircuitBreaker
from tests.stores.simulation.terms import BY_HAND, SAME, SKEW, hold

if TYPE_CHECKING:
    from breaker_asgi.stores.protocol import Change
    from tests.stores.simulation.workers import Worker
    from tests.stores.simulation.world import World


@dataclass
class Command:
    """An operator's change of one breaker in one worker."""

    name: str
    reason: str
    made: float
    is_endless: bool
    """True if its state lasts until the next command."""
    late: float = 0.0
    """The longest round trip that has carried it: by so much it may be taken for a later one."""
    id: str = ""
    """The identity of its change."""


class Commands:
    """The commands of a world in their order, and the workers that have received them.

    The store has received a command once a worker has made its change there, and keeps it through
    automatic changes until it loses the record. A worker has received its own commands, and the
    one that the store has with a record of an answer. A command whose every receiver has died, or
    has lost it, is lost rightfully.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: list[Command] = []
        self._received: dict[str, dict[str, int]] = defaultdict(dict)
        """The number of the last command of each breaker, by worker."""

    def make(self, worker: Worker, breaker: CircuitBreaker) -> None:
        """Record the change that an operator has just made."""
        now = breaker._generation.transition
        endless = now.state in BY_HAND and now.lasts is None
        last = worker.link(breaker.name).commands.last
        identity = "" if last is None else last.id
        command = Command(breaker.name, now.reason, self._world.now, endless, id=identity)
        self._received[worker.name][breaker.name] = len(self._made)
        self._made.append(command)

    def number(self, name: str, change: Change) -> int | None:
        """Return the number of the command that a change makes, or brings along.

        An earlier state may be made again after a later command, of which its worker knows.
        """
        identity = change.command and change.command.id
        for number, command in enumerate(self._made):
            if (command.name, command.id) == (name, identity):
                return number
        return None

    def _number_of(self, name: str, reason: str) -> int | None:
        for number, command in enumerate(self._made):
            if (command.name, command.reason) == (name, reason):
                return number
        return None

    def has_replaced(self, name: str, reason: str) -> bool:
        """Return True if the store has a later command than the one with that reason."""
        mine, stored = self._number_of(name, reason), self._world.store.commands.get(name)
        if mine is None or stored is None or mine == stored:
            return False
        one, other = self._made[mine], self._made[stored]
        return other.made > one.made - self._blur(one, other)

    def check_order(self, before: int, after: int) -> None:
        """Check that no change takes the store from a command to an earlier one.

        By a slow answer a worker takes a command for an earlier one, but never for a later one.
        """
        one, other = self._made[before], self._made[after]
        is_later = other.made > one.made - one.late - self._drift(other)
        hold(is_later, "an earlier command replaces a later one", one, other)

    def _drift(self, earlier: Command) -> float:
        """Return the seconds by which clocks may differ about two commands."""
        return SAME + 2 * SKEW * (self._world.now - earlier.made)

    def _blur(self, earlier: Command, later: Command) -> float:
        """Return the seconds between two commands below which they have no order."""
        return self._drift(earlier) + max(earlier.late, later.late)

    def carry(self, numbers: Mapping[str, int], took: float) -> None:
        """Record the seconds that a round trip with these commands took."""
        for number in numbers.values():
            self._made[number].late = max(self._made[number].late, took)

    def receive(self, worker: Worker, numbers: Mapping[str, int]) -> None:
        """Count the store's commands in an answer as received by its worker."""
        received = self._received[worker.name]
        for name, number in numbers.items():
            if name in worker.registry:
                received[name] = max(number, received.get(name, -1))

    def broken(self, names: Iterable[str]) -> list[object]:
        """Return the breakers in a state that a later command has replaced, and that command.

        The state of the last command holds if it is endless. Commands that were made at about the
        same time have no order.
        """
        breaches: list[object] = []
        for name in names:
            if last := self._last(name):
                record = self._world.store.record(name)
                held = self._number_of(name, record.reason) if record.by_hand else None
                is_replaced = held is not None and held < min(last) and record.state != "closed"
                is_endless = all(self._made[number].is_endless for number in last)
                if is_replaced or (is_endless and held not in last):
                    breaches.append((name, record.state, record.reason, self._made[min(last)]))
        return breaches

    def _last(self, name: str) -> list[int]:
        """Return the last command received, those made about then, and all later ones."""
        received = [self._received[worker.name].get(name) for worker in self._world.workers]
        received.append(self._world.store.commands.get(name))
        last = max((number for number in received if number is not None), default=None)
        if last is None:
            return []
        numbers = [number for number, made in enumerate(self._made) if made.name == name]
        last_ones = [number for number in numbers if number >= last]
        for number in reversed(numbers[: numbers.index(last)]):
            earlier, later = self._made[number], self._made[last_ones[0]]
            if later.made - earlier.made > self._blur(earlier, later):
                break
            last_ones.insert(0, number)
        return last_ones
