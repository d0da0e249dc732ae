"""The stream of changes: `GET /breakers/stream`."""

from __future__ import annotations

import threading

import pytest

from breaker_asgi import (
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerMonitor,
    TimeWindow,
)
from breaker_asgi.monitor.broadcaster import _broadcasters
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.rows import FIELDS
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.monitor.conftest import allow
from tests.monitor.readers import Reader, look, settle, streaming


@pytest.fixture(autouse=True)
def _quiet(no_looks: None) -> None:
    """Broadcast only when a test calls `look`."""


async def test_a_stream_begins_with_a_snapshot(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
) -> None:
    payments.open()
    async with streaming(monitor, reader):
        listing = (await visit(monitor)).json
    assert reader.text.startswith("retry: 2000\n\nevent: snapshot\nid: 1\n")
    snapshot = reader.snapshot
    more = {"fields", "rows", "seconds", "traffic", "stories"}
    assert snapshot.keys() == listing.keys() - {"breakers", "next"} | more
    assert snapshot["summary"] == listing["summary"]
    assert snapshot["fields"] == FIELDS
    assert reader.rows["payments"]["state"] == "open"
    assert [mark["to"] for mark in snapshot["traffic"]["marks"]] == ["open"]
    assert len(snapshot["stories"]) == 1


async def test_the_headers_prevent_storing_and_buffering(
    monitor: CircuitBreakerMonitor, reader: Reader
) -> None:
    async with streaming(monitor, reader):
        pass
    assert reader.headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert reader.headers[b"cache-control"] == b"no-store"
    assert reader.headers[b"x-accel-buffering"] == b"no"
    assert reader.headers[b"x-content-type-options"] == b"nosniff"
    assert reader.headers[b"vary"] == b"accept-encoding"


