"""The export to OpenTelemetry: collected metrics, and span events."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider as AnyMeterProvider
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
)
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.telemetry import opentelemetry
from breaker_asgi.telemetry.durations import clockwork
from breaker_asgi.telemetry.opentelemetry import Instrumentation, instrument
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit

NAME = "circuitbreaker.name"


class Reading(NamedTuple):
    """The points of each instrument at one collection, by their attributes."""

    points: dict[str, dict[frozenset[tuple[str, Any]], Any]]
    units: dict[str, str]

    def value(self, instrument: str, **attributes: str) -> Any:
        named = {f"circuitbreaker.{name}": value for name, value in attributes.items()}
        return self.points[instrument][frozenset(named.items())]


class Meters:
    """An SDK whose reader collects on demand."""

    def __init__(self, temporality: AggregationTemporality | None = None) -> None:
        chosen: dict[type, AggregationTemporality] = {}
        if temporality is not None:
            chosen[ObservableCounter] = temporality
        self._reader = InMemoryMetricReader(preferred_temporality=chosen)
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def collect(self) -> Reading:
        reading = Reading({}, {})
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "breaker_asgi"
                for metric in scope.metrics:
                    reading.units[metric.name] = metric.unit or ""
                    reading.points[metric.name] = {
                        frozenset((point.attributes or {}).items()): getattr(point, "value", point)
                        for point in metric.data.data_points
                    }
        return reading


@pytest.fixture
def meters() -> Iterator[Meters]:
    meters = Meters()
    yield meters
    meters.provider.shutdown()


@pytest.fixture
def instrumented(registry: BreakerRegistry, meters: Meters) -> Iterator[Instrumentation]:
    instrumentation = instrument(registry, meter_provider=meters.provider)
    yield instrumentation
    instrumentation.uninstrument()


@pytest.fixture
def bank(registry: BreakerRegistry, config: BreakerConfig) -> CircuitBreaker:
    return registry.get("bank", defaults=config)


def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(2):
        breaker.acquire().failure()


@pytest.mark.usefixtures("instrumented")
class TestInstruments:
    def test_calls_are_counted_by_outcome(self, bank: CircuitBreaker, meters: Meters) -> None:
        for outcome in ("success", "success", "ignore", "failure"):
            getattr(bank.acquire(), outcome)()
        reading = meters.collect()
        counts = {
            outcome: reading.value("circuitbreaker.calls", name="bank", outcome=outcome)
            for outcome in ("success", "failure", "ignored")
        }
        assert counts == {"success": 2, "failure": 1, "ignored": 1}

    def test_calls_under_way_are_read_where_calls_are_timed(
        self, registry: BreakerRegistry, bank: CircuitBreaker, meters: Meters
    ) -> None:
        search = registry.get("search", slow_call_rate=1, slow_call_duration=2)
        permits = [bank.acquire(), search.acquire()]
        reading = meters.collect()
        for permit in permits:
            permit.success()
        assert reading.value("circuitbreaker.calls_under_way", name="search") == 1
        assert reading.value("circuitbreaker.slow_calls_under_way", name="search") == 0
        assert len(reading.points["circuitbreaker.calls_under_way"]) == 1

    def test_the_running_outage_is_read(self, bank: CircuitBreaker, meters: Meters) -> None:
        assert not meters.collect().points.get("circuitbreaker.outage_seconds")
        open_it(bank)
        with pytest.raises(CircuitBreakerError):
            bank.acquire()
        reading = meters.collect()
        assert reading.value("circuitbreaker.outage_seconds", name="bank") == 0
        assert reading.value("circuitbreaker.outage_probes_failed", name="bank") == 0
        assert reading.value("circuitbreaker.outage_rejected", name="bank") == 1

    def test_metrics_are_read_anew_at_each_collection(
        self, bank: CircuitBreaker, meters: Meters
    ) -> None:
        values = []
        for _ in range(3):
            bank.acquire().success()
            reading = meters.collect()
            values.append(reading.value("circuitbreaker.calls", name="bank", outcome="success"))
        assert values == [1, 2, 3]

    def test_the_state_is_reported_as_one_of_seven(
        self, bank: CircuitBreaker, meters: Meters
    ) -> None:
        bank.force_open()
        states = meters.collect().points["circuitbreaker.state"]
        assert len(states) == 7
        (is_in,) = (attributes for attributes, value in states.items() if value == 1)
        assert dict(is_in) == {NAME: "bank", "circuitbreaker.state": "forced_open"}

    def test_rejections_transitions_and_probes_are_counted(
        self, bank: CircuitBreaker, meters: Meters, clock: FakeClock
    ) -> None:
        open_it(bank)
        with pytest.raises(CircuitBreakerError):
            bank.acquire()
        clock.advance(11)
        bank.acquire().success()
        reading = meters.collect()
        assert reading.value("circuitbreaker.rejected_calls", name="bank") == 1
        assert reading.value("circuitbreaker.probes", name="bank", outcome="success") == 1
        change = {"from_state": "closed", "to_state": "open"}
        assert reading.value("circuitbreaker.transitions", name="bank", **change) == 1

    def test_rates_are_reported_with_their_limits(
        self, registry: BreakerRegistry, clock: FakeClock, meters: Meters
    ) -> None:
        rated = BreakerConfig(failure_rate=0.5, minimum_calls=4, clock=clock)
        shop = registry.get("shop", defaults=rated)
        for outcome in ("success", "success", "success", "failure"):
            getattr(shop.acquire(), outcome)()
        reading = meters.collect()
        assert reading.value("circuitbreaker.failure_rate", name="shop") == 0.25
        assert reading.value("circuitbreaker.failure_rate_threshold", name="shop") == 0.5
        assert reading.value("circuitbreaker.consecutive_failures", name="shop") == 1
        assert "circuitbreaker.slow_call_rate" not in reading.points
        assert "circuitbreaker.consecutive_failures_threshold" not in reading.points

    def test_the_store_is_reported(self, registry: BreakerRegistry, meters: Meters) -> None:
        assert "circuitbreaker.store_up" not in meters.collect().points
        registry.fleet = Fleet(MemoryStore())
        label = registry.fleet.store.label
        assert meters.collect().value("circuitbreaker.store_up", store=label) == 1
        registry.fleet.step_trouble = "it is gone"
        assert meters.collect().value("circuitbreaker.store_up", store=label) == 0

    def test_each_metric_has_its_unit(
        self, bank: CircuitBreaker, meters: Meters, clock: FakeClock
    ) -> None:
        clockwork.tick()
        permit = bank.acquire()
        clock.advance(0.3)
        permit.success()
        clockwork.tick()
        units = meters.collect().units
        assert {name: units[name] for name in units if "threshold" not in name} == {
            "circuitbreaker.call.duration": "s",
            "circuitbreaker.calls": "{call}",
            "circuitbreaker.consecutive_failures": "{call}",
            "circuitbreaker.not_exported": "{breaker}",
            "circuitbreaker.probes": "{call}",
            "circuitbreaker.rejected_calls": "{call}",
            "circuitbreaker.slow_calls": "{call}",
            "circuitbreaker.state": "{breaker}",
            "circuitbreaker.transitions": "{transition}",
        }

    def test_a_sample_of_durations_is_recorded(
        self, bank: CircuitBreaker, meters: Meters, clock: FakeClock
    ) -> None:
        clockwork.tick()
        for _ in range(2):
            permit = bank.acquire()
            clock.advance(0.3)
            permit.success()
        clockwork.tick()
        point = meters.collect().value("circuitbreaker.call.duration", name="bank")
        assert (point.count, point.sum) == (2, pytest.approx(0.6))
        assert point.explicit_bounds[:2] == (0.005, 0.01)

    def test_a_breaker_that_is_gone_takes_its_points_along(
        self, registry: BreakerRegistry, config: BreakerConfig, meters: Meters
    ) -> None:
        breaker = registry.add(CircuitBreaker.from_config(config, "short"))
        assert (NAME, "short") in next(iter(meters.collect().points["circuitbreaker.slow_calls"]))
        del registry._breakers.kept["short"], breaker
        gc.collect()
        assert "circuitbreaker.slow_calls" not in meters.collect().points

    def test_counters_continue_when_a_breaker_is_made_again(
        self, registry: BreakerRegistry, config: BreakerConfig, meters: Meters
    ) -> None:
        for calls, expected in ((3, 3), (1, 4), (2, 6)):
            breaker = registry.add(CircuitBreaker.from_config(config, "short"))
            for _ in range(calls):
                breaker.acquire().success()
            if calls == 3:
                breaker.disable()
            for reading in (meters.collect(), meters.collect()):
                value = reading.value("circuitbreaker.calls", name="short", outcome="success")
                assert value == expected
                by_hand = {"from_state": "closed", "to_state": "disabled"}
                assert reading.value("circuitbreaker.transitions", name="short", **by_hand) == 1
            del registry._breakers.kept["short"], breaker
            gc.collect()

    def test_a_name_that_is_not_valid_unicode_is_escaped(
        self, registry: BreakerRegistry, meters: Meters
    ) -> None:
        registry.get("half \ud800 a character")
        registry.get(r"half \ud800 a character")
        points = meters.collect().points["circuitbreaker.slow_calls"]
        first, second = (str(dict(attributes)[NAME]) for attributes in points)
        assert first.startswith(r"half \ud800 a character...")
        assert second == r"half \ud800 a character"


class TestSettings:
    def test_breakers_beyond_the_limit_are_counted(
        self, registry: BreakerRegistry, meters: Meters
    ) -> None:
        for name in ("a", "b", "c"):
            registry.get(name)
        instrument(registry, limit=2, meter_provider=meters.provider)
        reading = meters.collect()
        assert len(reading.points["circuitbreaker.slow_calls"]) == 2
        assert reading.points["circuitbreaker.not_exported"] == {frozenset(): 1}

    def test_attributes_distinguish_registries(self, meters: Meters) -> None:
        registries = {which: BreakerRegistry() for which in ("one", "other")}
        for which, registry in registries.items():
            registry.get("bank")
            instrument(registry, attributes={"shop": which}, meter_provider=meters.provider)
        points = meters.collect().points["circuitbreaker.slow_calls"]
        assert points == {
            frozenset({(NAME, "bank"), ("shop", "one")}): 0,
            frozenset({(NAME, "bank"), ("shop", "other")}): 0,
        }

    def test_instrumenting_twice_returns_the_first(
        self, registry: BreakerRegistry, meters: Meters
    ) -> None:
        first = instrument(registry, meter_provider=meters.provider)
        assert instrument(registry, meter_provider=meters.provider) is first
        assert registry._listeners == (first._events,)

    def test_other_settings_are_refused(self, registry: BreakerRegistry, meters: Meters) -> None:
        instrument(registry, meter_provider=meters.provider)
        with pytest.raises(BreakerConfigError, match="instrumented already"):
            instrument(registry, meter_provider=meters.provider, limit=5)

    @pytest.mark.parametrize(
        "settings",
        [
            {"registry": "default"},
            {"limit": 0},
            {"meter_provider": "sdk"},
            {"attributes": ["shop"]},
            {"attributes": {"shop": 5}},
            {"attributes": {"circuitbreaker.name": "x"}},
            {"attributes": {"error.type": "x"}},
        ],
    )
    def test_wrong_settings_are_refused(self, settings: dict[str, Any]) -> None:
        (setting,) = settings
        with pytest.raises(BreakerConfigError, match=setting.rstrip("s")):
            instrument(**{"registry": BreakerRegistry(), **settings})


class TestUninstrument:
    def test_an_uninstrumented_registry_exports_nothing(
        self, registry: BreakerRegistry, bank: CircuitBreaker, meters: Meters
    ) -> None:
        instrumentation = instrument(registry, meter_provider=meters.provider)
        instrumentation.uninstrument()
        instrumentation.uninstrument()
        clockwork.tick()
        assert meters.collect().points == {}
        assert bank.listeners == registry._listeners == ()

    def test_a_registry_can_be_instrumented_again(
        self, registry: BreakerRegistry, bank: CircuitBreaker, meters: Meters
    ) -> None:
        instrument(registry, meter_provider=meters.provider).uninstrument()
        instrument(registry, meter_provider=meters.provider)
        assert meters.collect().value("circuitbreaker.slow_calls", name="bank") == 0

    @pytest.mark.parametrize(
        ("temporality", "expected"),
        [
            (AggregationTemporality.CUMULATIVE, [5, 7, 7, 12, 13]),
            (AggregationTemporality.DELTA, [5, 2, 0, 5, 1]),
        ],
        ids=["cumulative", "delta"],
    )
    def test_counters_continue_when_a_registry_is_instrumented_again(
        self,
        registry: BreakerRegistry,
        config: BreakerConfig,
        temporality: AggregationTemporality,
        expected: list[int],
    ) -> None:
        meters = Meters(temporality)

        def count(*, calls: int) -> int:
            """Make a breaker anew, call it, and return the exported count."""
            breaker = registry.add(CircuitBreaker.from_config(config, "bank"))
            for _ in range(calls):
                breaker.acquire().success()
            value: int = meters.collect().value(
                "circuitbreaker.calls", name="bank", outcome="success"
            )
            del registry._breakers.kept["bank"], breaker
            gc.collect()
            return value

        instrumentation = instrument(registry, meter_provider=meters.provider)
        counts = [count(calls=5), count(calls=2)]
        for calls in (0, 5):
            instrumentation.uninstrument()
            assert meters.collect().points == {}
            instrumentation = instrument(registry, meter_provider=meters.provider)
            counts.append(count(calls=calls))
        assert [*counts, count(calls=1)] == expected
        meters.provider.shutdown()

    def test_a_registry_that_is_gone_is_forgotten(self, meters: Meters) -> None:
        registry = BreakerRegistry()
        registry.get("bank")
        gone = weakref.ref(instrument(registry, meter_provider=meters.provider))
        meters.collect()
        del registry
        gc.collect()
        assert gone() is None
        assert meters.collect().points == {}


class Spans:
    """An SDK that keeps ended spans."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = provider.get_tracer("test")

    def events(self, span: str) -> list[tuple[str, dict[str, Any]]]:
        ended = [record for record in self._exporter.get_finished_spans() if record.name == span]
        return [
            (event.name, dict(event.attributes or {}))
            for record in ended
            for event in record.events
        ]


