"""Outcomes of calls, and their recording.

Nothing here does I/O or waits. A succeeding call of a closed breaker takes no lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core import process
from breaker_asgi._core.counted import is_wrong_call, was_counted
from breaker_asgi._core.counters import text_of
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.gate import Gate
from breaker_asgi._core.judgement import outcome_of_result
from breaker_asgi._core.listeners import notify
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.rules import due_change
from breaker_asgi._core.state import CLOSED
from breaker_asgi._core.windows import FAILED, OK, SLOW, CountRecord, Streak, TimeRecord

if TYPE_CHECKING:
    from breaker_asgi._core.permit import Permit
    from breaker_asgi._core.windows import Place, WindowRecord

MOST_CLASSES = 256
"""Classes of exceptions that a breaker remembers as failures."""


class Engine(Gate):
    """The engine: admits calls and records their outcomes."""

    __slots__ = ()

    def outcome_of(self, exception: BaseException) -> Outcome:
        """Return the outcome of an exception.

        The rejection that it was raised from (ignored), `ignore`, `exclude`, `failures`, `profile`
        and the HTTP status that it carries (below 500 a success) decide, in this order.
        """
        return self.config.judgement.outcome_of(exception)

    def outcome_of_result(self, result: object) -> Outcome:
        """Return the outcome of a result, by `is_failure`."""
        return outcome_of_result(self.config.is_failure, result)

    def _settle(
        self,
        record: WindowRecord | None,
        outcome: Outcome,
        exception: BaseException | None = None,
        started: float | None = None,
        because: str | None = None,
        *,
        place: Place | None = None,
    ) -> bool:
        """Record the outcome of a call made under `record`. Return True if that opened the breaker.

        `because` names what failed where there is no exception. `place` is that of a call that was
        counted as slow while it ran: it is in the window already, and stays so if it is ignored.
        """
        if outcome is FAILURE:
            return self._fail(record, exception, started, because=because, place=place)
        if outcome is SUCCESS:
            return self._succeed(record, exception, started, place)
        self.ignored += 1
        if started is not None:
            self._end_timed(self.config.clock(), place, is_counted=False)
        self._notify("ignored", exception)
        return False

    def _fail(  # noqa: C901, PLR0912 - a frame more would cost a failing call a tenth
        self,
        record: WindowRecord | None,
        exception: BaseException | None,
        started: float | None,
        before: int | None = None,
        because: str | None = None,
        *,
        place: Place | None = None,
    ) -> bool:
        """Record a failure. Return True if that opened the breaker.

        `before` is given where `exception` has not been judged yet: the failures that had been
        counted when the call began. Most exceptions have neither attributes nor causes, and are
        failures by their class.
        """
        config = self.config
        if exception is not None:
            notes = exception.__dict__
            if before is not None and (
                notes
                or exception.__class__ not in self._plain_failures
                or exception.__context__ is not None
                or exception.__cause__ is not None
            ):
                outcome = self._judge(exception, before)
                if outcome is not FAILURE:
                    return outcome is not None and self._settle(
                        record, outcome, exception, started, place=place
                    )
            notes[self._note or self._make_note()] = process.offset + self.failures + 1
        self._failed_at = now = config.clock()
        self._failed_by = what = because or exception.__class__
        (self._failed_lately or self._keep_failures()).append(what)
        if config.keep_messages:
            self._failed_saying = text_of(exception)
        slow = started is not None and self._record_duration(now - started, now, place)
        self.failures += 1
        generation = self._generation
        current = record if record is generation.record else None
        if type(current) is Streak:
            current.streak += 1
            current.settled = False
        elif place is not None and isinstance(current, CountRecord | TimeRecord):
            current.end(FAILED | SLOW, place, now)
        elif current is not None:
            current.add(FAILED | SLOW if slow else FAILED, now)
        elif self._fleet is not None:
            self._fleet.count_late_result(place is None, 1, slow and place is None)
        if self._listeners.to_failures:
            notify(self._listeners.to_failures, "failure", self, exception)
        if current is None:
            return False
        if generation.state is CLOSED:  # most failures trip nothing, and need not ask the rules
            limit, rate = config.effective_fail_max, config.failure_rate
            if limit is None or current.streak < limit:
                if not config.rated or (calls := current.calls) < config.effective_minimum_calls:
                    return False
                if (rate is None or current.failures / calls < rate) and (
                    config.slow_call_rate is None
                    or current.slow_calls / calls < config.slow_call_rate
                ):
                    return False
        change = due_change(generation.state, config, current)
        return change is not None and self._make(change, generation)

    def _make_note(self) -> str:
        """Make the name of the attribute that marks exceptions as counted."""
        self._note = note = f"__breaker_asgi_{id(self):x}__"
        return note

    def _judge(self, exception: BaseException, before: int) -> Outcome | None:
        """Return the outcome of a call that raised; None if it was not made at all."""
        if is_wrong_call(exception):
            return None
        outcome = self.outcome_of(exception)
        if outcome is not FAILURE:
            return outcome
        self._learn(exception.__class__)
        return IGNORED if was_counted(self, exception, before) else FAILURE

    def _learn(self, kind: type) -> None:
        """Remember a class whose exceptions are all failures: the next one is not judged."""
        if kind not in self._plain_failures and self.config.judgement.fails_by_class(kind):
            few = self._plain_failures if len(self._plain_failures) < MOST_CLASSES else ()
            self._plain_failures = frozenset((*few, kind))

    def _succeed(
        self,
        record: WindowRecord | None,
        exception: BaseException | None,
        started: float | None,
        place: Place | None = None,
    ) -> bool:
        config = self.config
        now = config.clock()
        slow = started is not None and self._record_duration(now - started, now, place)
        self.successes += 1
        if exception is not None:
            self.excluded += 1
        generation = self._generation
        current = record if record is generation.record else None
        if place is not None and isinstance(current, CountRecord | TimeRecord):
            current.end(SLOW, place, now)
        elif current is not None:
            current.add(SLOW if slow else OK, now)
        elif self._fleet is not None:
            self._fleet.count_late_result(place is None, 0, slow and place is None)
        if self._fast_record is None:
            self._notify("success")
        if current is None:
            return False
        change = due_change(generation.state, config, current)
        return change is not None and self._make(change, generation)

    def _count_fast_success(self, record: WindowRecord) -> None:
        """Count a success on the fast path, in as few steps as there are: most are such."""
        if isinstance(record, TimeRecord):
            if self.config.clock() < record.settled_until:
                self.successes += 1
                record.calls += 1
                return
        elif record.settled:
            self.successes += 1
            return
        self._succeed(record, None, None)

    def _settle_permit(
        self,
        permit: Permit,
        outcome: Outcome,
        exception: BaseException | None,
        started: float | None,
        because: str | None = None,
        *,
        place: Place | None = None,
    ) -> bool:
        """Settle a call that had a permit.

        A probe that has lost its permit still counts, as long as the breaker is in the same
        half-open state: a dependency that always takes longer could not recover otherwise.
        """
        generation = permit.generation
        if outcome is FAILURE and was_counted(self, exception, permit._failures):
            outcome = IGNORED
        if generation.probes is not None:
            with self._lock:
                place = generation.probes.place_of(permit)
                held = place is not None or generation.probes.end(permit, outcome)
                if not held and (outcome is IGNORED or generation is not self._generation):
                    return False
                self._count(outcome)
        elif exception is None is place and outcome is SUCCESS:
            record = generation.record
            if record is not None and record is self._fast_record and self._was_quick(started):
                self._count_fast_success(record)
                return False
        return self._settle(generation.record, outcome, exception, started, because, place=place)

    def _take_back(self, permit: Permit) -> None:
        """Take a probe's permit back, as if it had not been lent."""
        probes = permit.generation.probes
        if probes is not None:  # pragma: no branch (for type checkers: the caller has looked)
            with self._lock:
                if probes.place_of(permit) is None:
                    probes.end(permit, IGNORED)
                elif self._under_way is not None:  # pragma: no branch (its durations matter)
                    self._under_way.end_slow()

    def _raise_on_trip(self, exception: BaseException) -> None:
        """Raise `CircuitBreakerError` from the call that trips, if the settings ask for it."""
        opened = self._generation
        if self.config.throw_new_error_on_trip and opened.terms is not None:
            raise CircuitBreakerError(opened.terms, opened.since) from exception
