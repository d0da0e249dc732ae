"""The events: `GET /breakers/events`."""

from __future__ import annotations

import gc
import logging
import threading
import weakref

import pytest

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerListener,
    CircuitBreakerMonitor,
    CircuitBreakerState,
)
from breaker_asgi.monitor.event_log import KEPT, EventLog
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.stores.place import OPEN_TIME, Place


async def test_a_transition_is_an_event_with_its_reason(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    payments = registry.get("payments", defaults=config)
    for _ in range(2):
        payments.acquire().failure()
    content = (await visit(monitor, "/events")).json
    assert content["version"] == 1
    (event,) = content["events"]
    assert event.pop("at").endswith("+00:00")
    assert event == {
        "id": 1,
        "breaker": "payments",
        "kind": "transition",
        "from": "closed",
        "to": "open",
        "reason": "2 failures in a row",
        "who": None,
    }


async def test_the_newest_comes_first(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    config: BreakerConfig,
    clock: FakeClock,
) -> None:
    payments = registry.get("payments", defaults=config)
    payments.open()
    clock.advance(11)
    payments.acquire().success()
    events = (await visit(monitor, "/events")).json["events"]
    assert [(event["id"], event["to"]) for event in events] == [
        (3, "closed"),
        (2, "half_open"),
        (1, "open"),
    ]


async def test_events_can_be_limited_to_one_breaker(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    for name in ("GET /a", "b"):
        registry.get(name).open()
    (event,) = (await visit(monitor, path="/GET /a/events")).json["events"]
    assert event["breaker"] == "GET /a"


async def test_a_breaker_may_be_named_like_the_events_of_another(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("x").open()
    registry.get("x/events")
    assert (await visit(monitor, "/x/events")).json["name"] == "x/events"


async def test_events_of_an_unknown_breaker_are_not_found(monitor: CircuitBreakerMonitor) -> None:
    assert (await visit(monitor, "/nobody/events")).status == 404


async def test_the_default_limit_is_a_hundred_events(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    for _ in range(60):
        payments.open()
        payments.close()
    assert len((await visit(monitor, "/events")).json["events"]) == 100
    assert len((await visit(monitor, "/events?limit=1000")).json["events"]) == 120
    assert len((await visit(monitor, "/events?limit=1")).json["events"]) == 1
    assert (await visit(monitor, "/events?limit=0")).status == 400


async def test_paging_leads_back_to_the_first_event(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    for _ in range(KEPT // 2):
        payments.open()
        payments.close()
    ids: list[int] = []
    query = "limit=300"
    while events := (await visit(monitor, f"/-/events?{query}")).json["events"]:
        ids += [event["id"] for event in events]
        query = f"limit=300&before={ids[-1]}"
    assert ids == [*range(KEPT, 0, -1)]


async def test_events_are_selected_by_kind(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments")
    payments.open()
    EventLog.of(registry).rejections(payments, 1)
    payments.close()
    for kind, ids in {"transition": [3, 1], "rejections": [2]}.items():
        events = (await visit(monitor, f"/payments/events?kind={kind}")).json["events"]
        assert [event["id"] for event in events] == ids


@pytest.mark.parametrize("query", ["kind=outage", "before=now", "limit=1001"])
async def test_a_wrong_value_is_refused(monitor: CircuitBreakerMonitor, query: str) -> None:
    reply = await visit(monitor, f"/-/events?{query}")
    assert reply.status == 400
    assert "is not allowed: give" in reply.json["detail"]


def test_the_oldest_are_forgotten(registry: BreakerRegistry) -> None:
    event_log = EventLog.of(registry)
    payments = registry.get("payments")
    for _ in range(KEPT):
        payments.open()
        payments.close()
    events = event_log.since(0)
    assert [events[0]["id"], len(events), events[-1]["id"]] == [KEPT + 1, KEPT, 2 * KEPT]


def test_rejections_do_not_displace_transitions(registry: BreakerRegistry) -> None:
    event_log = EventLog.of(registry)
    payments = registry.get("payments")
    payments.open()
    for _ in range(2 * KEPT):
        event_log.rejections(payments, 1)
    assert event_log.newest_first()[-1]["kind"] == "transition"
    assert len(event_log.newest_first()) == KEPT + 1


def test_a_registry_has_one_event_log(registry: BreakerRegistry) -> None:
    assert EventLog.of(registry) is EventLog.of(registry)
    assert EventLog.of(BreakerRegistry()) is not EventLog.of(registry)


def test_an_event_log_leaves_the_fast_paths_on(registry: BreakerRegistry) -> None:
    EventLog.of(registry)
    payments = registry.get("payments")
    assert payments._fast_record is not None
    payments.open()
    assert not payments._listeners.to_rejections


def test_an_event_log_keeps_neither_registry_nor_breaker_alive() -> None:
    registry = BreakerRegistry()
    payments = registry.get("payments")
    event_log = EventLog.of(registry)
    payments.acquire().failure(KeyError())
    payments.open()
    references = weakref.ref(registry), weakref.ref(payments)
    del registry, payments
    gc.collect()
    assert [reference() for reference in references] == [None, None]
    assert event_log.last_id == 1


def test_ids_rise_though_many_threads_change_states(registry: BreakerRegistry) -> None:
    event_log = EventLog.of(registry)

    def change(name: str) -> None:
        for _ in range(50):
            registry.get(name).open()
            registry.get(name).close()

    threads = [threading.Thread(target=change, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event["id"] for event in event_log.since(0)] == list(range(1, 401))


def test_a_reader_that_fails_holds_nothing_up(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_event: object) -> None:
        raise RuntimeError("boom")

    events: list[object] = []
    event_log = EventLog.of(registry)
    event_log.subscribe(fail)
    event_log.subscribe(events.append)
    registry.get("payments").open()
    registry.get("payments").close()
    assert len(events) == 2
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1


def test_an_unsubscribed_reader_gets_no_events(registry: BreakerRegistry) -> None:
    events: list[object] = []
    event_log = EventLog.of(registry)
    event_log.subscribe(events.append)
    event_log.unsubscribe(events.append)
    registry.get("payments").open()
    assert events == []


class TestOfAFleet:
    @pytest.fixture
    def place(self) -> Place:
        return Place()

    def test_a_repeated_manual_state_is_logged_by_every_worker(self, place: Place) -> None:
        one, other = place.two()
        event_logs = [EventLog.of(worker.registry) for worker in (one, other)]
        for who in ("ann", "bert"):
            one.breaker.force_open(who=who)
            place.later(0)
        for event_log in event_logs:
            changes = [
                (event["from"], event["to"], event["who"])
                for event in event_log.newest_first()[:10]
            ]
            assert changes == [
                ("forced_open", "forced_open", "bert"),
                ("closed", "forced_open", "ann"),
            ]

    def test_a_failed_probe_of_another_worker_is_logged_but_notifies_no_listener(
        self, place: Place
    ) -> None:
        one, other = place.two()
        changes: list[str] = []

        class Listener(CircuitBreakerListener):
            def state_change(
                self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
            ) -> None:
                changes.append(f"{old} -> {new}")

        other.breaker.add_listener(Listener())
        event_log = EventLog.of(other.registry)
        one.fails(5)
        place.later(0)
        place.clock.advance(OPEN_TIME + 1)
        probe = one.probe()
        assert probe is not None
        probe.failure()
        place.later(0)
        assert [event["reason"] for event in event_log.newest_first()[:10]] == [
            "a probe failed",
            "5 failures in a row",
        ]
        assert changes == ["closed -> open"]
