"""What a worker has seen of a breaker and not told the store yet."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from breaker_asgi.stores.protocol import Counts, Second, total

_FINE = 60
"""Parts of the time for which calls matter; calls of one part are noted together."""


class Note(NamedTuple):
    """Calls, and when they were noted."""

    at: float
    counts: Counts


class Notes:
    """Calls by the time when they were seen: there are never many, however long the store is out.

    Those that are too old to matter in a window still tell of failures, and are noted together.
    """

    def __init__(self) -> None:
        self._notes: deque[Note] = deque()

    def __bool__(self) -> bool:
        return bool(self._notes)

    def add(self, counts: Counts, now: float, keep: int) -> None:
        """Note calls that matter for so many seconds."""
        notes = self._notes
        if notes and now - notes[-1].at < keep / _FINE:
            last = notes.pop()
            notes.append(Note(last.at, total((last.counts, counts))))
        else:
            notes.append(Note(now, counts))
        while len(notes) > 1 and notes[1].at <= now - keep:
            oldest = notes.popleft()
            notes[0] = Note(notes[0].at, total((oldest.counts, notes[0].counts)))

    def take(self, now: float) -> tuple[Second, ...]:
        """Give all, the newest first, and forget them."""
        notes, self._notes = self._notes, deque()
        return tuple(Second(max(0, int(now - at)), counts) for at, counts in reversed(notes))

    def clear(self) -> None:
        """Forget all."""
        self._notes.clear()
