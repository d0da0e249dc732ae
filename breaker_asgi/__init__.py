"""Circuit breakers for FastAPI, Starlette and any ASGI application."""

from breaker_asgi.asgi.last_good import LastGood
from breaker_asgi.asgi.middleware import BreakerMiddleware
from breaker_asgi.asgi.protection import protected, unprotected
from breaker_asgi.breaker import CircuitBreaker
from breaker_asgi.config import BreakerConfig
from breaker_asgi.errors import BreakerConfigError, BreakerConfigWarning, CircuitBreakerError
from breaker_asgi.events import CircuitBreakerListener
from breaker_asgi.failover import first_of
from breaker_asgi.fastapi import breaker, install
from breaker_asgi.health import RegistryHealth
from breaker_asgi.monitor import CircuitBreakerMonitor
from breaker_asgi.outcome import Outcome
from breaker_asgi.permit import Permit
from breaker_asgi.registry import BreakerRegistry, default_registry
from breaker_asgi.sharing import fleet_of as _fleet_of
from breaker_asgi.snapshot import BreakerSnapshot
from breaker_asgi.state import CircuitBreakerState
from breaker_asgi.window import CountWindow, TimeWindow

__all__ = [
    "BreakerConfig",
    "BreakerConfigError",
    "BreakerConfigWarning",
    "BreakerMiddleware",
    "BreakerRegistry",
    "BreakerSnapshot",
    "CircuitBreaker",
    "CircuitBreakerError",
    "CircuitBreakerListener",
    "CircuitBreakerMonitor",
    "CircuitBreakerState",
    "CountWindow",
    "LastGood",
    "Outcome",
    "Permit",
    "RegistryHealth",
    "TimeWindow",
    "breaker",
    "default_registry",
    "first_of",
    "install",
    "protected",
    "unprotected",
]

del _fleet_of  # it was imported so that registries can share
