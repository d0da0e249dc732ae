"""The calls of one request: one for each breaker that has admitted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.counted import was_counted
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.middleware.departures import client_has_left
from breaker_asgi.middleware.held_head import Head

if TYPE_CHECKING:
    from breaker_asgi._core.permit import Permit
    from breaker_asgi._core.under_way import Slot
    from breaker_asgi._core.windows import Place, WindowRecord
    from breaker_asgi.asgi.types import Send
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.middleware.route_guard import RouteGuard

WAITING, BEGUN, SETTLED = range(3)
"""The stages: nothing was sent; the response has begun; the calls are settled."""


class Settling:
    """The calls of one request, settled together, once."""

    _guard: RouteGuard
    _send: Send
    record: WindowRecord | None
    """The window record at admission; None if the request holds a permit."""
    _stage = WAITING
    _since: float | None = None
    """The start of the request, if its duration matters and it holds no permit."""
    _slot: Slot | None = None
    """The slot of such a request, while it is under way."""
    _permits: tuple[Permit, ...] = ()
    """The permit of the route's breaker, if any, and those of breakers further in."""
    _before: BaseException | None = None
    """The exception that the application's caller is handling, if any."""
    _counted: tuple[CircuitBreaker, ...] = ()
    """The breakers that have counted the request as a failure, further in or here."""
    _failures: int
    """The failures of the route's breaker at admission."""
    _simple = False
    """True if the request has a record, no permit, and the status alone decides."""
    _failed = False
    _rejected = False
    _outer: Settling | None = None
    """The exchange of an outer middleware, if any."""

    def went_well(self) -> bool:
        """Return True if the calls are settled as a success."""
        return self._stage == SETTLED and not self._failed

    def mark_rejected_upstream(self) -> None:
        """Ignore the response: it is the 503 of a breaker further in."""
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
        """Settle all calls alike. `because` is the reason of a failure without an exception."""
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
        left = outcome is FAILURE and self._client_has_left(error)
        return IGNORED if left else outcome

    def _settle_own(
        self, outcome: Outcome, exception: BaseException | None, because: str | None = None
    ) -> None:
        """Settle a request that needed no permit."""
        breaker = self._guard.breaker
        if outcome is FAILURE:
            outcome = self._count_once(breaker)
            if was_counted(breaker, exception, self._failures):
                outcome = IGNORED
        place = self._leave()
        breaker._settle(self.record, outcome, exception, self._since, because, place=place)

    def _settle_permit(
        self,
        permit: Permit,
        outcome: Outcome,
        exception: BaseException | None,
        because: str | None = None,
    ) -> None:
        if outcome is FAILURE and not permit.settled:
            outcome = self._count_once(permit.breaker)
        permit._settle(outcome, exception, because)

    def _count_once(self, breaker: CircuitBreaker) -> Outcome:
        """Return a failure's outcome for a breaker, which counts it once a request."""
        if breaker in self._counted:
            return IGNORED
        exchange: Settling | None = self
        while exchange is not None:
            exchange._counted += (breaker,)
            exchange = exchange._outer
        return FAILURE

    def _stop_the_clock(self) -> bool:
        """Stop measuring: the response has begun, and its body does not make the request slow.

        Return False if it is slow already by the route's breaker.
        """
        for permit in self._permits:
            permit.answered()
        if self._since is not None and self._guard.breaker._record_if_not_slow(self._since):
            self._since = None
            self._leave()
        return self._since is None

    def _begin_timing(self, breaker: CircuitBreaker) -> bool:
        """Begin to measure. Return False if a call that was overdue has changed the state."""
        now = breaker.config.clock()
        self._slot = slot = breaker._take_slot(now)
        if slot is None:
            return False
        self._since = now
        return True

    def _leave(self) -> Place | None:
        """End to be under way. Return the place in the window where it counts as slow already."""
        slot, self._slot = self._slot, None
        return None if slot is None else slot.leave()

    def _client_has_left(self, error: BaseException | None) -> bool:
        return error is not None and client_has_left(error, self._server())

    def _server(self) -> Send:
        """Return the server's `send`, past the exchanges of outer middleware."""
        send = self._send
        while isinstance(outer := getattr(send, "__self__", None), Settling | Head):
            send = outer.to_client if isinstance(outer, Head) else outer._send
        return send
