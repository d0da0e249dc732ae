"""The monitor: what all breakers are doing, for programs and people."""

from breaker_asgi.monitor.app import CircuitBreakerMonitor

__all__ = ["CircuitBreakerMonitor"]
