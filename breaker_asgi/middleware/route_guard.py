"""The guard of a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breaker_asgi._core.errors import CircuitBreakerError
    from breaker_asgi.asgi.types import Message, Receive, Scope, Send
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.middleware.fallback import RejectionResponse

SCOPE_KEY = "breaker_asgi"
"""The key of a scope that holds the exchange of its request."""


class RouteGuard:
    """A route's breaker, the judgement of its responses, and the response to rejections."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        rejection_response: RejectionResponse,
        is_failure: Callable[[int, Scope], object] | None = None,
        *,
        at_end: bool = False,
    ) -> None:
        self.breaker = breaker
        self.rejection_response = rejection_response
        self.last_good = rejection_response.last_good
        self.is_failure = is_failure
        self.at_end = at_end
        """True if a response is a success once it has ended, not once its body has begun."""
        self.times = breaker.config.measures_duration
        """True if the breaker measures durations."""
        self.is_simple = is_failure is None and not at_end
        """True if the status and the start of the body alone decide the outcome."""

    def refuse(
        self, error: CircuitBreakerError, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Respond to a rejected request in place of the application."""
        self._mark_exchange(scope)
        return self.rejection_response(error, scope, receive, send)

    def reject_fast(self, scope: Scope) -> tuple[Message, ...]:
        """Reject by the fast path: return a plain 503, or () if the slow path is needed."""
        simple = self.rejection_response.is_plain and scope["type"] == "http"
        wait = self.breaker._reject_fast() if simple else None
        if wait is None:
            return ()
        self._mark_exchange(scope)
        return self.rejection_response.plain(self.breaker.name, wait, scope).messages(scope)

    def _mark_exchange(self, scope: Scope) -> None:
        if (exchange := scope.get(SCOPE_KEY)) is not None:
            exchange.mark_rejected_upstream()
