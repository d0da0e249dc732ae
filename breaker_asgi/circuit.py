"""The state machine: it admits calls, learns how they went, and changes its state.

Nothing here does I/O or waits. A succeeding call of a closed breaker takes no lock; the lock is
held for a few assignments, when the state changes and while probes are counted.
"""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING

from breaker_asgi import checks
from breaker_asgi.errors import CircuitBreakerError, Terms
from breaker_asgi.events import hears, hears_calls, hears_rejections, notify
from breaker_asgi.generation import Generation, Probes, Transition, due_change, open_time
from breaker_asgi.log import log_change
from breaker_asgi.outcome import (
    FAILURE,
    SUCCESS,
    Outcome,
    outcome_of_exception,
    outcome_of_result,
)
from breaker_asgi.permit import Permit, is_inside_of_a_probe
from breaker_asgi.state import (
    CLOSED,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
    CircuitBreakerState,
)
from breaker_asgi.tally import Tally, text_of
from breaker_asgi.window import FAILED, OK, SLOW, CountRecord, Streak, TimeRecord, figures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.config import BreakerConfig
    from breaker_asgi.stores.member import Member
    from breaker_asgi.window import Record

RETRY_WHILE_PROBING = 1.0
"""Seconds after which a caller may ask again while probes are under way."""
_NEW = Transition(CLOSED, "new")


