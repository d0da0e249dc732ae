"""Health: an open breaker degrades a service, and takes it out of rotation if it is critical."""

from __future__ import annotations

import json
from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerConfigError, BreakerRegistry, RegistryHealth
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.testing import FakeClock

OPEN_TIME = 10


@pytest.fixture
def registry(config: BreakerConfig) -> BreakerRegistry:
    registry = BreakerRegistry(config)
    for name in ("payments", "db:orders", "db:stock", "mail"):
        registry.get(name)
    return registry


def test_a_service_whose_breakers_are_closed_is_well(registry: BreakerRegistry) -> None:
    assert registry.health() == RegistryHealth(
        status="ok", open=(), forced_open=(), half_open=(), closing=(), critical=(), store=None
    )


def test_a_service_without_breakers_is_well() -> None:
    assert BreakerRegistry().health().status == "ok"


@pytest.mark.parametrize("what", ["open", "force_open", "half_open"])
def test_a_breaker_that_does_not_admit_all_calls_degrades(
    registry: BreakerRegistry, what: str
) -> None:
    getattr(registry["mail"], what)()
    health = registry.health()
    assert (health.status, health.is_ready) == ("degraded", True)


@pytest.mark.parametrize("what", ["disable", "metrics_only"])
def test_a_disabled_breaker_does_not_degrade(registry: BreakerRegistry, what: str) -> None:
    getattr(registry["mail"], what)()
    assert registry.health().status == "ok"


def test_names_are_sorted_by_state(registry: BreakerRegistry) -> None:
    registry["payments"].open()
    registry["mail"].open()
    registry["db:stock"].force_open()
    registry["db:orders"].half_open()
    health = registry.health()
    assert health.open == ("mail", "payments")
    assert health.forced_open == ("db:stock",)
    assert health.half_open == ("db:orders",)


@pytest.mark.parametrize("critical", [["db:orders"], ["mail", "db:*"], ["db:[a-z]*"]])
@pytest.mark.parametrize("what", ["open", "force_open"])
def test_a_critical_breaker_that_rejects_takes_the_service_down(
    registry: BreakerRegistry, what: str, critical: list[str]
) -> None:
    getattr(registry["db:orders"], what)()
    health = registry.health(critical=critical)
    assert (health.status, health.is_ready) == ("down", False)
    assert health.critical == ("db:orders",)


def test_a_breaker_that_is_not_critical_only_degrades(registry: BreakerRegistry) -> None:
    registry["mail"].open()
    health = registry.health(critical=["db:*", "payments"])
    assert (health.status, health.critical) == ("degraded", ())


def test_a_name_may_look_like_a_pattern() -> None:
    registry = BreakerRegistry()
    registry.get("GET /[shop]").open()
    assert registry.health(critical=["GET /[shop]"]).status == "down"


def test_a_critical_breaker_that_may_probe_brings_the_service_back(
    registry: BreakerRegistry, clock: FakeClock
) -> None:
    """A service out of rotation would get no request that could close it."""
    payments = registry["payments"]
    payments.open()
    clock.advance(OPEN_TIME - 0.5)
    assert registry.health(critical=["payments"]).status == "down"
    clock.advance(1.5)
    health = registry.health(critical=["payments"])
    assert (health.status, health.open) == ("degraded", ("payments",))
    probe = payments.acquire()
    health = registry.health(critical=["payments"])
    assert (health.status, health.half_open) == ("degraded", ("payments",))
    probe.failure()
    assert registry.health(critical=["payments"]).status == "down"
    clock.advance(OPEN_TIME + 1)
    payments.acquire().success()
    assert registry.health(critical=["payments"]).status == "ok"


def test_a_critical_breaker_after_a_limited_forced_open_only_degrades(
    registry: BreakerRegistry, clock: FakeClock
) -> None:
    registry["payments"].force_open(for_=60)
    assert registry.health(critical=["payments"]).status == "down"
    clock.advance(61)
    assert registry.health(critical=["payments"]).status == "degraded"


def test_health_changes_no_state(registry: BreakerRegistry, clock: FakeClock) -> None:
    registry["payments"].open()
    clock.advance(OPEN_TIME + 1)
    registry.health(critical=["payments"])
    assert registry["payments"].state == "open"


class TestStore:
    @pytest.fixture
    def fleet(self, registry: BreakerRegistry) -> Fleet:
        registry.fleet = Fleet(MemoryStore())
        return registry.fleet

    def test_a_working_store_is_well(self, registry: BreakerRegistry, fleet: Fleet) -> None:
        health = registry.health()
        assert (health.status, health.store) == ("ok", "works")

    def test_a_failing_store_only_degrades(self, registry: BreakerRegistry, fleet: Fleet) -> None:
        fleet.step_trouble = "OSError: no route"
        health = registry.health(critical=["*"])
        assert (health.status, health.store) == ("degraded", "OSError: no route")


def test_health_can_be_sent_as_json(registry: BreakerRegistry) -> None:
    registry["payments"].force_open()
    plain = registry.health(critical=["payments"]).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain == {
        "status": "down",
        "open": [],
        "forced_open": ["payments"],
        "half_open": [],
        "closing": [],
        "critical": ["payments"],
        "store": None,
    }


@pytest.mark.parametrize("critical", ["payments", 5])
def test_critical_lists_names(registry: BreakerRegistry, critical: Any) -> None:
    with pytest.raises(BreakerConfigError) as caught:
        registry.health(critical=critical)
    assert str(caught.value) == (
        f"critical={critical!r} is not allowed: give several names or patterns of breakers. "
        "Write critical=[...]."
    )


@pytest.mark.parametrize("item", [5, None])
def test_critical_lists_texts(registry: BreakerRegistry, item: Any) -> None:
    with pytest.raises(BreakerConfigError) as caught:
        registry.health(critical=["payments", item])
    message = f"an item of critical={item!r} is not allowed: give a string."
    assert str(caught.value).startswith(message)


class TestClosing:
    @pytest.fixture
    def registry(self, clock: FakeClock) -> BreakerRegistry:
        """Breakers that close gently; `payments` does so now."""
        config = BreakerConfig(fail_max=2, timeout_duration=10, ramp=30, clock=clock)
        registry = BreakerRegistry(config)
        registry.get("mail")
        registry.get("payments").half_open()
        registry["payments"].acquire().success()
        return registry

    def test_a_closing_breaker_degrades(self, registry: BreakerRegistry) -> None:
        health = registry.health()
        assert (health.status, health.closing) == ("degraded", ("payments",))

    def test_a_critical_breaker_that_is_closing_takes_no_service_down(
        self, registry: BreakerRegistry
    ) -> None:
        health = registry.health(critical=["payments"])
        assert (health.status, health.critical) == ("degraded", ())

    def test_a_breaker_whose_ramp_is_over_is_well_before_its_next_call(
        self, registry: BreakerRegistry, clock: FakeClock
    ) -> None:
        clock.advance(31)
        assert registry["payments"].state == "closing"
        assert registry.health().status == "ok"
