"""What happens to a request, as events of its span."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "opentelemetry.metrics"):
    from opentelemetry import trace

from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi.listener import CircuitBreakerListener
from breaker_asgi.telemetry.collector import name_of, sendable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.breaker import CircuitBreaker

NAME = "circuitbreaker.name"
_REJECTION = f"{CircuitBreakerError.__module__}.{CircuitBreakerError.__qualname__}"
"""As a span has it that records the exception."""
_SDK = "opentelemetry.sdk.trace"


def spans_may_record() -> bool:
    """Whether there is an SDK: set for the process, or loaded and used in some other way."""
    provider = trace.get_tracer_provider()
    return _SDK in sys.modules or not type(provider).__module__.startswith("opentelemetry.trace")


class SpanEvents(CircuitBreakerListener):
    """Tells the span that a request is in what happens to it, if anybody records the span."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._attributes = attributes

    def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            attributes = {
                NAME: name_of(breaker),
                "circuitbreaker.state": error.state.value,
                "circuitbreaker.reason": sendable(error.reason),
                "circuitbreaker.retry_after": round(error.retry_after, 3),
                "error.type": _REJECTION,
            }
            span.add_event("circuitbreaker.rejected", {**self._attributes, **attributes})

    def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            attributes = {
                NAME: name_of(breaker),
                "circuitbreaker.from_state": old.value,
                "circuitbreaker.to_state": new.value,
            }
            generation = breaker._generation
            if generation.state is new:
                attributes["circuitbreaker.reason"] = sendable(generation.reason)
            span.add_event("circuitbreaker.transition", {**self._attributes, **attributes})
