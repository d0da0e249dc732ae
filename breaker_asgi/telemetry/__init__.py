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
"""What each module here is of use with; its `switch_on` is told a registry, twice or more."""
_instrumenting = RLock()


def instrument(registry: BreakerRegistry = default_registry) -> tuple[str, ...]:
    """Export the breakers of a registry by all that is installed, and give the names of that.

    With prometheus-client, a `BreakerCollector` is registered with its `REGISTRY`. With
    opentelemetry-api, the breakers are instrumented for the global providers, which may be set
    later. Doing it twice changes nothing.

    Raises `BreakerConfigError` if nothing is installed, or if another registry was there first.
    """
    validation.instance("registry", registry, BreakerRegistry, "Leave it out for the default one")
    found = [name for name, needed in _NEEDS.items() if is_installed(needed)]
    if not found:
        raise BreakerConfigError(
            "there is nothing to export metrics with. Install it with: "
            + " or ".join(PACKAGES[needed].command for needed in _NEEDS.values())
        )
    with _instrumenting:
        for name in found:
            import_module(f"{__name__}.{name}").switch_on(registry)
    return tuple(found)
