"""Timed calls that are under way: one that runs for too long counts as slow while it runs.

A wheel of slots, each of the calls that began within a moment. It is turned by
admissions and settlements, and needs neither a timer nor a thread: while nobody calls, there is
nobody to protect. A call costs two additions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from breaker_asgi._core import process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi._core.windows import Place, RatedRecord

_WIDTH: Final = 0.1
"""Seconds of one slot; a hundredth of a `slow_call_duration` below ten seconds."""


class Slot:
    """Calls that began at about the same time, under the same record."""

    __slots__ = ("began", "calls", "next", "place", "record")

    def __init__(self, began: float, record: RatedRecord | None) -> None:
        self.began = began
        self.record = record
        self.calls = 0
        self.place: Place | None = None
        """The place in the window where its calls are counted as slow; None until they are."""
        self.next: Slot | None = None

    def leave(self) -> Place | None:
        """End a call. Return its place in the window, if it counts as slow already."""
        self.calls -= 1
        return self.place


class UnderWay:
    """The calls of a breaker that are under way, by the time when they began.

    A call takes `newest`, and has its slot one call less when it ends. Before `edge` that is the
    right one.
    """

    __slots__ = (
        "_oldest",
        "_process",
        "_slow_after",
        "_width",
        "counted",
        "edge",
        "newest",
        "slow",
    )

    def __init__(self, slow_after: float) -> None:
        self._slow_after = slow_after
        self._width = min(_WIDTH, slow_after / 100)
        self.counted = 0
        """Calls that were counted as slow, and have no other outcome so far."""
        self._start()

    def _start(self) -> None:
        self._process = process.process
        self._oldest = self.newest = Slot(-math.inf, None)
        self.edge = -math.inf
        self.slow = 0
        """Calls under way that were counted as slow."""

    def begin_slot(self, now: float, record: RatedRecord | None) -> None:
        """Let the calls from now on have a slot of their own."""
        if self._process != process.process:
            self._start()  # the calls of the parent of a fork end there
        self.newest.next = slot = Slot(now, record)
        self.newest = slot
        self.edge = now + self._width

    def end_slot(self) -> None:
        """Let the next call begin a slot: the record is another one now."""
        self.edge = -math.inf

    def overdue(self, now: float) -> Iterator[Slot]:
        """Take slots out whose calls have been running for too long, and empty ones before them."""
        slot = self._oldest
        while slot.next is not None and (not slot.calls or self._is_overdue(slot, now)):
            self._oldest = slot.next
            if slot.calls:
                yield slot
            slot = slot.next

    def _is_overdue(self, slot: Slot, now: float) -> bool:
        return now - slot.began > self._slow_after + self._width

    def end_slow(self) -> None:
        """End a call that was counted as slow; in a child process it may be one of the parent."""
        self.slow -= self.slow > 0

    def counts(self, now: float) -> tuple[int, int]:
        """Return the calls under way, and those of them that are slow by now."""
        if self._process != process.process:
            return 0, 0
        calls = slow = self.slow
        slot: Slot | None = self._oldest
        while slot is not None:
            calls += slot.calls
            slow += slot.calls if self._is_overdue(slot, now) else 0
            slot = slot.next
        return calls, slow
