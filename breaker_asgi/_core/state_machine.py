"""The state machine: a breaker's generation, and how the next one begins.

The lock is held for a few assignments, when the state changes and while probes are counted.
"""

from __future__ import annotations

import time
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING

from breaker_asgi._core import process, validation
from breaker_asgi._core.counters import Tally
from breaker_asgi._core.errors import RejectionDetails
from breaker_asgi._core.generation import Generation, Transition
from breaker_asgi._core.listeners import (
    check_listener,
    hears,
    hears_calls,
    notice_the_event_loop,
    notify,
)
from breaker_asgi._core.probes import Probes
from breaker_asgi._core.rules import open_time
from breaker_asgi._core.state import (
    CLOSED,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
    CircuitBreakerState,
)
from breaker_asgi._core.transition_log import log_change
from breaker_asgi._core.windows import CountRecord, Streak, figures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.coordinator import Coordinator
    from breaker_asgi._core.windows import Record

_NEW = Transition(CLOSED, "new")


class StateMachine(Tally):
    """A breaker that no call asks."""

    __slots__ = (
        "__weakref__",
        "_fast_record",
        "_fast_reject",
        "_fast_reject_notify",
        "_fleet",
        "_generation",
        "_listeners",
        "_listeners_to_failures",
        "_listeners_to_rejections",
        "_openings",
        "_tells",
        "_trip_reason",
        "_untold",
        "name",
    )

    name: str

    def _set_up(
        self, config: BreakerConfig, name: str | None, listeners: Iterable[object] | None
    ) -> None:
        self.config = config
        self.name = "unnamed" if name is None else validation.text("name", name)
        self._renew_lock()
        self._openings = 0
        self._trip_reason: str | None = None
        self._start_tally()
        self._fleet: Coordinator | None = None
        self._generation = Generation(0, _NEW, config.clock(), record=self._new_record())
        self._listen(validation.listed("listeners", listeners, "listeners") if listeners else ())

    @property
    def _lock(self) -> RLock:
        """The breaker's lock; a new one after a fork, as another thread may have held the old."""
        if self._process != process.process:
            self._renew_lock()
        return self._own_lock

    def _renew_lock(self) -> None:
        self._own_lock = RLock()  # not Lock: a collected generator may settle its probe anywhere
        self._process = process.process
        self._untold: deque[tuple[Generation, Generation]] | None = None
        self._tells = False

    def _listen(self, listeners: tuple[object, ...]) -> None:
        for listener in listeners:
            check_listener(listener)
        if listeners:
            notice_the_event_loop()
        self._listeners = listeners
        self._listeners_to_failures = tuple(item for item in listeners if hears(item, "failure"))
        self._listeners_to_rejections = tuple(item for item in listeners if hears(item, "rejected"))
        self._update_fast_paths()

    @property
    def _is_unused(self) -> bool:
        """Return True if the breaker has had neither a call nor a change."""
        totals = (self.successes, self.failures, self.ignored, self.rejected)
        return self._generation.number == 0 and not any(totals)

    def _update_fast_paths(self) -> None:
        """Set the fast paths of guarded functions, on which a call needs no permit.

        `_fast_record` is the record, while a call has to be recorded there and nowhere else.
        `_fast_reject` is the generation, while a rejection only has to raise its details;
        `_fast_reject_notify` stands in its stead where listeners hear of rejections.
        """
        with self._lock:
            generation = self._generation
            free = generation.record is not None and generation.probes is None
            free = free and generation.transition.lasts is None and self._to_time <= 0
            shut = generation.terms is not None and self.config.answer is None
            if self._listeners:
                free = free and not hears_calls(self._listeners)
            aloud = bool(self._listeners_to_rejections)
            self._fast_record = generation.record if free else None
            self._fast_reject = generation if shut and not aloud else None
            self._fast_reject_notify = generation if shut and aloud else None

    def _new_record(self) -> Record:
        return self.config.window.record() if self.config.rated else Streak()

    def _change(self, change: Transition, *, expected: Generation | None = None) -> bool:
        """Change the state, unless `expected` is no longer the generation: somebody else has."""
        with self._lock:
            before = self._generation
            if expected is not None and before is not expected:
                return False
            self._enter(change, self.config.clock())
        self._announce_changes()
        return True

    def _enter(self, change: Transition, now: float) -> Generation:
        """Begin a generation; the lock is held."""
        before, config, state = self._generation, self.config, change.state
        counts = before.previous_counts
        if before.record is not None:
            counts = figures(before.record, now)
        record: Record | None = None
        probes: Probes | None = None
        terms: RejectionDetails | None = None
        if state is OPEN:
            again = change.by_hand and before.state is OPEN  # no probe has failed in between
            self._openings = change.openings or self._openings + (not again)
            self._trip_reason = change.reason
            lasts = change.lasts or open_time(config, self._openings)
            change = change._replace(lasts=lasts, openings=self._openings)
            terms = self._terms(state, now, lasts - change.age)
        elif state is HALF_OPEN:
            self._openings = change.openings or self._openings
            record = CountRecord(config.half_open_calls, counts.streak)
            probes = Probes(config) if self._fleet is None else self._fleet.probes(config)
        elif state is FORCED_OPEN:
            self._trip_reason = change.reason
        else:
            self._openings = 0
            record = None if state is DISABLED else self._new_record()
        if self._fleet is not None:
            self._fleet.ends(before)
        if before.state is not state:
            self._count((before.state, state))
        number = before.number + 1
        self._generation = Generation(
            number, change, now, record=record, probes=probes, terms=terms, previous_counts=counts
        )
        self._update_fast_paths()
        if self._untold is None:
            self._untold = deque()
        self._untold.append((before, self._generation))
        return self._generation

    def _explained(self, change: Transition) -> Transition:
        """Return a change with what has failed in its reason, if this breaker has seen it fail."""
        failed_at, failed_by = self._failed_at, self._failed_by
        if not change.by_failures or failed_at is None or failed_at < self._generation.since:
            return change
        if failed_by is type(None):  # a result that is_failure has judged, say
            return change
        what = failed_by if isinstance(failed_by, str) else failed_by.__name__
        return change._replace(reason=f"{change.reason}: {what}")

    def _follow(self, change: Transition, expected: Generation) -> Generation | None:
        """Follow a change of another worker, unless an operator has changed `expected` here."""
        with self._lock:
            before = self._generation
            if before is not expected and before.transition.by_hand:
                return None
            after = self._enter(change, self.config.clock())
        self._announce_changes()
        return after

    def _terms(self, state: CircuitBreakerState, now: float, wait: float) -> RejectionDetails:
        reason = self._trip_reason or self._generation.reason
        return RejectionDetails(self.name, state, reason, now + wait, time.time() + wait)

    def _announce_changes(self) -> None:
        """Log changes and tell listeners of them, in the order of their generations.

        One thread does so at a time. A change that a listener makes, or another thread meanwhile,
        is told after those before it.
        """
        while True:
            with self._lock:
                if self._tells or not self._untold:
                    return
                self._tells = True
                before, after = self._untold.popleft()
            try:
                self._announce_change(before, after)
            finally:
                self._tells = False

    def _announce_change(self, before: Generation, after: Generation) -> None:
        if self._fleet is None:
            log_change(self.name, self.config, before, after)
        else:
            self._fleet.changed_state(before, after)
        self._notify("_changed", before, after)
        if before.state is not after.state:
            self._notify("state_change", before.state, after.state)

    def _notify(self, event: str, *args: object) -> None:
        if self._listeners:
            notify(self._listeners, event, self, *args)
