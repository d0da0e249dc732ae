"""The monitor: the state and figures of all breakers, as JSON and as a page."""

from breaker_asgi.monitor.app import CircuitBreakerMonitor
from breaker_asgi.monitor.credentials import basic, bearer, nobody, public, this_host

__all__ = ["CircuitBreakerMonitor", "basic", "bearer", "nobody", "public", "this_host"]
