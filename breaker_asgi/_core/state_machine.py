"""The state machine: a breaker's generation, and how the next one begins.

The lock is held for a few assignments, when the state changes and while probes are counted.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from breaker_asgi._core import process, validation
from breaker_asgi._core.counters import Counters
from breaker_asgi._core.errors import RejectionDetails
from breaker_asgi._core.generation import Generation, Transition
from breaker_asgi._core.listeners import (
    NO_LISTENERS,
    Listeners,
    check_listener,
    handles_calls,
    notify,
    remember_event_loop,
)
from breaker_asgi._core.outage import Outage, course_of
from breaker_asgi._core.outages import course_after
from breaker_asgi._core.probes import Probes
from breaker_asgi._core.ramp import Ramp
from breaker_asgi._core.rules import open_time
from breaker_asgi._core.state import (
    CLOSED,
    CLOSING,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
    CircuitBreakerState,
)
from breaker_asgi._core.transition_log import log_change
from breaker_asgi._core.under_way import UnderWay
from breaker_asgi._core.windows import CountRecord, Streak

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.coordinator import Coordinator
    from breaker_asgi._core.windows import WindowRecord

_NEW = Transition(CLOSED, "new")


class _Unannounced:
    """The changes of a breaker that its listeners do not know yet, in one process."""

    __slots__ = ("changes", "is_announcing", "process")

    def __init__(self) -> None:
        self.process = process.process
        self.changes: deque[tuple[Generation, Generation]] = deque()
        self.is_announcing = False


class StateMachine(Counters):
    """The state machine: the current generation and its transitions."""

    __slots__ = (
        "__weakref__",
        "_fast_reject",
        "_fleet",
        "_generation",
        "_listeners",
        "_trip_reason",
        "_unannounced",
        "name",
    )

    name: str

    def _set_up(
        self, config: BreakerConfig, name: str | None, listeners: Iterable[object] | None
    ) -> None:
        self.config = config
        self.name = "unnamed" if name is None else validation.text("name", name)
        self._unannounced: _Unannounced | None = None
        self._trip_reason: str | None = None
        self._start_counters()
        self._fleet: Coordinator | None = None
        self._under_way = UnderWay(config.slow_after) if config.measures_duration else None
        self._generation = Generation(0, _NEW, config.clock(), record=self._new_record())
        self._listen(validation.listed("listeners", listeners, "listeners") if listeners else ())

    def _listen(self, listeners: tuple[object, ...]) -> None:
        for listener in listeners:
            check_listener(listener)
        if listeners:
            remember_event_loop()
        self._listeners = Listeners(listeners) if listeners else NO_LISTENERS
        self._update_fast_paths()

    @property
    def _is_unused(self) -> bool:
        """Return True if the breaker has had neither a call nor a change."""
        totals = (self.successes, self.failures, self.ignored, self.rejected)
        return self._generation.number == 0 and not any(totals)

    def _update_fast_paths(self) -> None:
        """Set the fast paths of guarded functions, on which a call needs no permit.

        `_fast_record` is the record, while a call has to be recorded there and nowhere else.
        `_fast_reject` is the generation, while a rejection only has to raise its details, and to
        notify the listeners that have a method for it.
        """
        with self._lock:
            generation = self._generation
            free = generation.record is not None and generation.probes is None
            free = free and generation.transition.lasts is None and self._to_time <= 0
            shut = generation.terms is not None and self.config.fallback_function is None
            if self._listeners.all:
                free = free and not handles_calls(self._listeners.all)
            self._fast_record = generation.record if free else None
            self._fast_reject = generation if shut else None

    def _new_record(self) -> WindowRecord:
        return self.config.window.record() if self.config.rated else Streak()

    def _change(self, change: Transition, *, expected: Generation | None = None) -> bool:
        """Change the state, unless another thread was first and `expected` has ended."""
        with self._lock:
            before = self._generation
            if expected is not None and before is not expected:
                return False
            self._enter(change, self.config.clock())
        self._announce_changes()
        return True

    def _make(self, change: Transition, generation: Generation) -> bool:
        """Make a change that is due in `generation`. Return True if that opened the breaker."""
        change = self._explained(change)
        return self._change(change, expected=generation) and change.state is OPEN

    def _enter(self, change: Transition, now: float) -> Generation:
        """Begin a generation; the lock is held."""
        before, config, state = self._generation, self.config, change.state
        counts = before.counts(now)
        openings = before.transition.openings
        record: WindowRecord | None = None
        probes: Probes | None = None
        ramp: Ramp | None = None
        terms: RejectionDetails | None = None
        if state is OPEN:
            again = change.by_hand and before.state is OPEN  # no probe has failed in between
            openings = change.openings or openings + (not again)
            self._trip_reason = change.reason
            lasts = change.lasts or open_time(config, openings)
            change = change._replace(lasts=lasts)
            terms = self._terms(state, now, lasts - change.age)
        elif state is HALF_OPEN:
            openings = change.openings or openings
            record = CountRecord(config.half_open_calls, counts.streak)
            probes = Probes(config) if self._fleet is None else self._fleet.probes(config)
        elif state is FORCED_OPEN:
            self._trip_reason = change.reason
        elif state is CLOSING:  # the row goes on if it opens again
            openings = change.openings or openings
            change = change._replace(lasts=config.ramp_time)
            record, ramp = self._new_record(), Ramp(config)
        else:
            openings = 0
            goes_on = before.state is CLOSING and state is CLOSED and not change.by_hand
            record = before.record if goes_on else self._new_record()
            record = None if state is DISABLED else record
        if self._fleet is not None:
            self._fleet.ends(before)
        if before.state is not state:
            self._count((before.state, state))
        number, change = before.number + 1, change._replace(openings=openings)
        change = change._replace(outage=course_after(self, before, change, counts, now))
        self._generation = Generation(
            number,
            change,
            now,
            record=record,
            probes=probes,
            ramp=ramp,
            terms=terms,
            previous_counts=counts,
        )
        self._update_fast_paths()
        if self._under_way is not None:
            self._under_way.end_slot()
        if self._unannounced is None or self._unannounced.process != process.process:
            self._unannounced = _Unannounced()  # the parent of a fork announces those before it
        self._unannounced.changes.append((before, self._generation))
        return self._generation

    def _explained(self, change: Transition) -> Transition:
        """Return a change with the last failure in its reason, if this breaker has recorded one."""
        failed_at, failed_by = self._failed_at, self._failed_by
        if not change.by_failures or failed_at is None or failed_at < self._generation.since:
            return change
        if failed_by is type(None):  # a result that is_failure has judged, say
            return change
        what = failed_by if isinstance(failed_by, str) else failed_by.__name__
        return change._replace(reason=f"{change.reason}: {what}")

    def _follow(
        self, change: Transition, expected: Generation, outage: Outage | None = None
    ) -> Generation | None:
        """Follow a change of another worker, unless an operator has changed `expected` here.

        `outage` is the store's, as for `_adopt_outage`; without it, it is derived.
        """
        with self._lock:
            before, now = self._generation, self.config.clock()
            if before is not expected and before.transition.by_hand:
                return None
            if outage is not None:
                course = course_of(outage, before.transition.outage, now, self.rejected)
                change = change._replace(outage=course)
            after = self._enter(change, now)
        self._announce_changes()
        return after

    def _adopt_outage(self, outage: Outage, expected: Generation) -> bool:
        """Take over the store's outage, unless the breaker has left `expected`.

        Calls that this worker rejects from now on are added to its sum.
        """
        with self._lock:
            generation = self._generation
            if generation is not expected:
                return False
            last = generation.transition.outage
            course = course_of(outage, last, self.config.clock(), self.rejected)
            generation.transition = generation.transition._replace(outage=course)
        return True

    def _latest_outage(self) -> Outage | None:
        """Return the outage that goes on, or the last one that has ended."""
        course = self._generation.transition.outage
        return course and course.as_outage(self.config.clock(), self.rejected)

    def _terms(self, state: CircuitBreakerState, now: float, wait: float) -> RejectionDetails:
        reason = self._trip_reason or self._generation.reason
        return RejectionDetails(self.name, state, reason, now + wait, time.time() + wait)

    def _announce_changes(self) -> None:
        """Log changes and notify listeners, in the order of their generations.

        One thread does so at a time. A change that a listener makes, or another thread meanwhile,
        follows those before it.
        """
        while True:
            with self._lock:
                queue = self._unannounced
                if queue is None or queue.is_announcing or not queue.changes:
                    return
                if queue.process != process.process:
                    return
                queue.is_announcing = True
                before, after = queue.changes.popleft()
            try:
                self._announce_change(before, after)
            finally:
                queue.is_announcing = False

    def _announce_change(self, before: Generation, after: Generation) -> None:
        if self._fleet is None:
            log_change(self.name, self.config, before, after)
        else:
            self._fleet.changed_state(before, after)
        self._notify("_changed", before, after)
        if before.state is not after.state:
            self._notify("state_change", before.state, after.state)

    def _notify(self, event: str, *args: object) -> None:
        if self._listeners.all:
            notify(self._listeners.all, event, self, *args)
