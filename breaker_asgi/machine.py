"""The state machine: a breaker's generation, and how the next one begins.

The lock is held for a few assignments, when the state changes and while probes are counted.
"""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING

from breaker_asgi import checks
from breaker_asgi.errors import Terms
from breaker_asgi.events import hears, hears_calls, notice_the_event_loop, notify
from breaker_asgi.generation import Generation, Probes, Transition, open_time
from breaker_asgi.log import log_change
from breaker_asgi.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, OPEN, CircuitBreakerState
from breaker_asgi.tally import Tally
from breaker_asgi.window import CountRecord, Streak, figures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.config import BreakerConfig
    from breaker_asgi.stores.member import Member
    from breaker_asgi.window import Record

_NEW = Transition(CLOSED, "new")


class StateMachine(Tally):
    """A breaker that no call asks."""

    __slots__ = (
        "__weakref__",
        "_calm",
        "_fleet",
        "_generation",
        "_listeners",
        "_listeners_to_failures",
        "_listeners_to_rejections",
        "_openings",
        "_shut",
        "_shut_aloud",
        "_trip_reason",
        "name",
    )

    name: str

    def _set_up(
        self, config: BreakerConfig, name: str | None, listeners: Iterable[object] | None
    ) -> None:
        self.config = config
        self.name = "unnamed" if name is None else checks.text("name", name)
        self._lock = RLock()  # not Lock: a collected generator may settle its probe at any line
        self._openings = 0
        self._trip_reason: str | None = None
        self._start_tally()
        self._fleet: Member | None = None
        self._generation = Generation(0, _NEW, config.clock(), record=self._new_record())
        self._listen(checks.several("listeners", listeners, "listeners") if listeners else ())

    def _listen(self, listeners: tuple[object, ...]) -> None:
        if listeners:
            notice_the_event_loop()
        self._listeners = listeners
        self._listeners_to_failures = tuple(each for each in listeners if hears(each, "failure"))
        self._listeners_to_rejections = tuple(each for each in listeners if hears(each, "rejected"))
        self._find_shortcut()

    def _find_shortcut(self) -> None:
        """Set what guarded functions look at first: most calls then need no permit.

        `_calm` is the record, while nothing but the record has to know of a call; `_shut` the
        generation, while all that a rejection takes is to raise its terms; `_shut_aloud` the same
        in its stead, where somebody has to be told.
        """
        with self._lock:
            generation = self._generation
            free = generation.record is not None and generation.probes is None
            free = free and generation.transition.lasts is None and self._to_time <= 0
            shut = generation.terms is not None and self.config.answer is None
            if self._listeners:
                free = free and not hears_calls(self._listeners)
            aloud = bool(self._listeners_to_rejections)
            self._calm = generation.record if free else None
            self._shut = generation if shut and not aloud else None
            self._shut_aloud = generation if shut and aloud else None

    def _new_record(self) -> Record:
        return self.config.window.record() if self.config.rated else Streak()

    def _change(self, change: Transition, *, expected: Generation | None = None) -> bool:
        """Change the state, unless `expected` is no longer the generation: somebody else has."""
        with self._lock:
            before = self._generation
            if expected is not None and before is not expected:
                return False
            after = self._enter(change, self.config.clock())
        self._announce_change(before, after)
        return True

    def _enter(self, change: Transition, now: float) -> Generation:
        """Begin a generation; the lock is held."""
        before, config, state = self._generation, self.config, change.state
        seen = before.seen if before.record is None else figures(before.record, now)
        record: Record | None = None
        probes: Probes | None = None
        terms: Terms | None = None
        if state is OPEN:
            self._openings = change.openings or self._openings + 1
            self._trip_reason = change.reason
            lasts = change.lasts or open_time(config, self._openings)
            change = change._replace(lasts=lasts, openings=self._openings)
            terms = self._terms(state, now, lasts - change.age)
        elif state is HALF_OPEN:
            self._openings = change.openings or self._openings
            record = CountRecord(config.half_open_calls, seen.streak)
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
            number, change, now, record=record, probes=probes, terms=terms, seen=seen
        )
        self._find_shortcut()
        return self._generation

    def _follow(self, change: Transition, known: Generation) -> Generation | None:
        """Make a change that was made elsewhere, unless a person has made one since `known`."""
        with self._lock:
            before = self._generation
            if before is not known and before.transition.by_hand:
                return None
            after = self._enter(change, self.config.clock())
        self._announce_change(before, after)
        return after

    def _terms(self, state: CircuitBreakerState, now: float, wait: float) -> Terms:
        reason = self._trip_reason or self._generation.reason
        return Terms(self.name, state, reason, now + wait, time.time() + wait)

    def _announce_change(self, before: Generation, after: Generation) -> None:
        if self._fleet is None:
            log_change(self, before, after)
        else:
            self._fleet.changed_state(before, after)
        # Last: a listener may change the state again. To stay in a state is no change to listeners.
        event = "state_change" if before.state is not after.state else "_stays"
        self._notify(event, before.state, after.state)

    def _notify(self, event: str, *args: object) -> None:
        if self._listeners:
            notify(self._listeners, event, self, *args)
