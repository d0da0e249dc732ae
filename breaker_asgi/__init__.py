"""Circuit breakers for FastAPI, Starlette and any ASGI application."""

from types import FunctionType

from breaker_asgi._core.config import BreakerConfig
from breaker_asgi._core.health import RegistryHealth
from breaker_asgi._core.outage import Outage
from breaker_asgi._core.outcome import Outcome
from breaker_asgi._core.permit import Permit
from breaker_asgi._core.snapshot import BreakerSnapshot
from breaker_asgi._core.windows import CountWindow, TimeWindow
from breaker_asgi.breaker import CircuitBreaker
from breaker_asgi.errors import BreakerConfigError, BreakerConfigWarning, CircuitBreakerError
from breaker_asgi.failover import first_of
from breaker_asgi.fastapi import breaker, install
from breaker_asgi.listener import CircuitBreakerListener
from breaker_asgi.middleware.last_good import LastGood
from breaker_asgi.middleware.middleware import BreakerMiddleware
from breaker_asgi.middleware.rules import protected, unprotected
from breaker_asgi.monitor import CircuitBreakerMonitor
from breaker_asgi.registry import BreakerRegistry, default_registry
from breaker_asgi.state import CircuitBreakerState

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
    "Outage",
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


def _take_in(names: list[str]) -> None:
    """Have public classes and functions say that they are of this package, wherever they stand."""
    for name in names:
        thing = globals()[name]
        if isinstance(thing, type | FunctionType):
            thing.__module__ = __name__


_take_in(__all__)
