"""Rejections and transitions, as events of the current span."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "opentelemetry.metrics"):
    from opentelemetry import trace

from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi.listener import CircuitBreakerListener
from breaker_asgi.telemetry.collector import label_of, sendable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.breaker import CircuitBreaker

NAME = "circuitbreaker.name"
_REJECTION = f"{CircuitBreakerError.__module__}.{CircuitBreakerError.__qualname__}"
"""The name under which a span records the exception."""
_SDK = "opentelemetry.sdk.trace"


def spans_may_record() -> bool:
    """Return True if there is an SDK: set for the process, or loaded to be used otherwise."""
    provider = trace.get_tracer_provider()
    return _SDK in sys.modules or not type(provider).__module__.startswith("opentelemetry.trace")


class SpanEvents(CircuitBreakerListener):
    """A listener that adds events to the current span, if it is recorded."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._attributes = attributes

    def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            attributes = {
                NAME: label_of(breaker),
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
                NAME: label_of(breaker),
                "circuitbreaker.from_state": old.value,
                "circuitbreaker.to_state": new.value,
            }
            generation = breaker._generation
            if generation.state is new:
                attributes["circuitbreaker.reason"] = sendable(generation.reason)
            span.add_event("circuitbreaker.transition", {**self._attributes, **attributes})
