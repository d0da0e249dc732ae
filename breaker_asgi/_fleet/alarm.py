"""Wakes a thread."""

from __future__ import annotations

from queue import Empty, SimpleQueue


class Alarm:
    """As `threading.Event`, but it can be set at any line, also while the same thread sets it.

    A collected generator may do so: it gives its probe back.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Wake whoever waits, or the next one who does."""
        if not self.is_set():
            self._queue.put(None)

    def is_set(self) -> bool:
        """Whether nobody would wait."""
        return not self._queue.empty()

    def clear(self) -> None:
        """Who waits from here on is not woken by what was before."""
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            pass

    def wait(self, seconds: float) -> None:
        """Until it is set, for so long at most. It stays set."""
        try:
            self._queue.get(timeout=seconds)
        except Empty:
            return
        self.set()
