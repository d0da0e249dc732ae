"""Calls that have been running for too long: they count as slow before they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.rules import due_change
from breaker_asgi._core.state_machine import StateMachine
from breaker_asgi._core.windows import RUNNING, SLOW, CountRecord, Streak

if TYPE_CHECKING:
    from breaker_asgi._core.under_way import Slot, UnderWay
    from breaker_asgi._core.windows import Place, RatedRecord


class OverdueCalls(StateMachine):
    """The part of an engine that counts overdue calls, once each.

    Such a call is in the window from then on, whatever becomes of it. Its end makes it a failure
    as well, or nothing more.
    """

    __slots__ = ()

    def _count_overdue(self, now: float) -> bool:
        """Count the overdue calls, and begin a slot for those that come now.

        Return False if that has changed the state: these have to be admitted again.
        """
        under_way = self._under_way
        with self._lock:  # the slot is of the generation that its calls are admitted in
            generation = self._generation
            record = generation.record
            if under_way is None or isinstance(record, Streak):  # pragma: no cover (it is rated)
                return True
            under_way.begin_slot(now, record)
            for slot in under_way.overdue(now):
                self._count_slot(under_way, slot, record, now)
        if record is not None and (change := due_change(generation.state, self.config, record)):
            self._make(change, generation)
        return generation is self._generation

    def _take_slot(self, now: float) -> Slot | None:
        """Take a slot for a call that begins; None if an overdue one has changed the state."""
        under_way = self._under_way
        if under_way is None or (now >= under_way.edge and not self._count_overdue(now)):
            return None
        slot = under_way.newest
        slot.calls += 1
        return slot

    def _count_slot(
        self, under_way: UnderWay, slot: Slot, record: RatedRecord | None, now: float
    ) -> None:
        """Count the calls of a slot; the lock is held."""
        if slot.record is None:
            return
        place = slot.record.place(now)
        slot.place = place
        calls = slot.calls
        is_current = slot.record is record
        self._count_running(under_way, calls, record if is_current else None, now)
        if not is_current and self._fleet is not None:
            self._fleet.count_late_result(calls, 0, calls)

    def _count_running(
        self, under_way: UnderWay, calls: int, record: RatedRecord | None, now: float
    ) -> None:
        """Count calls as slow that have not ended; in `record`, unless it is another one now."""
        self.slow_calls += calls
        under_way.slow += calls
        under_way.counted += calls
        if record is not None:
            for _ in range(calls):
                record.add(SLOW | RUNNING, now)

    def _count_overdue_probes(self) -> None:
        """Count the overdue probes of a half-open breaker."""
        under_way, generation = self._under_way, self._generation
        probes, record = generation.probes, generation.record
        if under_way is None or probes is None or not isinstance(record, CountRecord):
            return
        with self._lock:
            now = self.config.clock()
            place = record.place(now)
            overdue = probes.count_overdue(now, self.config.slow_after, place)
            self._count_running(under_way, overdue, record, now)
        if change := due_change(generation.state, self.config, record):
            self._make(change, generation)

    def _was_quick(self, started: float | None) -> bool:
        """Return True if the duration of a call that ends is nothing to record."""
        if started is None or self._under_way is None:
            return started is None
        now = self.config.clock()
        return now - started <= self.config.slow_after and now < self._under_way.edge

    def _end_timed(self, now: float, place: Place | None, *, is_counted: bool = True) -> None:
        """Count the calls that are overdue by now, and end a timed one.

        One that is ignored after it was counted as slow has no other outcome.
        """
        under_way = self._under_way
        if under_way is None:
            return
        if now >= under_way.edge:
            self._count_overdue(now)
        if place is not None:
            under_way.end_slow()
            under_way.counted -= is_counted
