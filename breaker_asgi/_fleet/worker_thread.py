"""Has a fleet do its work in the background: when there is some, and once a second."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._fleet.fleet import Fleet

_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_MOST_DOUBLINGS = 7


class Pulse(Thread):
    """The thread in which a fleet takes its steps. Nobody else asks the store for anything."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(name="breaker_asgi fleet", daemon=True)
        self._fleet = fleet
        self.has_begun = Event()
        """Set when the store has been asked what is known."""
        self._ends = False
        self._to_tell_all: Event | None = None
        """Set when all is told, if somebody has asked for that."""

    def run(self) -> None:
        """Step, rest, and step again; at the end tell what is left, and let go of the store."""
        fleet = self._fleet
        self._survive(fleet.step)
        self.has_begun.set()
        while not self._ends:
            self._rest()
            asked, self._to_tell_all = self._to_tell_all, None
            if asked is None:
                self._survive(fleet.step)
            else:
                self._survive(fleet.tell_what_is_left)
                asked.set()
        self._survive(fleet.tell_what_is_left)
        with suppress(BaseException):
            fleet.store.close()

    def tell_all(self) -> Event:
        """Have told what is left to tell, soon: the event is set when that has been tried."""
        told = self._to_tell_all = Event()
        self._fleet.wake()
        return told

    def end(self) -> None:
        """Go on no longer than it takes to tell what is left."""
        self._ends = True
        self._fleet.wake()

    def _survive(self, step: Callable[[], None]) -> None:
        """Take a step, and go on even after what ends other threads: a listener may call `exit`."""
        try:
            step()
        except BaseException as error:  # noqa: BLE001
            self._fleet.has_failed(error)

    def _rest(self) -> None:
        """Until there is something to do; after failures for a while, and each time for longer."""
        fleet = self._fleet
        if fleet._failures:
            doublings = min(fleet._failures, _MOST_DOUBLINGS)
            until = fleet.now() + min(_SHORTEST_PAUSE * 2**doublings, _LONGEST_PAUSE)
            while (left := until - fleet.now()) > 0:
                time.sleep(min(left, fleet.seconds_to_report()))
                fleet._take_reports()
        elif self._to_tell_all is None:
            fleet._woken.wait(fleet.seconds_to_report())
