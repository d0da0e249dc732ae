"""`BreakerRegistry`: names to breakers."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerListener,
    CircuitBreakerState,
    default_registry,
)
from breaker_asgi.testing import fresh_registry


class Log(CircuitBreakerListener):
    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []

    def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> None:
        del old
        self.changes.append((breaker.name, new.value))


def test_the_same_name_gives_the_same_breaker() -> None:
    registry = BreakerRegistry()
    assert registry.get("payments") is registry.get("payments")
    assert registry.get("payments") is not registry.get("stock")


def test_a_new_breaker_gets_the_registrys_config() -> None:
    registry = BreakerRegistry(BreakerConfig(fail_max=7))
    assert registry.get("payments").fail_max == 7


def test_settings_by_name_add_to_the_config() -> None:
    registry = BreakerRegistry(
        BreakerConfig(timeout_duration=9), settings={"payments": {"fail_max": 3}}
    )
    config = registry.get("payments").config
    assert (config.fail_max, config.timeout) == (3, 9)


def test_settings_by_pattern_reach_every_name_that_fits() -> None:
    registry = BreakerRegistry(settings={"http:*": {"fail_max": 3}})
    assert registry.get("http://bank.example:80").fail_max == 3
    assert registry.get("payments").fail_max == 5


def test_a_name_comes_before_the_patterns_and_those_in_their_order() -> None:
    registry = BreakerRegistry(
        settings={"p*": {"fail_max": 1}, "pay*": {"fail_max": 2}, "payments": {"fail_max": 3}}
    )
    assert registry.get("payments").fail_max == 3
    assert registry.get("payroll").fail_max == 1


def test_settings_may_be_a_config() -> None:
    registry = BreakerRegistry(settings={"payments": BreakerConfig(failure_rate=0.5)})
    assert registry.get("payments").config.failure_rate == 0.5


def test_settings_given_with_the_name_come_last() -> None:
    registry = BreakerRegistry(settings={"payments": {"fail_max": 3, "timeout_duration": 4}})
    config = registry.get("payments", fail_max=8).config
    assert (config.fail_max, config.timeout) == (8, 4)


def test_wrong_settings_are_refused_when_the_registry_is_made() -> None:
    with pytest.raises(BreakerConfigError, match="fail_max=0"):
        BreakerRegistry(settings={"never-asked-for": {"fail_max": 0}})


def test_getting_again_with_the_same_settings_is_allowed() -> None:
    registry = BreakerRegistry()
    first = registry.get("payments", fail_max=3)
    assert registry.get("payments", fail_max=3) is first
    assert registry.get("payments") is first


def test_getting_again_with_other_settings_raises() -> None:
    registry = BreakerRegistry()
    registry.get("payments", fail_max=3)
    message = r"'payments' was asked for with fail_max=4, but exists with fail_max=3\. Give its"
    with pytest.raises(BreakerConfigError, match=message):
        registry.get("payments", fail_max=4)


def test_a_breaker_made_elsewhere_can_be_added() -> None:
    registry = BreakerRegistry()
    payments = CircuitBreaker(name="payments")
    assert registry.add(payments) is payments
    assert registry["payments"] is payments
    assert registry.add(payments) is payments


def test_a_second_breaker_of_the_same_name_is_refused() -> None:
    registry = BreakerRegistry()
    registry.get("payments")
    with pytest.raises(BreakerConfigError, match="'payments' exists already"):
        registry.add(CircuitBreaker(name="payments"))


def test_a_registry_iterates_over_its_breakers() -> None:
    registry = BreakerRegistry()
    breakers = [registry.get("a"), registry.get("b")]
    assert list(registry) == breakers
    assert len(registry) == 2
    assert "a" in registry
    assert "c" not in registry


def test_iterating_while_breakers_are_made_is_safe() -> None:
    registry = BreakerRegistry()
    registry.get("a")
    for breaker in registry:
        registry.get(breaker.name + "b")
    assert len(registry) == 2


def test_an_unknown_name_raises_key_error() -> None:
    with pytest.raises(KeyError):
        BreakerRegistry()["payments"]


def test_listeners_are_notified_by_every_breaker() -> None:
    log = Log()
    registry = BreakerRegistry()
    early = registry.get("early")
    registry.add_listener(log)
    added = registry.add(CircuitBreaker(name="added"))
    for breaker in (early, added, registry.get("late")):
        breaker.open()
    assert log.changes == [("early", "open"), ("added", "open"), ("late", "open")]


def test_a_removed_listener_is_not_notified() -> None:
    log = Log()
    registry = BreakerRegistry(listeners=[log])
    early = registry.get("early")
    registry.remove_listener(log)
    early.open()
    registry.get("late").open()
    assert log.changes == []


def test_made_up_names_do_not_fill_the_memory() -> None:
    registry = BreakerRegistry(limit=100)
    for number in range(3_000):
        registry.get(f"http://{number}.example").call(len, "")
        assert len(registry) <= 100


def test_a_busy_breaker_survives_a_flood_of_names() -> None:
    registry = BreakerRegistry(limit=100)
    busy = registry.get("busy")
    for number in range(1_000):
        busy.call(len, "")
        busy.call(len, "")
        registry.get(f"made-up-{number}").call(len, "")
    assert registry["busy"] is busy


def test_closed_breakers_are_dropped_before_open_ones() -> None:
    registry = BreakerRegistry(limit=10)
    opened = registry.get("opened")
    opened.open()
    for number in range(100):
        registry.get(f"made-up-{number}").call(len, "")
    assert registry["opened"] is opened


def test_open_breakers_do_not_fill_the_memory_either() -> None:
    registry = BreakerRegistry(limit=10)
    for number in range(100):
        registry.get(f"made-up-{number}").open()
    assert len(registry) <= 10


@pytest.mark.parametrize("change", ["force_open", "disable", "metrics_only"])
def test_a_breaker_that_was_set_by_hand_is_never_dropped(change: str) -> None:
    registry = BreakerRegistry(limit=10)
    chosen = registry.get("chosen")
    getattr(chosen, change)()
    for number in range(100):
        registry.get(f"made-up-{number}")
    assert registry["chosen"] is chosen


def test_when_all_were_set_by_hand_a_new_breaker_works_but_is_not_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = BreakerRegistry(limit=2)
    for name in ("a", "b"):
        registry.get(name).disable()
    assert registry.get("c").call(len, "abc") == 3
    assert len(registry) == 2
    assert "no room for breaker 'c'" in caplog.text


@pytest.fixture
def full() -> BreakerRegistry:
    registry = BreakerRegistry(limit=1)
    registry.get("chosen").disable()
    return registry


def test_a_breaker_without_room_is_listed_while_it_is_held(full: BreakerRegistry) -> None:
    held = full.get("held")
    assert list(full) == [full["chosen"], held]
    assert full["held"] is full.get("held") is full.add(held) is held
    del held
    gc.collect()
    assert "held" not in full


def test_a_breaker_is_kept_once_there_is_room(full: BreakerRegistry) -> None:
    held = full.get("held")
    full["chosen"].reset()
    full.get("held").disable()
    assert full._breakers.kept == {"held": held}


def test_a_lack_of_room_is_logged_once(
    full: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b", "a"):
        full.get(name)
    assert caplog.text.count("no room for breaker") == 1


def test_a_dropped_breaker_that_is_still_held_stays_listed() -> None:
    registry = BreakerRegistry(limit=10)
    held = registry.get("held")
    for number in range(100):
        registry.get(f"made-up-{number}").call(len, "")
    assert list(registry).count(held) == 1
    assert registry["held"] is registry.get("held") is held


def test_a_dropped_breaker_that_is_not_held_is_gone() -> None:
    registry = BreakerRegistry(limit=10)
    for number in range(1_000):
        registry.get(f"made-up-{number}").call(len, "")
    gc.collect()
    alive = [thing for thing in gc.get_objects() if type(thing) is CircuitBreaker]
    assert len([breaker for breaker in alive if breaker.name.startswith("made-up")]) <= 10


def test_threads_that_get_a_new_name_at_once_share_one_breaker() -> None:
    registry = BreakerRegistry()
    start = threading.Barrier(8)
    breakers: list[Any] = []

    def ask() -> None:
        start.wait()
        breakers.append(registry.get("payments"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(breakers) == 8
    assert len(set(map(id, breakers))) == 1


def test_the_default_registry_lists_every_breaker_that_was_given_a_name() -> None:
    bank = CircuitBreaker(name="bank with a name")
    CircuitBreaker()
    names = {"bank with a name", "unnamed"}
    assert [breaker for breaker in default_registry if breaker.name in names] == [bank]
    assert default_registry.get("bank with a name") is bank


def test_the_default_registry_keeps_no_breaker_alive_that_it_did_not_make() -> None:
    bank = CircuitBreaker(name="short-lived bank")
    assert "short-lived bank" in default_registry
    del bank
    gc.collect()
    assert "short-lived bank" not in default_registry


def test_all_living_breakers_of_a_name_are_listed() -> None:
    older, newer = CircuitBreaker(name="bank twice"), CircuitBreaker(name="bank twice")
    assert default_registry["bank twice"] is newer
    assert default_registry.all_named("bank twice") == (newer, older)
    labels = {default_registry.label_of(breaker): breaker for breaker in default_registry}
    assert (labels["bank twice"], labels["bank twice (2)"]) == (newer, older)
    assert default_registry.labelled("bank twice (2)") is older
    assert default_registry.labelled("bank twice (3)") is None


def test_listeners_of_the_default_registry_are_notified_by_later_breakers() -> None:
    log = Log()
    default_registry.add_listener(log)
    CircuitBreaker(name="bank heard").open()
    default_registry.remove_listener(log)
    assert log.changes == [("bank heard", "open")]


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_a_wrong_limit_is_refused(limit: Any) -> None:
    with pytest.raises(BreakerConfigError, match=r"limit=.* whole number, 1 or more"):
        BreakerRegistry(limit=limit)


# Several breakers of one name


def test_a_second_breaker_of_a_name_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    makes = [CircuitBreaker(name="bank warned of") for _ in range(2)]
    assert len(makes) == 2
    warning = "there are 2 breakers named 'bank warned of'"
    assert [warning in record.message for record in caplog.records] == [True]


def test_a_breaker_made_by_hand_replaces_an_unused_one_made_by_get() -> None:
    default_registry.get("asked first")
    made = CircuitBreaker(name="asked first", fail_max=3)
    assert default_registry["asked first"] is made
    assert default_registry.get("asked first", fail_max=3) is made
    assert default_registry.all_named("asked first") == (made,)


def test_a_breaker_made_by_hand_must_fit_the_settings_of_get() -> None:
    default_registry.get("asked with", fail_max=3)
    with pytest.raises(BreakerConfigError, match="was asked for with fail_max=3"):
        CircuitBreaker(name="asked with", fail_max=4)


def test_a_breaker_that_was_used_keeps_its_place_and_both_are_listed() -> None:
    used = default_registry.get("used first")
    used.acquire().success()
    made = CircuitBreaker(name="used first")
    assert default_registry["used first"] is used
    assert default_registry.all_named("used first") == (used, made)


def test_health_counts_the_worst_breaker_of_a_name() -> None:
    first, second = CircuitBreaker(name="bank in health"), CircuitBreaker(name="bank in health")
    first.force_open()
    assert second.state == "closed"
    assert not default_registry.health(critical=["bank in health"]).is_ready
    first.close()


def test_names_of_breakers_that_are_gone_fill_no_memory() -> None:
    for number in range(1000):
        CircuitBreaker(name=f"gone {number}")
    gc.collect()
    CircuitBreaker(name="the last")
    assert len(default_registry._breakers._held._by_name) < 300


# configure


def test_configure_sets_the_settings_of_the_constructor() -> None:
    registry, log = BreakerRegistry(), Log()
    registry.configure(
        BreakerConfig(fail_max=7),
        settings={"payments": {"fail_max": 3}},
        listeners=[log],
        limit=5,
    )
    assert registry.get("payments").fail_max == 3
    assert registry.get("refunds").fail_max == 7
    assert (registry.limit, registry.get("refunds").listeners) == (5, (log,))


def test_configure_reaches_unused_breakers_made_by_get() -> None:
    registry = BreakerRegistry()
    registry.get("payments", timeout_duration=7)
    registry.configure(settings={"payments": {"fail_max": 3}})
    assert registry.get("payments").config.given() == {"fail_max": 3, "timeout_duration": 7}


def test_configure_refuses_to_change_a_breaker_in_use_and_changes_nothing() -> None:
    registry = BreakerRegistry()
    used = registry.get("payments")
    registry.get("refunds")
    with pytest.raises(BreakerConfigError, match="settings of 'payments', in use already"):
        registry.configure(BreakerConfig(fail_max=3), limit=5)
    assert registry["payments"] is used
    assert {breaker.name for breaker in registry} == {"payments", "refunds"}
    assert (registry.config, registry.limit) == (BreakerConfig(), 10_000)
    assert registry.get("refunds").fail_max == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"config": {"fail_max": 3}},
        {"settings": {"payments": {"fail_max": 0}}},
        {"limit": 0},
        {"listeners": [print]},
        {"store": "nonsense:"},
    ],
    ids=repr,
)
def test_configure_refuses_wrong_settings_and_changes_nothing(
    wrong: dict[str, Any],
) -> None:
    registry = BreakerRegistry(limit=9)
    settings: dict[str, Any] = {"config": BreakerConfig(fail_max=3), "limit": 5} | wrong
    with pytest.raises(BreakerConfigError):
        registry.configure(**settings)
    assert (registry.config, registry.limit, registry.fleet) == (BreakerConfig(), 9, None)


def test_settings_that_configure_does_not_get_stay() -> None:
    registry = BreakerRegistry(settings={"payments": {"fail_max": 3}})
    registry.configure(BreakerConfig(timeout_duration=7))
    assert registry.get("payments").config.given() == {"fail_max": 3, "timeout_duration": 7}


# Tests of applications


def test_a_fresh_registry_has_no_breaker_and_gets_its_own_back() -> None:
    kept = default_registry.get("kept")
    with fresh_registry() as registry:
        assert registry is default_registry
        assert list(registry) == []
        assert registry.get("kept") is not kept
    assert default_registry["kept"] is kept


def test_a_fresh_registry_resets_what_a_module_holds() -> None:
    held = CircuitBreaker(name="held by a module")
    held.open()
    with fresh_registry():
        assert held.state == "closed"
