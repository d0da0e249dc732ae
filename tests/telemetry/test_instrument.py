"""`instrument()`: one call exports by each library that is installed."""

from __future__ import annotations

import gc

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from breaker_asgi import BreakerConfigError, BreakerRegistry
from breaker_asgi.telemetry import instrument, opentelemetry, prometheus

TRIP = 'transitions_total{from_state="closed",name="bank",to_state="open"} 1.0'


@pytest.fixture(autouse=True)
def exported(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """Replace prometheus-client's own registry."""
    mine = CollectorRegistry()
    monkeypatch.setattr(prometheus, "REGISTRY", mine)
    monkeypatch.setattr(prometheus, "_registered", [])
    return mine


def test_instrument_registers_a_collector_with_prometheus(
    registry: BreakerRegistry, exported: CollectorRegistry
) -> None:
    registry.get("bank")
    assert "prometheus" in instrument(registry)
    assert 'circuitbreaker_slow_calls_total{name="bank"} 0.0' in generate_latest(exported).decode()


def test_instrumenting_twice_exports_once(
    registry: BreakerRegistry, exported: CollectorRegistry
) -> None:
    registry.get("bank")
    assert instrument(registry) == instrument(registry)
    text = generate_latest(exported).decode()
    assert text.count('circuitbreaker_slow_calls_total{name="bank"}') == 1


def test_a_registry_that_was_uninstrumented_is_instrumented_again(
    registry: BreakerRegistry,
) -> None:
    instrument(registry)
    opentelemetry.instrument(registry).uninstrument()
    assert registry not in opentelemetry._instrumented
    instrument(registry)
    assert registry in opentelemetry._instrumented


def test_a_collector_that_was_unregistered_is_registered_again(
    registry: BreakerRegistry, exported: CollectorRegistry
) -> None:
    bank = registry.get("bank")
    instrument(registry)
    bank.open()
    exported.unregister(*exported._collector_to_names)
    assert generate_latest(exported) == b""
    instrument(registry)
    assert TRIP in generate_latest(exported).decode()


def test_a_registry_that_is_gone_makes_room_for_the_next(exported: CollectorRegistry) -> None:
    def serve() -> BreakerRegistry:
        """Make an application with a registry of its own, as a test might."""
        registry = BreakerRegistry()
        instrument(registry)
        registry.get("bank")
        return registry

    serve().get("bank").open()
    gc.collect()
    assert TRIP not in generate_latest(exported).decode()
    kept = serve()
    kept.get("bank").open()
    assert generate_latest(exported).decode().count(TRIP) == 1


def test_a_second_registry_is_refused_with_a_way_out(registry: BreakerRegistry) -> None:
    instrument(registry)
    with pytest.raises(BreakerConfigError, match="CollectorRegistry of its own"):
        instrument(BreakerRegistry())


def test_an_object_other_than_a_registry_is_refused() -> None:
    with pytest.raises(BreakerConfigError, match="give a BreakerRegistry"):
        instrument("payments")  # type: ignore[arg-type]


def test_the_error_without_libraries_names_the_extras(
    registry: BreakerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breaker_asgi.telemetry.is_installed", lambda _: False)
    with pytest.raises(BreakerConfigError, match=r"\[prometheus\].+ or .+\[opentelemetry\]"):
        instrument(registry)
