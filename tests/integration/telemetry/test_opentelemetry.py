"""An SDK that is set after breakers are instrumented: each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys


def test_an_sdk_may_be_set_after_instrumenting() -> None:
    script = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from breaker_asgi import CircuitBreaker
from breaker_asgi.telemetry.durations import clockwork
from breaker_asgi.telemetry.opentelemetry import instrument

bank = CircuitBreaker(name="bank")
instrument()
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
clockwork.tick()
bank(len)("x")
for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
    print(scope.scope.name, *sorted(metric.name for metric in scope.metrics))
"""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        check=True,
        capture_output=True,
        text=True,
    )
    assert process.stdout.startswith("breaker_asgi circuitbreaker.calls circuitbreaker.")
    assert process.stderr == ""


def test_rejections_are_not_listened_to_until_a_span_sdk_is_set() -> None:
    script = """
from breaker_asgi import CircuitBreaker
from breaker_asgi.telemetry.durations import clockwork
from breaker_asgi.telemetry.opentelemetry import instrument

bank = CircuitBreaker(name="bank")
instrumentation = instrument()
bank.open()
clockwork.tick()
print(not bank._listeners.to_rejections)

from opentelemetry import trace
trace.set_tracer_provider(type("Own", (trace.TracerProvider,), {"get_tracer": None})())
clockwork.tick()
print(bool(bank._listeners.to_rejections))
instrumentation.uninstrument()
clockwork.tick()
print(not bank._listeners.to_rejections)
"""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        check=True,
        capture_output=True,
        text=True,
    )
    assert process.stdout.split() == ["True"] * 3
