"""Breakers that share a name, and listeners of registries that are empty."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerConfigError, BreakerRegistry, CircuitBreaker


class Misspelt:
    """A listener whose one method is no event."""

    def state_changed(self, *_: object) -> None:
        """Do nothing."""


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


@pytest.fixture
def twins(registry: BreakerRegistry) -> tuple[CircuitBreaker, CircuitBreaker]:
    """Two breakers of one name, the newer one first."""
    older, newer = (CircuitBreaker.from_config(BreakerConfig(), "bank") for _ in range(2))
    registry._register_weakly(older)
    registry._register_weakly(newer)
    return newer, older


def test_one_open_namesake_is_enough_to_take_the_service_down(
    registry: BreakerRegistry, twins: tuple[CircuitBreaker, CircuitBreaker]
) -> None:
    twins[1].open()
    health = registry.health(critical=["bank"])
    assert (health.status, health.critical) == ("down", ("bank",))


def test_health_names_an_open_namesake_once(
    registry: BreakerRegistry, twins: tuple[CircuitBreaker, CircuitBreaker]
) -> None:
    for breaker in twins:
        breaker.open()
    assert registry.health(critical=["bank"]).open == ("bank",)
    assert registry.health(critical=["bank"]).critical == ("bank",)


@pytest.mark.parametrize("listener", [print, Misspelt, Misspelt(), "x"])
def test_a_listener_without_an_event_method_is_refused_before_there_are_breakers(
    registry: BreakerRegistry, listener: Any
) -> None:
    with pytest.raises(BreakerConfigError, match="a listener="):
        registry.add_listener(listener)
    assert registry.get("payments").listeners == ()
