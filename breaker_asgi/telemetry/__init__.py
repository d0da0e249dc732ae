"""Breakers as metrics: for Prometheus and for OpenTelemetry, whichever is installed."""

from __future__ import annotations

from importlib import import_module
from threading import RLock

from breaker_asgi._core import validation
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi._core.extras import PACKAGES, is_installed
from breaker_asgi.registry import BreakerRegistry, default_registry

__all__ = ["instrument"]

_NEEDS = {"prometheus": "prometheus_client", "opentelemetry": "opentelemetry.metrics"}
"""The library that each module needs; its `switch_on` may be called repeatedly."""
_instrumenting = RLock()


def instrument(registry: BreakerRegistry = default_registry) -> tuple[str, ...]:
    """Export the breakers of a registry by each library installed, and return the names used.

    With prometheus-client, a `BreakerCollector` is registered with its `REGISTRY`. With
    opentelemetry-api, the breakers are instrumented for the global providers, which may be set
    later. Doing it twice changes nothing.

    Raises `BreakerConfigError` if nothing is installed, or if another registry is exported already.
    """
    validation.instance("registry", registry, BreakerRegistry, "Leave it out for the default one")
    exporters = [name for name, needed in _NEEDS.items() if is_installed(needed)]
    if not exporters:
        raise BreakerConfigError(
            "there is nothing to export metrics with. Install it with: "
            + " or ".join(PACKAGES[needed].command for needed in _NEEDS.values())
        )
    with _instrumenting:
        for name in exporters:
            import_module(f"{__name__}.{name}").switch_on(registry)
    return tuple(exporters)
