"""Metrics of breakers that share a name: their calls together, and the state of the worst."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker
from breaker_asgi.telemetry.collector import ExportedBreakers
from breaker_asgi.telemetry.metrics import CALLS
from breaker_asgi.telemetry.opentelemetry import instrument
from breaker_asgi.telemetry.prometheus import BreakerCollector
from breaker_asgi.telemetry.prometheus_multiprocess import Workers
from breaker_asgi.testing import FakeClock

SUCCESSES = {"name": "bank", "outcome": "success"}


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


def make(registry: BreakerRegistry) -> CircuitBreaker:
    breaker = CircuitBreaker.from_config(BreakerConfig(clock=FakeClock()), "bank")
    registry._register_weakly(breaker)
    return breaker


@pytest.fixture
def older(registry: BreakerRegistry) -> CircuitBreaker:
    return make(registry)


@pytest.fixture
def newer(registry: BreakerRegistry, older: CircuitBreaker) -> CircuitBreaker:
    assert older.name == "bank"
    return make(registry)


def succeed(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.acquire().success()


def scraped(registry: BreakerRegistry) -> CollectorRegistry:
    metrics = CollectorRegistry()
    metrics.register(BreakerCollector(registry))
    return metrics


def test_prometheus_gets_the_calls_of_all_namesakes_together(
    registry: BreakerRegistry, older: CircuitBreaker, newer: CircuitBreaker
) -> None:
    succeed(older, 2)
    succeed(newer, 3)
    metrics = scraped(registry)
    assert metrics.get_sample_value("circuitbreaker_calls_total", SUCCESSES) == 5


def test_calls_under_way_of_all_namesakes_are_added_up(
    registry: BreakerRegistry, older: CircuitBreaker
) -> None:
    clock = FakeClock()
    timed = BreakerConfig(slow_call_rate=1, slow_call_duration=2, clock=clock)
    breakers = [older, *(CircuitBreaker.from_config(timed, "bank") for _ in range(2))]
    for breaker in breakers[1:]:
        registry._register_weakly(breaker)
    early = [breaker.acquire() for breaker in breakers]
    clock.advance(3)
    late = breakers[1].acquire()
    metrics = scraped(registry)
    values = [
        metrics.get_sample_value(f"circuitbreaker_{name}_under_way", {"name": "bank"})
        for name in ("calls", "slow_calls")
    ]
    for permit in (*early, late):
        permit.success()
    assert values == [3, 2]


def test_no_counter_goes_back_when_another_one_is_the_worst(
    registry: BreakerRegistry, older: CircuitBreaker, newer: CircuitBreaker
) -> None:
    succeed(newer, 3)
    metrics = scraped(registry)
    older.force_open()
    assert metrics.get_sample_value("circuitbreaker_calls_total", SUCCESSES) == 3


def test_an_open_one_is_worse_than_one_that_probes(
    registry: BreakerRegistry, older: CircuitBreaker, newer: CircuitBreaker
) -> None:
    older.open()
    newer.half_open()
    assert [row.breaker for row in ExportedBreakers(registry).rows()] == [older]


def test_durations_of_all_namesakes_are_in_one_histogram(
    registry: BreakerRegistry, older: CircuitBreaker, newer: CircuitBreaker
) -> None:
    collector = BreakerCollector(registry)
    collector.tick()
    succeed(older, 1)
    succeed(newer, 1)
    collector.tick()
    metrics = CollectorRegistry()
    metrics.register(collector)
    name = "circuitbreaker_call_duration_seconds_count"
    assert metrics.get_sample_value(name, {"name": "bank"}) == 2


def counted(reader: InMemoryMetricReader) -> Iterator[float]:
    data = reader.get_metrics_data()
    for scope in data.resource_metrics[0].scope_metrics if data else ():
        for metric in scope.metrics:
            for point in metric.data.data_points if metric.name == "circuitbreaker.calls" else ():
                if (point.attributes or {}).get("circuitbreaker.outcome") == "success":
                    yield getattr(point, "value", 0)


def test_opentelemetry_counts_each_call_once_whichever_is_the_worst(
    registry: BreakerRegistry, older: CircuitBreaker, newer: CircuitBreaker
) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    instrumentation = instrument(registry, meter_provider=provider)
    succeed(older, 2)
    succeed(newer, 3)
    counts = [*counted(reader)]
    for change in (older.open, older.reset, newer.open):
        change()
        counts += counted(reader)
    instrumentation.uninstrument()
    assert counts == [5, 5, 5, 5]


@pytest.mark.usefixtures("folder")
def test_workers_count_the_calls_of_all_namesakes(
    registry: BreakerRegistry, older: CircuitBreaker, newer: CircuitBreaker
) -> None:
    workers = Workers(registry, 500, {"shop": "of namesakes"}, (1.0,))
    succeed(older, 2)
    succeed(newer, 3)
    workers.tick()
    assert workers._series(CALLS, ("bank", "success"))._value.get() == 5
