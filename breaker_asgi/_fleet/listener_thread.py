"""Waits for the changes of others, so that nobody has to ask for them."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breaker_asgi._fleet.fleet import Fleet

_LONGEST = 1.0
"""Seconds after which it is assumed that something has changed: a push may get lost."""


class Ear(Thread):
    """A thread of its own, as waiting takes all its time."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(name="breaker_asgi fleet, listening", daemon=True)
        self._fleet = fleet
        self._shut = Event()
        self._taken = Event()
        self.has_news = True
        """Whether there may be changes that nobody has begun to look at."""

    def go_on(self) -> None:
        """What it had heard has been looked at."""
        self._taken.set()

    def run(self) -> None:
        """Wait, tell, and go on once it has been heard."""
        while not self._shut.is_set():
            try:
                self._fleet.store.wait(self._fleet.since, _LONGEST)
            except BaseException:  # noqa: BLE001
                self._shut.wait(_LONGEST)  # the fleet finds out by itself
            if self._shut.is_set():
                return
            self._taken.clear()
            self.has_news = True
            self._fleet.wake()
            self._taken.wait(_LONGEST)

    def shut(self) -> None:
        """Wait no more."""
        self._shut.set()
        self._taken.set()
