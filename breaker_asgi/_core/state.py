"""The states of a breaker."""

from __future__ import annotations

from enum import StrEnum


class CircuitBreakerState(StrEnum):
    """State of a breaker: it decides which calls are admitted. Equal to its value, a string."""

    CLOSED = "closed"
    """Calls are admitted and watched."""
    OPEN = "open"
    """Calls are rejected until the open time has passed."""
    HALF_OPEN = "half_open"
    """A few calls, the probes, are admitted to find out whether to close or to open again."""
    CLOSING = "closing"
    """A growing share of the calls is admitted, after the probes have succeeded: see `ramp`."""
    FORCED_OPEN = "forced_open"
    """Calls are rejected until an operator changes the state."""
    DISABLED = "disabled"
    """Calls are admitted and not watched."""
    METRICS_ONLY = "metrics_only"
    """Calls are admitted and watched, and the breaker never trips."""

    @property
    def state(self) -> CircuitBreakerState:
        """Itself: listeners written for aiobreaker ask for `old.state` and `new.state`."""
        return self

    @property
    def words(self) -> str:
        """The state in plain words: `half-open`, `forced open`."""
        return (
            "half-open" if self is CircuitBreakerState.HALF_OPEN else self.value.replace("_", " ")
        )


CLOSED = CircuitBreakerState.CLOSED
OPEN = CircuitBreakerState.OPEN
HALF_OPEN = CircuitBreakerState.HALF_OPEN
CLOSING = CircuitBreakerState.CLOSING
FORCED_OPEN = CircuitBreakerState.FORCED_OPEN
DISABLED = CircuitBreakerState.DISABLED
METRICS_ONLY = CircuitBreakerState.METRICS_ONLY
# Looking a member up in its class costs more than all else that a guarded call does.

WORST_FIRST = (OPEN, FORCED_OPEN, HALF_OPEN, CLOSING, DISABLED, METRICS_ONLY, CLOSED)
"""The states by urgency: of several breakers, the worst one stands for all."""
