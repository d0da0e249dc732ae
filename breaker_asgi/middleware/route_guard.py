"""What guards a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breaker_asgi._core.errors import CircuitBreakerError
    from breaker_asgi.asgi.types import Message, Receive, Scope, Send
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.middleware.fallback import Answer

SCOPE_KEY = "breaker_asgi"
"""Where the scope has the exchange that watches over its request."""


class Guard:
    """What guards a route, and how its responses are judged."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        answer: Answer,
        is_failure: Callable[[int, Scope], object] | None = None,
        *,
        at_end: bool = False,
    ) -> None:
        self.breaker = breaker
        self.answer = answer
        self.last_good = answer.last_good
        self.is_failure = is_failure
        self.at_end = at_end
        """Whether a response is a success once it has ended, not once its body has begun."""
        self.times = breaker.config.times
        """Whether it matters how long a request takes."""
        self.is_simple = is_failure is None and not at_end and not self.times
        """Whether nothing matters but a status of 500, and that the body begins."""

    def refuse(
        self, error: CircuitBreakerError, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Answer in place of the application."""
        self._tell(scope)
        return self.answer(error, scope, receive, send)

    def turn_away(self, scope: Scope) -> tuple[Message, ...]:
        """The answer to a request that is rejected, where that takes no more; else nothing."""
        simple = self.answer.is_plain and scope["type"] == "http"
        wait = self.breaker._reject_fast() if simple else None
        if wait is None:
            return ()
        self._tell(scope)
        return self.answer.plain(self.breaker.name, wait, scope).messages(scope)

    def _tell(self, scope: Scope) -> None:
        if (watching := scope.get(SCOPE_KEY)) is not None:
            watching.mark_rejected_upstream()
