"""The states, at the path where aiobreaker's users look for them."""

from breaker_asgi._core.state import CircuitBreakerState

__all__ = ["CircuitBreakerState"]
