"""A listener that records when breakers change their state, and why."""

import time
from collections import deque
from typing import Any

from breaker_asgi import CircuitBreaker, CircuitBreakerListener, CircuitBreakerState


class EventLog(CircuitBreakerListener):
    def __init__(self, length: int = 200) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=length)

    def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> None:
        reason = breaker.snapshot().reason
        self.entries.append(
            {"at": time.time(), "breaker": breaker.name, "from": old, "to": new, "reason": reason}
        )
