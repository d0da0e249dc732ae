"""The monitor: the state and figures of all breakers, as JSON and as a page."""

from breaker_asgi.monitor.app import CircuitBreakerMonitor

__all__ = ["CircuitBreakerMonitor"]
