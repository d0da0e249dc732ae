"""The exported view of a registry: totals, probes and changes, within the limit."""

from __future__ import annotations

import gc
import logging
import re
import weakref
from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker, CircuitBreakerError
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from breaker_asgi._core.state import CLOSED, HALF_OPEN, OPEN
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.telemetry.collector import ExportedBreakers, StoreRow
from breaker_asgi.telemetry.metrics import CALLS, CumulativeCounters
from breaker_asgi.testing import FakeClock


def names(exported: ExportedBreakers) -> list[str]:
    return [row.name for row in exported.rows()]


# Probes and changes


def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(2):
        breaker.acquire().failure()


def test_probes_are_counted_by_their_outcome_and_other_calls_are_not(
    registry: BreakerRegistry, config: BreakerConfig, clock: FakeClock
) -> None:
    bank = registry.get("bank", defaults=config)
    bank.acquire().success()
    for outcome in ("ignore", "failure", "success"):
        bank.open()
        clock.advance(11)
        getattr(bank.acquire(), outcome)()
    bank.acquire().success()
    (row,) = ExportedBreakers(registry).rows()
    assert row.probes == {IGNORED: 1, FAILURE: 1, SUCCESS: 1}


def test_a_late_probe_is_not_counted(
    registry: BreakerRegistry, config: BreakerConfig, clock: FakeClock
) -> None:
    bank = registry.get("bank", defaults=config)
    bank.half_open()
    late = bank.acquire()
    clock.advance(31)
    bank.acquire().success()
    late.failure()
    (row,) = ExportedBreakers(registry).rows()
    assert row.probes == {SUCCESS: 1}


def test_changes_are_counted_by_pairs_from_the_start_of_the_breaker(
    registry: BreakerRegistry, config: BreakerConfig, clock: FakeClock
) -> None:
    bank = registry.get("bank", defaults=config)
    for _ in range(2):
        open_it(bank)
        clock.advance(11)
        bank.acquire().success()
    (row,) = ExportedBreakers(registry).rows()
    assert row.transitions == {(CLOSED, OPEN): 2, (OPEN, HALF_OPEN): 2, (HALF_OPEN, CLOSED): 2}


def test_a_reset_of_a_closed_breaker_is_no_change(registry: BreakerRegistry) -> None:
    registry.get("bank").reset()
    (row,) = ExportedBreakers(registry).rows()
    assert row.transitions == {}


def test_a_breaker_without_changes_keeps_no_counts(registry: BreakerRegistry) -> None:
    bank = registry.get("bank")
    bank.acquire().success()
    assert bank._rare_counts is None


def test_reading_leaves_calls_on_the_fast_path(registry: BreakerRegistry) -> None:
    bank = registry.get("bank")
    ExportedBreakers(registry).rows()
    assert bank._fast_record is not None
    assert bank.listeners == ()


# Counters of one name


def successes(totals: CumulativeCounters, breaker: CircuitBreaker) -> float:
    registry = BreakerRegistry()
    registry.add(breaker)
    (row,) = ExportedBreakers(registry).rows()
    series = CALLS, (breaker.name, "success")
    (total,) = (value for *of, value in totals.of(row) if tuple(of) == series)
    return total


def test_counters_of_the_latest_names_are_remembered() -> None:
    totals = CumulativeCounters(2)
    for name, expected in (("a", 1), ("b", 1), ("a", 2), ("c", 1), ("b", 1), ("a", 1)):
        breaker = CircuitBreaker(name=name)
        breaker.acquire().success()
        assert successes(totals, breaker) == expected


# The limit


def test_no_more_breakers_are_exported_than_the_limit(registry: BreakerRegistry) -> None:
    for name in "abc":
        registry.get(name)
    exported = ExportedBreakers(registry, limit=2)
    for _ in range(2):
        assert names(exported) == ["a", "b"]
        assert exported.left_out == 1


def test_an_exported_breaker_stays_exported_beside_busier_ones(registry: BreakerRegistry) -> None:
    exported = ExportedBreakers(registry, limit=1)
    first = registry.get("first")
    exported.rows()
    busy = registry.get("busy")
    for _ in range(100):
        busy.acquire().success()
    assert [row.breaker for row in exported.rows()] == [first]


def test_a_breaker_that_is_gone_makes_room_for_another(registry: BreakerRegistry) -> None:
    registry.limit = 1
    exported = ExportedBreakers(registry, limit=1)
    registry.get("first")
    assert names(exported) == ["first"]
    registry.get("second")
    gc.collect()
    assert names(exported) == ["second"]


def test_kept_names_never_exceed_the_limit(
    registry: BreakerRegistry,
) -> None:
    registry.limit = 1
    exported = ExportedBreakers(registry, limit=1, keeps_names=True)
    for name, expected in (("first", ["first"]), ("second", []), ("first", ["first"])):
        registry.get(name)
        gc.collect()
        assert names(exported) == expected