@pytest.fixture
def spans() -> Spans:
    return Spans()


OPENED = (
    "circuitbreaker.transition",
    {
        NAME: "bank",
        "circuitbreaker.from_state": "closed",
        "circuitbreaker.to_state": "open",
        "circuitbreaker.reason": "2 failures in a row",
    },
)
REJECTED = (
    "circuitbreaker.rejected",
    {
        NAME: "bank",
        "circuitbreaker.state": "open",
        "circuitbreaker.reason": "2 failures in a row",
        "circuitbreaker.retry_after": 10.0,
        "error.type": "breaker_asgi.CircuitBreakerError",
    },
)


@pytest.mark.usefixtures("instrumented")
class TestSpanEvents:
    def test_the_current_span_gets_the_events(self, bank: CircuitBreaker, spans: Spans) -> None:
        with spans.tracer.start_as_current_span("trips"):
            open_it(bank)
        with (
            spans.tracer.start_as_current_span("rejected"),
            spans.tracer.start_as_current_span("inner"),
            pytest.raises(CircuitBreakerError),
        ):
            bank.acquire()
        assert spans.events("trips") == [OPENED]
        assert spans.events("inner") == [REJECTED]
        assert spans.events("rejected") == []

    def test_admitted_calls_add_no_events(self, bank: CircuitBreaker, spans: Spans) -> None:
        with spans.tracer.start_as_current_span("calls"):
            bank.acquire().success()
            bank.acquire().failure()
            bank.acquire().ignore()
        assert spans.events("calls") == []

    def test_a_successful_call_stays_on_the_fast_path(self, bank: CircuitBreaker) -> None:
        assert bank._fast_record is not None

    async def test_each_task_adds_events_to_its_own_span(
        self, bank: CircuitBreaker, spans: Spans
    ) -> None:
        open_it(bank)

        @bank
        async def work() -> None: ...

        async def request(name: str) -> None:
            with spans.tracer.start_as_current_span(name):
                await asyncio.sleep(0)
                with pytest.raises(CircuitBreakerError):
                    await work()

        await asyncio.gather(request("one"), request("other"))
        assert spans.events("one") == spans.events("other") == [REJECTED]

    def test_a_thread_in_the_requests_context_adds_to_the_requests_span(
        self, bank: CircuitBreaker, spans: Spans
    ) -> None:
        with spans.tracer.start_as_current_span("request"):
            run = contextvars.copy_context().run
            thread = threading.Thread(target=run, args=(open_it, bank))
            thread.start()
            thread.join()
        assert spans.events("request") == [OPENED]

    def test_a_thread_without_the_context_adds_no_events(
        self, bank: CircuitBreaker, spans: Spans
    ) -> None:
        with spans.tracer.start_as_current_span("request"):
            thread = threading.Thread(target=open_it, args=(bank,))
            thread.start()
            thread.join()
        assert spans.events("request") == []
        assert bank.state == "open"

    def test_an_ended_span_gets_no_events(
        self, bank: CircuitBreaker, spans: Spans, caplog: pytest.LogCaptureFixture
    ) -> None:
        with spans.tracer.start_as_current_span("over", end_on_exit=False) as span:
            span.end()
            open_it(bank)
            with pytest.raises(CircuitBreakerError):
                bank.acquire()
        assert spans.events("over") == []
        assert {record.name for record in caplog.records} == {"breaker_asgi"}

    def test_calls_outside_of_a_span_add_no_events(self, bank: CircuitBreaker) -> None:
        open_it(bank)
        with pytest.raises(CircuitBreakerError):
            bank.acquire()

    async def test_the_span_of_a_rejected_request_has_the_rejection(
        self, registry: BreakerRegistry, spans: Spans
    ) -> None:
        async def orders(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError

        guarded = BreakerMiddleware(orders, registry=registry, name=lambda _route, _scope: "bank")

        async def traced(scope: Any, receive: Any, send: Any) -> None:
            with spans.tracer.start_as_current_span("GET /orders"):
                await guarded(scope, receive, send)

        registry.get("bank").force_open()
        assert (await visit(traced, "/orders")).status == 503
        ((name, attributes),) = spans.events("GET /orders")
        assert name == "circuitbreaker.rejected"
        assert attributes["circuitbreaker.state"] == "forced_open"

    async def test_the_span_of_a_request_that_trips_a_route_has_the_transition(
        self, registry: BreakerRegistry, spans: Spans
    ) -> None:
        from fastapi import FastAPI, HTTPException  # noqa: PLC0415

        app = FastAPI()

        @app.get("/orders")
        def orders() -> None:
            raise HTTPException(500)

        guarded = BreakerMiddleware(app, registry=registry, config=BreakerConfig(fail_max=1))

        async def traced(scope: Any, receive: Any, send: Any) -> None:
            with spans.tracer.start_as_current_span("request"):
                await guarded(scope, receive, send)

        assert (await visit(traced, "/orders")).status == 500
        ((name, attributes),) = spans.events("request")
        assert name == "circuitbreaker.transition"
        assert attributes[NAME] == "GET /orders"


class BrokenProvider(AnyMeterProvider):
    """A provider that raises."""

    attempts = 0

    def get_meter(self, *args: Any, **kwargs: Any) -> Any:
        self.attempts += 1
        raise RuntimeError("no meter today")


class TestHurtsNothing:
    @pytest.fixture
    def log(self, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
        return lambda: [
            record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR
        ]

    def test_a_provider_that_raises_is_logged_once(
        self, registry: BreakerRegistry, bank: CircuitBreaker, log: Callable[[], list[str]]
    ) -> None:
        broken = BrokenProvider()
        for _ in range(2):
            instrument(registry, meter_provider=broken).uninstrument()
        assert broken.attempts == 2
        assert log() == ["BrokenProvider failed in making instruments; not logged again"]

    def test_span_events_work_without_meters(
        self, registry: BreakerRegistry, bank: CircuitBreaker, spans: Spans
    ) -> None:
        instrument(registry, meter_provider=BrokenProvider())
        with spans.tracer.start_as_current_span("trips"):
            open_it(bank)
        assert spans.events("trips") == [OPENED]

    def test_values_that_can_not_be_read_are_logged_once(
        self,
        bank: CircuitBreaker,
        instrumented: Instrumentation,
        meters: Meters,
        log: Callable[[], list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(instrumented, "_exported", None)
            for _ in range(2):
                assert meters.collect().points == {}
        assert log() == ["Instrumentation failed in being observed; not logged again"]
        assert meters.collect().value("circuitbreaker.slow_calls", name="bank") == 0

    def test_a_span_that_raises_affects_no_call(
        self,
        bank: CircuitBreaker,
        instrumented: Instrumentation,
        log: Callable[[], list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def broken() -> None:
            raise RuntimeError

        monkeypatch.setattr("opentelemetry.trace.get_current_span", broken)
        open_it(bank)
        for _ in range(2):
            with pytest.raises(CircuitBreakerError):
                bank.acquire()
        assert log() == [
            "SpanEvents failed in state_change; not logged again",
            "SpanEvents failed in rejected; not logged again",
        ]


class TestWithoutSdk:
    @pytest.mark.parametrize("provider", [None, NoOpMeterProvider()])
    def test_calls_are_not_timed(
        self,
        registry: BreakerRegistry,
        bank: CircuitBreaker,
        provider: AnyMeterProvider | None,
    ) -> None:
        instrumentation = instrument(registry, meter_provider=provider)
        clockwork.tick()
        assert bank._to_time == 0
        assert bank._fast_record is not None
        open_it(bank)
        with pytest.raises(CircuitBreakerError):
            bank.acquire()
        instrumentation.uninstrument()

    def test_the_global_provider_may_be_passed_explicitly(self, registry: BreakerRegistry) -> None:
        instrumentation = instrument(registry, meter_provider=metrics.get_meter_provider())
        assert instrument(registry) is instrumentation
        instrumentation.uninstrument()


def test_switching_on_keeps_explicit_settings(registry: BreakerRegistry, meters: Meters) -> None:
    own = instrument(registry, meter_provider=meters.provider, limit=5)
    opentelemetry.switch_on(registry)
    assert cast("Any", opentelemetry)._instrumented[registry] is own


def test_a_child_process_reads_with_a_lock_of_its_own(instrumented: Instrumentation) -> None:
    before = instrumented._reading
    instrumented.start_anew()
    assert instrumented._reading is not before


def test_a_store_label_that_is_not_valid_unicode_is_escaped(
    registry: BreakerRegistry, instrumented: Instrumentation, meters: Meters
) -> None:
    registry.fleet = Fleet(MemoryStore())
    registry.fleet.store.__dict__["label"] = "sqlite:///\udcff.db"
    [(attributes, value)] = meters.collect().points["circuitbreaker.store_up"].items()
    label = str(dict(attributes)["circuitbreaker.store"])
    assert label.startswith(r"sqlite:///\udcff.db...")
    assert value == 1
