"""The calls of one request: one for each breaker that has admitted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.counted import was_counted
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.middleware.departures import client_has_left
from breaker_asgi.middleware.held_head import Head

if TYPE_CHECKING:
    from breaker_asgi._core.permit import Permit
    from breaker_asgi._core.windows import Record
    from breaker_asgi.asgi.types import Send
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.middleware.route_guard import Guard

WAITING, BEGUN, SETTLED = range(3)
"""Nothing was sent; the response has begun; its outcome is known."""


class Settling:
    """The calls of one request, which are settled together: once, by how the request went."""

    _guard: Guard
    _send: Send
    record: Record | None
    """What it was admitted under, if its breaker was calm and gave no permit."""
    _stage = WAITING
    _since: float | None = None
    """When it began, where that matters and no permit knows."""
    _permits: tuple[Permit, ...] = ()
    """Our own, where there is one, and those of breakers further in."""
    _before: BaseException | None = None
    """What was being handled where the request came from: an application may be called by one."""
    _counted: tuple[CircuitBreaker, ...] = ()
    """Breakers that have counted the request as a failure, further in or here."""
    _failures: int
    """How many the breaker of the route had counted when the request came."""
    _simple = False
    """Whether there is a record, no permit, and nothing to know but the status."""
    _failed = False
    _rejected = False
    _outer: Settling | None = None
    """That of a middleware further out."""

    def went_well(self) -> bool:
        """Return True if the outcome is known, and a success."""
        return self._stage == SETTLED and not self._failed

    def mark_rejected_upstream(self) -> None:
        """A breaker further in has rejected the request: its 503 says nothing of us."""
        self._rejected = True
        self._simple = False
        if self._outer is not None:
            self._outer.mark_rejected_upstream()

    def settle(
        self,
        outcome: Outcome,
        exception: BaseException | None = None,
        because: str | None = None,
    ) -> None:
        """Settle all calls alike. `because` tells what failed where no exception does."""
        self._stage = SETTLED
        self._failed = outcome is not SUCCESS
        if self.record is not None:
            self._settle_own(outcome, exception, because)
        for permit in self._permits:
            self._settle_permit(permit, outcome, exception, because)

    def _settle_by(self, error: BaseException) -> None:
        """Settle by an exception, as each breaker judges it."""
        self._stage = SETTLED
        self._failed = True
        if self.record is not None:
            self._settle_own(self._outcome_of(error, self._guard.breaker), error)
        for permit in self._permits:
            self._settle_permit(permit, self._outcome_of(error, permit.breaker), error)

    def _outcome_of(self, error: BaseException, breaker: CircuitBreaker) -> Outcome:
        outcome = breaker.config.judgement.outcome_of(error, self._before)
        left = outcome is FAILURE and self._tells_of_the_client(error)
        return IGNORED if left else outcome

    def _settle_own(
        self, outcome: Outcome, exception: BaseException | None, because: str | None = None
    ) -> None:
        """Settle a request that needed no permit."""
        breaker = self._guard.breaker
        if outcome is FAILURE:
            outcome = self._once(breaker)
            if was_counted(breaker, exception, self._failures):
                outcome = IGNORED
        breaker._settle(self.record, outcome, exception, self._since, because)

    def _settle_permit(
        self,
        permit: Permit,
        outcome: Outcome,
        exception: BaseException | None,
        because: str | None = None,
    ) -> None:
        if outcome is FAILURE and not permit.settled:
            outcome = self._once(permit.breaker)
        permit._settle(outcome, exception, because)

    def _once(self, breaker: CircuitBreaker) -> Outcome:
        """Return what a failure is to a breaker: it counts a request once, however often asked."""
        if breaker in self._counted:
            return IGNORED
        watching: Settling | None = self
        while watching is not None:
            watching._counted += (breaker,)
            watching = watching._outer
        return FAILURE

    def _stop_the_clock(self) -> None:
        """The response has begun: what comes after it does not make the request slow."""
        if self._since is not None and self._guard.breaker._record_if_not_slow(self._since):
            self._since = None
        for permit in self._permits:
            permit.answered()

    def _tells_of_the_client(self, error: BaseException | None) -> bool:
        return error is not None and client_has_left(error, self._server())

    def _server(self) -> Send:
        """Return what sends to the server, past the exchanges of middleware further out."""
        send = self._send
        while isinstance(outer := getattr(send, "__self__", None), Settling | Head):
            send = outer.to_client if isinstance(outer, Head) else outer._send
        return send
