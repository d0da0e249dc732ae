"""The state machine: it admits calls, learns how they went, and changes its state.

Nothing here does I/O or waits. A succeeding call of a closed breaker takes no lock; the lock is
held for a few assignments, when the state changes and while probes are counted.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Any

from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.events import hears_every_call, log_once, notify
from breaker_asgi.permit import Permit, innermost
from breaker_asgi.state import (
    CircuitBreakerState,
    Generation,
    Outcome,
    Probes,
    due_change,
    open_time,
)
from breaker_asgi.window import FAILED, OK, SLOW, CountRecord, Streak, figures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.config import BreakerConfig, Exclusion
    from breaker_asgi.window import Record

CLOSED = CircuitBreakerState.CLOSED
OPEN = CircuitBreakerState.OPEN
HALF_OPEN = CircuitBreakerState.HALF_OPEN
FORCED_OPEN = CircuitBreakerState.FORCED_OPEN
DISABLED = CircuitBreakerState.DISABLED
METRICS_ONLY = CircuitBreakerState.METRICS_ONLY

FAILURE = Outcome.FAILURE
IGNORED = Outcome.IGNORED

RETRY_WHILE_PROBING = 1.0
"""Seconds after which a caller may ask again while probes are under way."""


class Circuit:
    """A breaker without the ways to use it."""

    __slots__ = (
        "__weakref__",
        "_calm",
        "_generation",
        "_last_failure",
        "_listeners",
        "_lock",
        "_openings",
        "_trip_reason",
        "config",
        "excluded",
        "failures",
        "ignored",
        "name",
        "rejected",
        "successes",
    )

    config: BreakerConfig
    name: str

    def _set_up(
        self, config: BreakerConfig, name: str | None, listeners: Iterable[object] | None
    ) -> None:
        self.config = config
        self.name = "unnamed" if name is None else name
        self._lock = Lock()
        self._openings = 0
        self._trip_reason = "not opened yet"
        self.successes = self.failures = self.ignored = self.excluded = self.rejected = 0
        self._last_failure: tuple[type[BaseException] | None, float, str | None] | None = None
        self._generation = Generation(0, CLOSED, "new", config.clock(), record=self._new_record())
        self._listen(tuple(listeners or ()))

    def _listen(self, listeners: tuple[object, ...]) -> None:
        self._listeners = listeners
        self._find_calm()

    def _find_calm(self) -> None:
        """Set `_calm`: the record, while nothing but the record has to know of a call.

        Guarded functions look at it first: a call made while it is set needs no permit.
        """
        generation = self._generation
        free = generation.state in (CLOSED, METRICS_ONLY) and not hears_every_call(self._listeners)
        self._calm = generation.record if free else None

    def _new_record(self) -> Record:
        return self.config.window.record() if self.config.rated else Streak()

    # Admission

    def _admit(self) -> Permit | CircuitBreakerError:
        """A permit, or the error to raise: raising it here would cost every rejection a frame."""
        generation = self._generation
        state = generation.state
        if state is CLOSED or state is METRICS_ONLY:
            config = self.config
            return Permit(self, generation, None if config.slow_after is None else config.clock())
        if state is OPEN:
            now = self.config.clock()
            if generation.since <= now <= generation.until:
                wait, when = generation.until - now, generation.until_time
                return self._reject(generation, wait, when)
            return self._admit_probe()
        if state is HALF_OPEN:
            return self._admit_probe()
        if state is DISABLED:
            return Permit(self, generation, settled=True)
        wait = self.config.timeout
        return self._reject(generation, wait, time.time() + wait)

    def _admit_probe(self) -> Permit | CircuitBreakerError:
        """A half-open breaker's answer; an open one whose time has passed is half-open now."""
        outer = innermost(self)
        if outer is not None and not outer.settled and outer.generation is self._generation:
            return Permit(self, self._generation, settled=True)
        with self._lock:
            generation = before = self._generation
            now = self.config.clock()
            if before.state is OPEN and not before.since <= now <= before.until:
                generation = self._enter(HALF_OPEN, "the open time has passed", now)
            probes = generation.probes
            permit = Permit(self, generation, now)
            lent = probes is not None and probes.lend(permit, now)
        if generation is not before:
            self._announce_change(before, generation)
        if lent:
            return permit
        if probes is None:  # another thread was quicker: a probe has settled meanwhile
            return self._admit()
        wait = min(RETRY_WHILE_PROBING, probes.next_due(now))
        return self._reject(generation, wait, time.time() + wait)

    def _reject(self, generation: Generation, wait: float, when: float) -> CircuitBreakerError:
        self.rejected += 1
        error = CircuitBreakerError(self.name, generation.state, self._trip_reason, wait, when)
        if self._listeners:
            notify(self._listeners, "rejected", self, error)
        return error

    # Settling

    def outcome_of(self, exception: BaseException) -> Outcome:
        """What an exception says of the dependency, by `exclude` and `ignore`."""
        if not isinstance(exception, Exception) or isinstance(exception, CircuitBreakerError):
            return IGNORED
        if self.config.ignore and self._is_one_of(exception, self.config.ignore):
            return IGNORED
        if self.config.exclude and self._is_one_of(exception, self.config.exclude):
            return Outcome.SUCCESS
        return FAILURE

    def _is_one_of(self, exception: Exception, exclusions: tuple[Exclusion, ...]) -> bool:
        for each in exclusions:
            if isinstance(each, type):
                if isinstance(exception, each):
                    return True
            else:
                try:
                    if each(exception):
                        return True
                except Exception as error:  # noqa: BLE001
                    log_once(each, "exclude or ignore", error)
        return False

    def outcome_of_result(self, result: object) -> Outcome:
        """What a result says of the dependency, by `is_failure`."""
        is_failure = self.config.is_failure
        try:
            failed = is_failure is not None and is_failure(result)
        except Exception as error:  # noqa: BLE001
            log_once(is_failure, "is_failure", error)
            failed = False
        return FAILURE if failed else Outcome.SUCCESS

    def _settle(
        self,
        record: Record | None,
        outcome: Outcome,
        exception: BaseException | None = None,
        started: float | None = None,
    ) -> bool:
        """Learn how a call went that was made under `record`. True if that opened the breaker."""
        listeners = self._listeners
        if outcome is IGNORED:
            self.ignored += 1
            if listeners:
                notify(listeners, "ignored", self, exception)
            return False
        config = self.config
        now = config.clock()
        slow_after = config.slow_after
        slow = slow_after is not None and started is not None and now - started > slow_after
        call = SLOW if slow else OK
        if outcome is FAILURE:
            call |= FAILED
            self.failures += 1
            message = str(exception) if config.keep_messages and exception is not None else None
            self._last_failure = (None if exception is None else type(exception), now, message)
        else:
            self.successes += 1
            if exception is not None:
                self.excluded += 1
        generation = self._generation
        current = record if record is generation.record else None
        if current is not None:
            current.add(call, now)
        if listeners:
            if outcome is FAILURE:
                notify(listeners, "failure", self, exception)
            else:
                notify(listeners, "success", self)
        if current is None:
            return False
        change = due_change(generation.state, config, current)
        return change is not None and self._change(*change, expected=generation) and change[0] is OPEN

    def _raised(self, record: Record, exception: BaseException, started: float | None) -> None:
        """Settle a call that had no permit, by what it raised."""
        if self._settle(record, self.outcome_of(exception), exception, started):
            self._raise_on_trip(exception)

    def _raise_on_trip(self, exception: BaseException) -> None:
        """The call that has just opened the breaker raises its own error, unless told otherwise."""
        if self.config.throw_new_error_on_trip:
            opened = self._generation
            wait = opened.until - opened.since
            raise CircuitBreakerError(
                self.name, OPEN, self._trip_reason, wait, opened.until_time
            ) from exception

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
                if not generation.probes.end(permit, refund=outcome is IGNORED):
                    return False
        return self._settle(generation.record, outcome, exception, started)

    # Changes of state

    def _change(
        self, state: CircuitBreakerState, reason: str, *, expected: Generation | None = None
    ) -> bool:
        """Go to `state`, unless `expected` is no longer the generation: then somebody else has."""
        with self._lock:
            before = self._generation
            if expected is not None and before is not expected:
                return False
            after = self._enter(state, reason, self.config.clock())
        self._announce_change(before, after)
        return True

    def _enter(self, state: CircuitBreakerState, reason: str, now: float) -> Generation:
        """Begin a generation; the lock is held."""
        before, config = self._generation, self.config
        record: Record | None = None
        probes: Probes | None = None
        wait: float | None = None
        if state is OPEN:
            self._openings += 1
            self._trip_reason = reason
            wait = open_time(config, self._openings)
        elif state is HALF_OPEN:
            record = CountRecord(config.half_open_calls)
            probes = Probes(config.half_open_calls, config.probe_timeout)
        elif state is FORCED_OPEN:
            self._trip_reason = reason
        else:
            self._openings = 0
            record = None if state is DISABLED else self._new_record()
        seen = before.seen if before.record is None else figures(before.record, now)
        self._generation = Generation(
            before.number + 1, state, reason, now, record=record, probes=probes, wait=wait, seen=seen
        )
        self._find_calm()
        return self._generation

    def _announce_change(self, before: Generation, after: Generation) -> None:
        if self._listeners and before.state is not after.state:
            notify(self._listeners, "state_change", self, before.state, after.state)
