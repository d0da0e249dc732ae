"""Breakers by name: namesakes, the least used ones, and listeners of empty registries."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerConfigError, BreakerRegistry, CircuitBreaker
from breaker_asgi._core.namesakes import NamedBreakers


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


# Breakers by name


def named(name: str, calls: int = 0) -> CircuitBreaker:
    breaker = CircuitBreaker.from_config(BreakerConfig(), name)
    use(breaker, calls)
    return breaker


def use(breaker: CircuitBreaker, calls: int) -> None:
    for _ in range(calls):
        breaker.acquire().success()


@pytest.fixture
def breakers() -> NamedBreakers[CircuitBreaker]:
    return NamedBreakers()


@pytest.mark.parametrize("name", ["bank", "bank (EU)", "bank (2)", "(2)", ""])
def test_a_label_leads_to_the_breaker_that_has_it(
    breakers: NamedBreakers[CircuitBreaker], name: str
) -> None:
    namesakes = [named(name) for _ in range(3)]
    for namesake in namesakes:
        breakers.hold(namesake)
    labels = [breakers.label_of(namesake) for namesake in namesakes]
    assert labels == [f"{name} (3)", f"{name} (2)", name]
    assert [breakers.labelled(label) for label in labels] == namesakes


@pytest.mark.parametrize(
    "label",
    [
        *("", "shop", "shop (2)", "bank (EU)", "bank (0)", "bank (1)", "bank (3)", "bank (-1)"),
        *(
            "bank (2",
            "bank (02)",
            "bank (\N{SUPERSCRIPT TWO})",
            "bank (\N{ARABIC-INDIC DIGIT TWO})",
        ),
    ],
)
def test_a_label_that_no_breaker_has_leads_to_none(
    breakers: NamedBreakers[CircuitBreaker], label: str
) -> None:
    namesakes = [named("bank"), named("bank")]
    for namesake in namesakes:
        breakers.hold(namesake)
    assert breakers.labelled(label) is None


def test_a_name_comes_before_an_equal_label_of_a_namesake(
    breakers: NamedBreakers[CircuitBreaker],
) -> None:
    others = [named("bank"), named("bank"), named("bank (2)")]
    for breaker in others:
        breakers.hold(breaker)
    assert breakers.labelled("bank (2)") is others[2]


def test_a_held_breaker_that_is_kept_is_listed_once(
    breakers: NamedBreakers[CircuitBreaker],
) -> None:
    bank = named("bank")
    breakers.hold(bank)
    breakers.keep(bank)
    assert list(breakers) == [bank]
    assert breakers.all_named("bank") == (bank,)


@pytest.mark.parametrize(("list_it", "was_kept"), [("keep", True), ("hold", False)])
def test_a_discarded_breaker_is_listed_no_more(
    breakers: NamedBreakers[CircuitBreaker], list_it: str, *, was_kept: bool
) -> None:
    bank, shop = named("bank"), named("shop")
    for breaker in (bank, shop):
        getattr(breakers, list_it)(breaker)
    assert breakers.discard(bank) is was_kept
    assert list(breakers) == [shop]
    assert "bank" not in breakers


def test_a_namesake_of_a_discarded_breaker_stays_kept(
    breakers: NamedBreakers[CircuitBreaker],
) -> None:
    kept, held = named("bank"), named("bank")
    breakers.keep(kept)
    breakers.hold(held)
    assert not breakers.discard(held)
    assert list(breakers) == [kept]


# The least used ones


@pytest.mark.parametrize(("limit", "dropped"), [(1, 1), (10, 1), (19, 1), (20, 2), (30, 3)])
def test_a_tenth_of_the_limit_is_dropped_at_once_and_at_least_one(
    breakers: NamedBreakers[CircuitBreaker], limit: int, dropped: int
) -> None:
    for number in range(4):
        breakers.keep(named(str(number)))
    assert breakers.drop_least_used(limit) == ["0", "1", "2"][:dropped]


def test_the_least_used_breaker_is_dropped_first_and_of_those_the_oldest(
    breakers: NamedBreakers[CircuitBreaker],
) -> None:
    for name, calls in (("busy", 2), ("older", 1), ("newer", 1)):
        breakers.keep(named(name, calls))
    assert breakers.drop_least_used(20) == ["older", "newer"]


def test_closed_breakers_are_dropped_before_others_however_much_they_are_used(
    breakers: NamedBreakers[CircuitBreaker],
) -> None:
    opened, half_opened, closed = named("opened"), named("half-opened"), named("closed", 5)
    for breaker in (opened, half_opened, closed):
        breakers.keep(breaker)
    opened.open()
    half_opened.half_open()
    assert breakers.drop_least_used(1) == ["closed"]


def test_only_calls_since_the_last_drop_count_as_use(
    breakers: NamedBreakers[CircuitBreaker],
) -> None:
    once, now, unused = named("once", 5), named("now", 3), named("unused")
    for breaker in (once, now, unused):
        breakers.keep(breaker)
    assert breakers.drop_least_used(1) == ["unused"]
    use(once, 1)
    use(now, 2)
    new = named("new", 1)
    breakers.keep(new)
    assert breakers.drop_least_used(1) == ["once"]
