"""A scrape of breakers: its series, and its validity with hostile names."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client import generate_latest as generate_latest_of_the_client
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
)
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.telemetry.collector import ExportedBreakers
from breaker_asgi.telemetry.durations import BUCKETS
from breaker_asgi.telemetry.metrics import METRICS
from breaker_asgi.telemetry.prometheus import BreakerCollector, generate_latest
from breaker_asgi.testing import FakeClock
from tests.telemetry.scraping import HOSTILE, scrape

PREFIX = "circuitbreaker_"


@pytest.fixture
def collector(registry: BreakerRegistry) -> BreakerCollector:
    return BreakerCollector(registry)


@pytest.fixture
def bank(registry: BreakerRegistry, config: BreakerConfig) -> CircuitBreaker:
    """Two failures in a row open the breaker for ten seconds."""
    return registry.get("bank", defaults=config)


def values(collector: BreakerCollector) -> dict[str, float]:
    """Return each series of a scrape by its name and label values."""
    return dict(_values(text_string_to_metric_families(scrape(collector))))


def _values(families: Any) -> Iterator[tuple[str, float]]:
    for family in families:
        for sample in family.samples:
            labels = " ".join(sample.labels[label] for label in sorted(sample.labels))
            yield f"{sample.name.removeprefix(PREFIX)} {labels}".strip(), sample.value


def open_it(bank: CircuitBreaker) -> None:
    for _ in range(2):
        bank.acquire().failure()


# The series


def test_a_new_breaker_has_all_its_series(
    collector: BreakerCollector, bank: CircuitBreaker
) -> None:
    assert values(collector) == {
        "state bank closed": 1,
        "state bank open": 0,
        "state bank half_open": 0,
        "state bank closing": 0,
        "state bank forced_open": 0,
        "state bank disabled": 0,
        "state bank metrics_only": 0,
        "calls_total bank success": 0,
        "calls_total bank failure": 0,
        "calls_total bank ignored": 0,
        "slow_calls_total bank": 0,
        "rejected_calls_total bank": 0,
        "consecutive_failures bank": 0,
        "consecutive_failures_threshold bank": 2,
        "transitions_total closed bank open": 0,
        "transitions_total open bank half_open": 0,
        "transitions_total half_open bank open": 0,
        "transitions_total half_open bank closed": 0,
        "probes_total bank success": 0,
        "probes_total bank failure": 0,
        "probes_total bank ignored": 0,
        "not_exported": 0,
        **{f"call_duration_seconds_bucket {bound} bank": 0 for bound in (*BUCKETS, "+Inf")},
        "call_duration_seconds_count bank": 0,
        "call_duration_seconds_sum bank": 0,
    }


def test_calls_are_counted_by_outcome(collector: BreakerCollector, bank: CircuitBreaker) -> None:
    for outcome, times in (("success", 3), ("failure", 1), ("ignore", 2)):
        for _ in range(times):
            getattr(bank.acquire(), outcome)()
    samples = values(collector)
    assert samples["calls_total bank success"] == 3
    assert samples["calls_total bank failure"] == 1
    assert samples["calls_total bank ignored"] == 2
    assert samples["consecutive_failures bank"] == 1


def test_transitions_rejections_and_probes_are_counted(
    collector: BreakerCollector, bank: CircuitBreaker, clock: FakeClock
) -> None:
    open_it(bank)
    with pytest.raises(Exception, match="bank"):
        bank.acquire()
    clock.advance(11)
    bank.acquire().failure()
    samples = values(collector)
    assert (samples["state bank open"], samples["state bank closed"]) == (1, 0)
    assert samples["rejected_calls_total bank"] == 1
    assert samples["transitions_total closed bank open"] == 1
    assert samples["transitions_total open bank half_open"] == 1
    assert samples["transitions_total half_open bank open"] == 1
    assert samples["probes_total bank failure"] == 1


def test_changes_of_a_ramp_are_exported_once_they_have_happened(
    collector: BreakerCollector, registry: BreakerRegistry, clock: FakeClock
) -> None:
    ramped = registry.get("ramped", ramp=30, clock=clock)
    assert not any("closing ramped" in series for series in _transitions(collector))
    ramped.half_open()
    ramped.acquire().success()
    assert values(collector)["state ramped closing"] == 1
    clock.advance(31)
    ramped.acquire().success()
    samples = _transitions(collector)
    assert samples["transitions_total half_open ramped closing"] == 1
    assert samples["transitions_total closing ramped closed"] == 1
    assert "transitions_total closing ramped open" not in samples


def _transitions(collector: BreakerCollector) -> dict[str, float]:
    return {
        series: value
        for series, value in values(collector).items()
        if series.startswith("transitions_total")
    }


def test_rates_are_exported_from_minimum_calls_on(
    collector: BreakerCollector, registry: BreakerRegistry, clock: FakeClock
) -> None:
    rated = registry.get(
        "rated",
        failure_rate=0.5,
        slow_call_rate=0.75,
        slow_call_duration=1,
        minimum_calls=4,
        clock=clock,
    )
    with rated:
        clock.advance(2)
    samples = values(collector)
    assert "failure_rate rated" not in samples
    assert "slow_call_rate rated" not in samples
    assert "consecutive_failures_threshold rated" not in samples
    assert samples["failure_rate_threshold rated"] == 0.5
    assert samples["slow_call_rate_threshold rated"] == 0.75
    rated.acquire().failure()
    for _ in range(2):
        rated.acquire().success()
    samples = values(collector)
    assert (samples["failure_rate rated"], samples["slow_call_rate rated"]) == (0.25, 0.25)
    assert samples["slow_calls_total rated"] == 1


def test_a_sample_of_durations_is_exported(
    registry: BreakerRegistry, bank: CircuitBreaker, clock: FakeClock
) -> None:
    collector = BreakerCollector(registry, buckets=[0.5, 2])
    collector.tick()
    for seconds in (0.5, 1, 4):
        bank.call(clock.advance, seconds)
    collector.tick()
    samples = values(collector)
    name = "call_duration_seconds"
    assert samples[f"{name}_bucket 0.5 bank"] == 1
    assert samples[f"{name}_bucket 2.0 bank"] == 2
    assert samples[f"{name}_bucket +Inf bank"] == samples[f"{name}_count bank"] == 3
    assert samples[f"{name}_sum bank"] == 5.5


def test_calls_under_way_are_exported_where_calls_are_timed(
    collector: BreakerCollector, registry: BreakerRegistry, bank: CircuitBreaker
) -> None:
    search = registry.get("search", slow_call_rate=1, slow_call_duration=2)
    permits = [bank.acquire(), search.acquire()]
    text = scrape(collector)
    for permit in permits:
        permit.success()
    samples = [line for line in text.splitlines() if "_under_way{" in line]
    assert samples == [
        'circuitbreaker_calls_under_way{name="search"} 1.0',
        'circuitbreaker_slow_calls_under_way{name="search"} 0.0',
    ]


def test_the_running_outage_is_exported(
    collector: BreakerCollector, bank: CircuitBreaker, clock: FakeClock
) -> None:
    assert not [name for name in values(collector) if "outage" in name]
    bank.open()
    with pytest.raises(CircuitBreakerError):
        bank.acquire()
    clock.advance(90)
    bank.acquire().failure()
    samples = values(collector)
    assert samples["outage_seconds bank"] == 90
    assert (samples["outage_probes_failed bank"], samples["outage_rejected bank"]) == (1, 1)
    bank.close()
    assert not [name for name in values(collector) if "outage" in name]


def test_the_store_is_exported(collector: BreakerCollector, registry: BreakerRegistry) -> None:
    registry.fleet = fleet = Fleet(MemoryStore())
    assert values(collector)["store_up memory"] == 1
    fleet.step_trouble = "out of reach"
    assert values(collector)["store_up memory"] == 0


def test_breakers_beyond_the_limit_are_counted(registry: BreakerRegistry) -> None:
    for name in "abc":
        registry.get(name)
    samples = values(BreakerCollector(registry, limit=1))
    assert samples["not_exported"] == 2
    assert [name for name in samples if name.startswith("slow_calls")] == ["slow_calls_total a"]


def test_a_breaker_that_is_gone_takes_its_series_along(registry: BreakerRegistry) -> None:
    registry.limit = 1
    collector = BreakerCollector(registry)
    registry.get("first")
    collector.tick()
    assert "slow_calls_total first" in values(collector)
    registry.get("second")
    gc.collect()
    samples = values(collector)
    assert "slow_calls_total second" in samples
    assert not [name for name in samples if "first" in name]


def test_constant_labels_are_added_to_each_series(
    registry: BreakerRegistry, bank: CircuitBreaker, clock: FakeClock
) -> None:
    collector = BreakerCollector(registry, labels={"shop": "north"})
    open_it(bank)
    collector.tick()
    clock.advance(11)
    bank.call(clock.advance, 1)
    collector.tick()
    families = list(text_string_to_metric_families(scrape(collector)))
    assert len(families) > 8
    assert {sample.labels["shop"] for family in families for sample in family.samples} == {"north"}


# Costs and registration


def test_registration_reads_no_breaker(
    collector: BreakerCollector, bank: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExportedBreakers, "rows", lambda _: pytest.fail("read"))
    CollectorRegistry(auto_describe=True).register(collector)


def test_each_metric_is_described(collector: BreakerCollector) -> None:
    families = collector.describe()
    described = [(family.name, family.type, family.documentation) for family in families]
    expected = [(metric.name, metric.kind, metric.text) for metric in METRICS]
    assert sorted(described) == sorted(expected)


def test_a_second_collector_is_refused_in_the_same_registry(collector: BreakerCollector) -> None:
    with pytest.raises(ValueError, match="circuitbreaker_state"):
        scrape(collector, BreakerCollector(BreakerRegistry()))


def test_calls_stay_on_the_fast_path(collector: BreakerCollector, bank: CircuitBreaker) -> None:
    scrape(collector)
    assert bank._fast_record is not None
    assert bank.listeners == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": 0}, "limit=0 is not allowed"),
        ({"buckets": ()}, r"buckets=\(\) is not allowed"),
        ({"labels": "shop"}, "labels='shop' is not allowed"),
        ({"labels": {"my-shop": "x"}}, "a label='my-shop' is not allowed"),
        ({"labels": {"__shop": "x"}}, "a label='__shop' is not allowed"),
        ({"labels": {"name": "x"}}, "a label='name' is not allowed"),
        ({"labels": {"le": "x"}}, "a label='le' is not allowed"),
        ({"labels": {"shop": 1}}, r"labels\['shop'\]=1 is not allowed"),
    ],
)
def test_a_wrong_setting_is_refused(
    registry: BreakerRegistry, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BreakerConfigError, match=message):
        BreakerCollector(registry, **settings)


def test_an_object_other_than_a_registry_is_refused() -> None:
    with pytest.raises(BreakerConfigError, match="give a BreakerRegistry"):
        BreakerCollector("payments")  # type: ignore[arg-type]


# The text


def names(families: Iterable[Metric]) -> set[str]:
    return {sample.labels["name"] for family in families for sample in family.samples
            if "name" in sample.labels}  # fmt: skip


def test_valid_names_survive_a_scrape(hostile: BreakerCollector) -> None:
    scraped = names(text_string_to_metric_families(scrape(hostile)))
    assert len(scraped) == len(HOSTILE)
    assert set(HOSTILE) - scraped == {"\ud800", "x" * 10_000, "\u00e9" * 10_000}


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("label", ["app", "shop"])
def test_the_text_is_the_one_that_the_client_library_writes(
    registry: BreakerRegistry, label: str
) -> None:
    exported = CollectorRegistry()
    exported.register(BreakerCollector(registry, labels={label: HOSTILE[6]}))
    Counter("orders", "Orders by country.", ["country"], registry=exported).labels("fr").inc()
    assert generate_latest(exported) == generate_latest_of_the_client(exported)


def test_the_text_may_be_restricted_to_some_metrics(hostile: BreakerCollector) -> None:
    registry = CollectorRegistry()
    registry.register(hostile)
    restricted = registry.restricted_registry(["circuitbreaker_slow_calls_total"])
    text = generate_latest(restricted).decode()
    assert text.count("\ncircuitbreaker_") == len(HOSTILE)


def test_the_openmetrics_format_is_valid(hostile: BreakerCollector) -> None:
    registry = CollectorRegistry()
    registry.register(hostile)
    text = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    families = read_openmetrics(text)  # type: ignore[no-untyped-call]
    assert len(names(families)) == len(HOSTILE)
