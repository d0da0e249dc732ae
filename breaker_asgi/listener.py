"""`CircuitBreakerListener`: the events of a breaker, to be overridden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.listeners import unheard

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

    @unheard
    def before_call(self, breaker: CircuitBreaker, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Hear that a call was admitted; `func` is None where only a permit was asked for."""

    @unheard
    def success(self, breaker: CircuitBreaker) -> Any:
        """Hear that a call succeeded."""

    @unheard
    def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> Any:
        """Hear that a call failed; with None where its result was judged a failure."""

    @unheard
    def ignored(self, breaker: CircuitBreaker, exception: BaseException | None) -> Any:
        """Hear of a call that says nothing of the dependency's health."""

    @unheard
    def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> Any:
        """Hear that a call was not admitted."""

    @unheard
    def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> Any:
        """Hear that the breaker went from one state to another."""