async def test_head_gets_the_headers_alone(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    reply = await visit(monitor, "/stream", "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert registry not in _broadcasters


# What changed


async def test_a_change_of_state_is_sent_at_once(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    async with streaming(monitor, reader):
        payments.open()
        await settle()
        (kind, figures), (other, stories) = reader.events
    assert (kind, other) == ("figures", "stories")
    assert reader.rows["payments"]["state"] == "open"
    assert figures["summary"]["open"] == 1
    assert [(mark["breaker"], mark["to"]) for mark in figures["marks"]] == [("payments", "open")]
    assert [story["breaker"] for story in stories] == ["payments"]
    assert "event: stories\nid: 1\n" in reader.text


async def test_a_change_in_another_thread_is_sent(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    async with streaming(monitor, reader):
        thread = threading.Thread(target=payments.open)
        thread.start()
        thread.join()
        await settle()
        assert reader.rows["payments"]["state"] == "open"


async def test_changed_figures_are_sent_once_a_second(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
) -> None:
    registry.get("idle")
    async with streaming(monitor, reader):
        payments.acquire().success()
        look(registry, tick=False)
        await settle()
        assert reader.events == []
        look(registry)
        await settle()
        ((kind, content),) = reader.events
    assert kind == "figures"
    assert content.keys() == {"now", "summary", "set", "seconds", "traffic"}
    ((number, *pairs),) = content["set"]
    assert reader.feed.rows[number]["name"] == "payments"
    assert FIELDS.index("calls_per_second") in pairs[::2]
    assert FIELDS.index("state") not in pairs[::2]
    ((other, _at, *calls),) = content["seconds"]
    assert (other, calls) == (number, [1, 0, 0, 0])
    assert content["traffic"][0][1:] == [1, 0, 0, 0]


async def test_calls_under_way_are_sent_though_none_has_ended(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    clock = FakeClock()
    search = registry.get("search", slow_call_rate=1, slow_call_duration=90, clock=clock)
    async with streaming(monitor, reader):
        hanging = search.acquire()
        look(registry)
        await settle()
        first = reader.rows["search"]
        clock.advance(100)
        for _ in range(100):
            look(registry)
            await settle()
        second = reader.rows["search"]
    hanging.success()
    assert (first["calls_under_way"], first["slow_calls_under_way"]) == (1, 0)
    assert (second["calls_under_way"], second["slow_calls_under_way"]) == (1, 1)
    assert len(reader.named("figures")) == 2


async def test_nothing_is_sent_while_nothing_changes(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
) -> None:
    payments.open()  # readers count its open time down themselves
    async with streaming(monitor, reader):
        for _ in range(3):
            look(registry)
            await settle()
        assert reader.events == []


async def test_an_open_time_that_begins_anew_is_sent_though_it_lasts_as_long(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    clock = FakeClock()
    payments = registry.get("payments", timeout_duration=30, clock=clock)
    payments.open()
    async with streaming(monitor, reader):
        clock.advance(10)
        payments.open()
        await settle()
        ((_, *pairs),) = reader.named("figures")[0]["set"]
    assert pairs[pairs.index(FIELDS.index("retry_after")) + 1] == 30


async def test_of_an_outage_only_what_changed_is_sent(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
) -> None:
    payments.open()
    async with streaming(monitor, reader):
        before = reader.rows["payments"]["outage"]
        with pytest.raises(CircuitBreakerError):
            payments.acquire()
        look(registry)
        await settle()
        ((_, *pairs),) = reader.named("figures")[0]["set"]
        after = reader.rows["payments"]["outage"]
    patch = pairs[pairs.index(FIELDS.index("outage")) + 1]
    assert patch.keys() <= {"rejected", "rejected_per_second"}
    assert after == {**before, **patch}
    assert after["rejected"] == 1


async def test_figures_that_fade_by_time_alone_are_sent(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    clock = FakeClock()
    rated = registry.get(
        "rated", failure_rate=1, minimum_calls=2, window=TimeWindow(300), clock=clock
    )
    rated.acquire().success()
    rated.acquire().failure()
    async with streaming(monitor, reader):
        assert reader.rows["rated"]["failure_rate"] == 0.5
        clock.advance(301)
        look(registry)
        await settle()
        assert reader.rows["rated"]["failure_rate"] is None


async def test_many_changed_breakers_are_sent_together(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    breakers = [registry.get(str(number)) for number in range(250)]
    async with streaming(monitor, reader):
        await settle(1_000)
        for breaker in breakers:
            breaker.acquire().success()
        look(registry)
        await settle(1_000)
        ((_, content),) = reader.events
    assert len(content["set"]) == len(content["seconds"]) == 250


async def test_added_and_removed_breakers_are_sent(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    registry.get("old")
    async with streaming(monitor, reader):
        registry.get("new")
        del registry._breakers.kept["old"]
        look(registry)
        await settle()
        ((_, content),) = reader.events
    ((_, name, *_values),) = content["rows"]
    assert name == "new"
    assert content["gone"] == [reader.snapshot["rows"][0][0]]


async def test_a_breaker_that_takes_the_place_of_another_gets_a_new_id(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    registry.get("bank").open()
    async with streaming(monitor, reader):
        del registry._breakers.kept["bank"]
        registry.get("bank")
        look(registry)
        await settle()
        assert reader.rows["bank"]["state"] == "closed"
    assert [*reader.feed.rows] == [2]


# Filters


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["bank", "pay in", "pay out"]),
        ("name=pay*", ["pay in", "pay out"]),
        ("name=bank&name=*out", ["bank", "pay out"]),
        ("state=open", ["bank"]),
        ("state=closed&name=*in", ["pay in"]),
        ("name=", ["bank", "pay in", "pay out"]),
    ],
)
async def test_a_filter_selects_rows(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    reader: Reader,
    query: str,
    names: list[str],
) -> None:
    for name in ("bank", "pay in", "pay out"):
        registry.get(name).acquire().success()
    registry.get("bank").open()
    async with streaming(monitor, reader, query=query):
        for breaker in registry:
            breaker.ignored += 1
        look(registry)
        await settle()
        assert sorted(reader.rows) == names
        assert reader.snapshot["summary"]["total"] == 3
        numbers = {second[0] for second in reader.named("figures")[0].get("seconds", ())}
        assert numbers <= reader.feed.rows.keys()


async def test_a_row_that_begins_to_fit_is_new_and_one_that_does_not_any_more_is_gone(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
) -> None:
    payments.acquire().success()
    History.of(registry).tick()
    async with streaming(monitor, reader, query="state=open"):
        payments.open()
        await settle()
        payments.close()
        await settle()
        new, gone = reader.named("figures")
    ((number, *_),) = new["rows"]
    assert [second[0] for second in new["seconds"]] == [number], "with its last minute"
    assert gone["gone"] == [number]
    assert "set" not in new.keys() | gone.keys()


async def test_a_wrong_filter_gets_400(monitor: CircuitBreakerMonitor) -> None:
    assert (await visit(monitor, "/stream?state=ajar")).status == 400


# Readers


async def test_only_authorized_readers_get_details(registry: BreakerRegistry) -> None:
    payments = registry.get("payments")
    plain, full = Reader(), Reader()
    monitor = CircuitBreakerMonitor(registry=registry)
    admin = CircuitBreakerMonitor(registry=registry, authorize=allow, authorize_control=allow)
    async with streaming(monitor, plain), streaming(admin, full):
        payments.open(who="ann")
        look(registry)
        await settle()
    assert "ann" not in plain.text
    assert plain.rows["payments"]["limits"] is None
    assert full.rows["payments"]["limits"]["fail_max"] == 5
    assert full.rows["payments"]["outage"]["who"] == "ann"
    assert full.named("stories")[0][0]["who"] == "ann"


async def test_a_reader_that_comes_back_gets_a_snapshot(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    payments.open()
    payments.close()
    async with streaming(monitor, reader, [("last-event-id", "1")]):
        assert [kind for kind, _ in reader.all] == ["snapshot"]
        assert len(reader.snapshot["stories"]) == 2


async def test_the_snapshot_of_a_late_reader_is_current(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    late = Reader()
    async with streaming(monitor, reader):
        payments.open()
        async with streaming(monitor, late):
            assert late.rows["payments"]["state"] == "open"
            assert late.events == []
            assert reader.rows["payments"]["state"] == "open"


async def test_readers_with_one_filter_get_the_same_text_made_once(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, registry: BreakerRegistry
) -> None:
    readers = [Reader() for _ in range(3)]
    async with (
        streaming(monitor, readers[0], query="name=p*&name=q*"),
        streaming(monitor, readers[1], query="name=q*&name=p*&limit=3"),
        streaming(monitor, readers[2], query="name=p*&name=q*&name="),
    ):
        payments.acquire().success()
        look(registry)
        await settle()
        texts = {id(reader.messages[-1]["body"]) for reader in readers}
        assert len(texts) == 1