class Circuit(Tally):
    """A breaker without the ways to use it."""

    __slots__ = (
        "__weakref__",
        "_calm",
        "_fleet",
        "_generation",
        "_listeners",
        "_listeners_to_failures",
        "_openings",
        "_shut",
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
        self._listeners = listeners
        self._listeners_to_failures = tuple(each for each in listeners if hears(each, "failure"))
        self._find_shortcut()

    def _find_shortcut(self) -> None:
        """Set what guarded functions look at first: most calls then need no permit.

        `_calm` is the record, while nothing but the record has to know of a call; `_shut` the
        generation, while all that a rejection takes is to raise its terms.
        """
        with self._lock:
            generation = self._generation
            free = generation.record is not None and generation.probes is None
            free = free and generation.transition.lasts is None and self._to_time <= 0
            shut = generation.terms is not None and self.config.answer is None
            if self._listeners:
                free = free and not hears_calls(self._listeners)
                shut = shut and not hears_rejections(self._listeners)
            self._calm = generation.record if free else None
            self._shut = generation if shut else None

    def _new_record(self) -> Record:
        return self.config.window.record() if self.config.rated else Streak()

    # Admission

    def _admit(self) -> Permit:
        """A permit for one call. Raises `CircuitBreakerError` if there is none."""
        generation, config = self._generation, self.config
        state = generation.state
        if state is HALF_OPEN:
            return self._admit_probe()
        lasts = generation.transition.lasts
        if lasts is not None and generation.has_ended(config.clock()):
            if state is OPEN:
                return self._admit_probe()
            self._change(Transition(CLOSED, "the time set by hand is over"), expected=generation)
            return self._admit()
        if state is OPEN or state is FORCED_OPEN:
            now = config.clock()
            wait = config.timeout if lasts is None else generation.until - now
            raise self._rejection(generation.terms or self._terms(state, now, wait), now)
        if state is DISABLED:
            return Permit(self, generation, settled=True)
        timed = config.times or self._is_picked()
        return Permit(self, generation, config.clock() if timed else None)

    def _turn_away(self) -> float | None:
        """Reject a call, where that takes no more than to tell it how many seconds to wait."""
        shut = self._shut
        if shut is not None:
            now = self.config.clock()
            if shut.since <= now <= shut.until:
                self.rejected += 1
                return shut.until - now
        return None

    def _admit_probe(self) -> Permit:
        """A half-open breaker's answer; an open one whose time has passed is half-open now."""
        generation = self._generation
        if is_inside_of_a_probe(self, generation):
            return Permit(self, generation, settled=True)
        if self._fleet is not None and self._fleet.lacks_a_probe():
            self._fleet.wait()
        with self._lock:
            generation = before = self._generation
            now = self.config.clock()
            if before.state is OPEN and before.has_ended(now):
                generation = self._enter(Transition(HALF_OPEN, "the open time has passed"), now)
            probes = generation.probes
            permit = Permit(self, generation)
            lent = probes is not None and probes.lend(permit, now)
            if lent and (self.config.times or self._is_picked()):
                permit._started = now
            wait = 0.0 if probes is None else min(RETRY_WHILE_PROBING, probes.next_due(now))
        if generation is not before:
            self._announce_change(before, generation)
        if lent:
            return permit
        if probes is None:  # another thread was quicker, and its probe has settled
            return self._admit()
        raise self._rejection(self._terms(HALF_OPEN, now, wait), now)

    def _terms(self, state: CircuitBreakerState, now: float, wait: float) -> Terms:
        reason = self._trip_reason or self._generation.reason
        return Terms(self.name, state, reason, now + wait, time.time() + wait)

    def _rejection(self, terms: Terms, now: float) -> CircuitBreakerError:
        self.rejected += 1
        error = CircuitBreakerError(terms, now)
        self._notify("rejected", error)
        return error

    # Settling

    def outcome_of(self, exception: BaseException) -> Outcome:
        """What an exception says of the dependency, by `exclude` and `ignore`."""
        return outcome_of_exception(self.config, exception)

    def outcome_of_result(self, result: object) -> Outcome:
        """What a result says of the dependency, by `is_failure`."""
        return outcome_of_result(self.config, result)

    def _settle(
        self,
        record: Record | None,
        outcome: Outcome,
        exception: BaseException | None = None,
        started: float | None = None,
    ) -> bool:
        """Learn how a call went that was made under `record`. True if that opened the breaker."""
        if outcome is FAILURE:
            return self._fail(record, exception, started)
        if outcome is SUCCESS:
            return self._succeed(record, exception, started)
        self.ignored += 1
        self._notify("ignored", exception)
        return False

    def _fail(
        self, record: Record | None, exception: BaseException | None, started: float | None
    ) -> bool:
        config = self.config
        self._failed_at = now = config.clock()
        self._failed_by = exception.__class__
        if config.keep_messages:
            self._failed_saying = text_of(exception)
        self.failures += 1
        generation = self._generation
        current = record if record is generation.record else None
        slow = started is not None and self._took(now - started)
        if current is not None:
            current.add(FAILED | SLOW if slow else FAILED, now)
        elif self._fleet is not None:
            self._fleet.came_late(failures=1, slow_calls=slow)
        if self._listeners_to_failures:
            notify(self._listeners_to_failures, "failure", self, exception)
        if current is None:
            return False
        if not config.rated and generation.state is CLOSED:
            limit = config.streak_limit
            if limit is not None and current.streak < limit:
                return False
        change = due_change(generation.state, config, current)
        return change is not None and self._make(change, generation)

    def _succeed(
        self, record: Record | None, exception: BaseException | None, started: float | None
    ) -> bool:
        config = self.config
        now = config.clock()
        self.successes += 1
        if exception is not None:
            self.excluded += 1
        generation = self._generation
        current = record if record is generation.record else None
        slow = started is not None and self._took(now - started)
        if current is not None:
            current.add(SLOW if slow else OK, now)
        elif self._fleet is not None:
            self._fleet.came_late(failures=0, slow_calls=slow)
        if self._calm is None:
            self._notify("success")
        if current is None:
            return False
        change = due_change(generation.state, config, current)
        return change is not None and self._make(change, generation)

    def _go_well(self, record: Record) -> None:
        """A success while the breaker is calm, in as few steps as there are: most are such."""
        if isinstance(record, TimeRecord):
            if self.config.clock() < record.settled_until:
                self.successes += 1
                record.calls += 1
                return
        elif record.settled:
            self.successes += 1
            return
        self._succeed(record, None, None)

    def _make(self, change: Transition, generation: Generation) -> bool:
        """Change the state as it is due in `generation`. True if that opened the breaker."""
        return self._change(change, expected=generation) and change.state is OPEN

    def _settle_permit(
        self,
        permit: Permit,
        outcome: Outcome,
        exception: BaseException | None,
        started: float | None,
    ) -> bool:
        """Settle a call that had a permit; a probe that came too late counts for nothing."""
        generation = permit.generation
        if generation.probes is not None:
            with self._lock:
                if not generation.probes.end(permit, outcome):
                    return False
                self._count(outcome)
        elif started is None and exception is None and outcome is SUCCESS:
            record = generation.record
            if record is not None and record is self._calm:
                self._go_well(record)
                return False
        return self._settle(generation.record, outcome, exception, started)

    def _raise_on_trip(self, exception: BaseException) -> None:
        """The call that has just opened the breaker raises its own error, unless told otherwise."""
        opened = self._generation
        if self.config.throw_new_error_on_trip and opened.terms is not None:
            raise CircuitBreakerError(opened.terms, opened.since) from exception

    # Changes of state

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
            most = config.half_open_calls, config.probe_timeout
            probes = Probes(*most) if self._fleet is None else self._fleet.probes(*most)
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

    def _announce_change(self, before: Generation, after: Generation) -> None:
        if self._fleet is None:
            log_change(self, before, after)
        else:
            self._fleet.changed_state(before, after)
        if before.state is not after.state:  # last: a listener may change the state again
            self._notify("state_change", before.state, after.state)

    def _notify(self, event: str, *args: object) -> None:
        if self._listeners:
            notify(self._listeners, event, self, *args)
