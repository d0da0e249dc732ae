"""The last command of a breaker, as a process knows it, and the identities of changes made here."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from breaker_asgi.stores.protocol import Command

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation


ALIKE = 1.0
"""Seconds by which two ages may differ only because clocks do."""
_REPLACED = 10
"""Commands that are remembered as replaced by later ones."""


class Process(Protocol):
    """The fleet, as far as changes of this process are told apart."""

    @property
    def asked_at(self) -> float: ...

    def now(self) -> float: ...

    def new_id(self) -> str: ...


class _Known(NamedTuple):
    """A command, and when it was given by the fleet's clock."""

    id: str
    at: float


class Commands:
    """The last command that an operator has given, here or in another worker.

    It is kept through all changes that nobody has made by hand: a store may go back to a state from
    before the command.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._last: _Known | None = None
        self.is_overruled = False
        """True if the store has made changes without the last command, and they hold."""
        self._replaced: deque[str] = deque(maxlen=_REPLACED)
        self.unsent: Generation | None = None
        """A command that was given here, and that the store does not have yet."""
        self._made: tuple[Generation | None, str] = None, ""
        """The last change that was made here, and its identity."""

    @property
    def last(self) -> Command | None:
        """The last command that this process knows of."""
        if self._last is None:
            return None
        age = max(0.0, self._process.now() - self._last.at)
        return Command(self._last.id, round(age, 3))

    def id_of(self, generation: Generation) -> str:
        """Return the identity of a change that was made in this process."""
        if generation is self.unsent and self._last is not None:
            return self._last.id
        if self._made[0] is not generation:
            self._made = generation, self._process.new_id()
        return self._made[1]

    def note(self, generation: Generation, age: float) -> None:
        """Note a change that was made in this process, if it is a command."""
        change = generation.transition
        if change.by_hand and not change.remote:
            identity = self.id_of(generation)
            if self._last is None or self._last.id != identity:
                if self._last is not None:
                    self._replaced.append(self._last.id)
                self._last = _Known(identity, self._process.now() - age)
                self.is_overruled, self.unsent = False, generation

    def has_replaced(self, command: Command) -> bool:
        """Return True if the last command was given here, by then with that one known."""
        return command.id in self._replaced

    def _is_last(self, command: Command) -> bool:
        last = self.last
        if last is None or last.id == command.id:
            return last is None
        return command.age < last.age + ALIKE and not self.has_replaced(command)

    def learn(self, command: Command | None) -> None:
        """Learn a command from the store, whose state holds, unless a younger one is known here.

        A slow answer makes none younger: it would be written over later ones.
        """
        if command is not None and self._is_last(command):
            self._last = _Known(command.id, self._process.asked_at - command.age)
            self.unsent = None
        if self.unsent is None and self._last is not None:
            self.is_overruled = command is None or command.id != self._last.id
