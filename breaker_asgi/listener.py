"""`CircuitBreakerListener`: the events of a breaker, to be overridden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.listeners import no_op

if TYPE_CHECKING:
    from breaker_asgi._core.errors import CircuitBreakerError
    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.breaker import CircuitBreaker


class CircuitBreakerListener:
    """Events of a breaker. Override the methods you need; any may be `async`.

    An `async` method runs as a task of the event loop, and the call does not wait for it. What a
    listener raises is logged once and changes nothing. Only `before_call` and `success` cost a
    successful call anything, and only `failure` a failing one.
    """

    @no_op
    def before_call(self, breaker: CircuitBreaker, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Handle the admission of a call; `func` is None where only a permit was acquired."""

    @no_op
    def success(self, breaker: CircuitBreaker) -> Any:
        """Handle a success."""

    @no_op
    def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> Any:
        """Handle a failure; `exception` is None where the result was judged a failure."""

    @no_op
    def ignored(self, breaker: CircuitBreaker, exception: BaseException | None) -> Any:
        """Handle the end of a call that is no evidence of the dependency's health."""

    @no_op
    def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> Any:
        """Handle a rejection."""

    @no_op
    def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> Any:
        """Handle a change of state."""
