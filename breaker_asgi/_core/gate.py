"""Gate of a breaker: it admits calls, or rejects them, and does no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.errors import CircuitBreakerError, RejectionDetails
from breaker_asgi._core.generation import Transition
from breaker_asgi._core.listeners import notify
from breaker_asgi._core.overdue import OverdueCalls
from breaker_asgi._core.permit import Permit, ProbePermit, TimedPermit, is_inside_of_a_probe
from breaker_asgi._core.state import CLOSED, CLOSING, DISABLED, FORCED_OPEN, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation

RETRY_WHILE_PROBING = 1.0
"""Seconds after which a caller may ask again while probes are under way."""
RETRY_WHILE_CLOSING = 1.0
"""Seconds after which a caller may ask again while only a share of the calls is admitted."""


class Gate(OverdueCalls):
    """The part of an engine that admits calls, or rejects them."""

    __slots__ = ()

    def _admit(self) -> Permit:  # noqa: PLR0911 - a frame more would cost a call a tenth
        """Return a permit for one call. Raises `CircuitBreakerError` if there is none."""
        generation, config = self._generation, self.config
        state = generation.state
        if state is HALF_OPEN:
            return self._admit_probe()
        lasts = generation.transition.lasts
        if lasts is not None and generation.has_ended(config.clock()):
            if state is OPEN:
                return self._admit_probe()
            over = "ramp" if state is CLOSING else "time set by hand"
            self._change(Transition(CLOSED, f"the {over} is over"), expected=generation)
            return self._admit()
        if state is OPEN or state is FORCED_OPEN:
            now = config.clock()
            wait = config.forced_retry if lasts is None else generation.until - now
            raise self._rejection(generation.terms or self._terms(state, now, wait), now)
        if state is CLOSING:
            self._admit_share(generation)
        if state is DISABLED:
            return Permit(self, generation, settled=True)
        if self._under_way is None:
            return Permit(self, generation, config.clock() if self._is_sampled() else None)
        now = config.clock()
        slot = self._take_slot(now)
        if slot is None:
            return self._admit()
        permit = TimedPermit(self, generation, now)
        permit.slot = slot
        return permit

    def _reject_fast(self) -> float | None:
        """Reject a call on the fast path. Return the seconds to wait; None for the slow path."""
        shut = self._fast_reject
        if shut is not None and not self._listeners.to_rejections:
            now = self.config.clock()
            if shut.since <= now <= shut.until:
                self.rejected += 1
                return shut.until - now
        return None

    def _admit_probe(self) -> Permit:
        """Lend a probe's permit; an open breaker whose time has passed becomes half-open."""
        generation = self._generation
        if is_inside_of_a_probe(self, generation):
            return Permit(self, generation, settled=True)
        if self._fleet is not None and self._fleet.lacks_a_probe():
            self._fleet.wait()
        self._count_overdue_probes()
        with self._lock:
            generation = before = self._generation
            now = self.config.clock()
            if before.state is OPEN and before.has_ended(now):
                generation = self._enter(Transition(HALF_OPEN, "the open time has passed"), now)
            probes = generation.probes
            permit = ProbePermit(self, generation)
            lent = probes is not None and probes.lend(permit, now)
            if lent and (self.config.measures_duration or self._is_sampled()):
                permit.started = now
            wait = 0.0 if probes is None else min(RETRY_WHILE_PROBING, probes.next_due(now))
        if generation is not before:
            self._announce_changes()
        if lent:
            return permit
        permit._settled = True
        if probes is None:  # another thread was quicker, and its probe has settled
            return self._admit()
        raise self._rejection(self._terms(HALF_OPEN, now, wait), now)

    def _admit_share(self, generation: Generation) -> None:
        """Reject a call that is not among the admitted share. Raises `CircuitBreakerError`."""
        now = self.config.clock()
        with self._lock:
            admits = generation.ramp is None or generation.ramp.admits(now - generation.since)
        if not admits:
            raise self._rejection(self._terms(CLOSING, now, RETRY_WHILE_CLOSING), now)

    def _rejection(self, terms: RejectionDetails, now: float) -> CircuitBreakerError:
        self.rejected += 1
        error = CircuitBreakerError(terms, now)
        if self._listeners.to_rejections:
            notify(self._listeners.to_rejections, "rejected", self, error)
        return error