def test_a_dropped_breaker_is_exported_while_it_is_referenced(
    registry: BreakerRegistry,
) -> None:
    registry.limit = 1
    exported = ExportedBreakers(registry)
    held = registry.get("held")
    registry.get("other")
    assert sorted(names(exported)) == ["held", "other"]
    assert held.name in names(exported)


def test_of_two_breakers_with_one_name_the_newer_is_exported() -> None:
    registry = BreakerRegistry()
    older, newer = (CircuitBreaker.from_config(BreakerConfig(), "twin") for _ in range(2))
    exported = ExportedBreakers(registry)
    registry._register_weakly(older)
    assert [row.breaker for row in exported.rows()] == [older]
    registry._register_weakly(newer)
    assert [row.breaker for row in exported.rows()] == [newer]


def test_breakers_left_out_are_logged_once(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abc":
        registry.get(name)
    exported = ExportedBreakers(registry, limit=1)
    with caplog.at_level(logging.WARNING, "breaker_asgi"):
        exported.rows()
        exported.rows()
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "only 1 breakers are exported as metrics, 2 are not"
    ]


def test_a_logger_that_raises_does_not_prevent_reading(registry: BreakerRegistry) -> None:
    def broken(_record: logging.LogRecord) -> bool:
        raise RuntimeError

    registry.get("a")
    registry.get("b")
    exported = ExportedBreakers(registry, limit=1)
    logger = logging.getLogger("breaker_asgi")
    logger.addFilter(broken)
    try:
        assert names(exported) == ["a"]
    finally:
        logger.removeFilter(broken)
    assert exported.left_out == 1


def test_neither_registry_nor_breaker_is_kept_alive() -> None:
    registry = BreakerRegistry()
    breaker = registry.get("payments")
    exported = ExportedBreakers(registry)
    exported.rows()
    gone: list[weakref.ref[Any]] = [weakref.ref(registry), weakref.ref(breaker)]
    del registry, breaker
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert exported.rows() == []


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "many"])
def test_a_wrong_limit_is_refused(registry: BreakerRegistry, limit: Any) -> None:
    with pytest.raises(
        ValueError, match=r"limit=.* is not allowed: give a whole number, 1 or more"
    ):
        ExportedBreakers(registry, limit)


# Names


def test_a_name_that_is_not_valid_unicode_is_escaped(registry: BreakerRegistry) -> None:
    registry.get("caf\u00e9\n\ud800")
    (name,) = names(ExportedBreakers(registry))
    assert re.fullmatch(r"caf\u00e9\n\\ud800\.\.\.[0-9a-f]{16}", name)


def test_valid_names_are_unchanged(registry: BreakerRegistry) -> None:
    valid = ["caf\u00e9", "\N{SNOWMAN}" * 200, r"\ud800", "a\nb", " "]
    for name in valid:
        registry.get(name)
    assert names(ExportedBreakers(registry)) == valid


def test_names_that_look_alike_stay_distinct(registry: BreakerRegistry) -> None:
    for name in ("\ud800", r"\ud800", "\ud83d\ude00", "\N{GRINNING FACE}"):
        registry.get(name)
    assert len(set(names(ExportedBreakers(registry)))) == 4


def test_long_names_are_cut_and_stay_distinct(registry: BreakerRegistry) -> None:
    for end in "ab":
        registry.get("x" * 10_000 + end)
    labels = names(ExportedBreakers(registry))
    assert [len(label) for label in labels] == [200, 200]
    assert len(set(labels)) == 2
    assert all(label.startswith("xxx") for label in labels)


# The store


def test_a_registry_without_a_store_has_no_store_row(registry: BreakerRegistry) -> None:
    assert ExportedBreakers(registry).store() is None


def test_the_store_is_up_while_it_works(registry: BreakerRegistry) -> None:
    registry.fleet = fleet = Fleet(MemoryStore())
    assert ExportedBreakers(registry).store() == StoreRow("memory", is_up=True)
    fleet.step_trouble = "out of reach"
    assert ExportedBreakers(registry).store() == StoreRow("memory", is_up=False)


def test_a_probe_that_a_store_has_lent_is_counted(
    registry: BreakerRegistry, config: BreakerConfig, clock: FakeClock
) -> None:
    registry.fleet = fleet = Fleet(MemoryStore(clock=clock), clock=clock)
    bank = registry.get("bank", defaults=config)
    fleet.step()
    bank.half_open()
    with pytest.raises(CircuitBreakerError):
        bank.acquire()
    fleet.step()
    bank.acquire().success()
    (row,) = ExportedBreakers(registry).rows()
    assert row.probes == {SUCCESS: 1}


def test_of_two_breakers_with_one_name_the_one_that_rejects_is_exported() -> None:
    registry = BreakerRegistry()
    older, newer = (CircuitBreaker.from_config(BreakerConfig(), "twin") for _ in range(2))
    registry._register_weakly(older)
    registry._register_weakly(newer)
    older.force_open()
    assert [row.breaker for row in ExportedBreakers(registry).rows()] == [older]
