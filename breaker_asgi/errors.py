"""The exceptions, at the path where aiobreaker's users look for them."""

from breaker_asgi._core.errors import BreakerConfigError, BreakerConfigWarning, CircuitBreakerError

__all__ = ["BreakerConfigError", "BreakerConfigWarning", "CircuitBreakerError"]
