"""The stream of changes: `GET /breakers/stream`."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor, TimeWindow
from breaker_asgi.asgi.types import Message
from breaker_asgi.monitor.broadcaster import Broadcaster, _broadcasters
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.server_shutdown import server_is_ending
from breaker_asgi.monitor.stream import EventStream
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import TEST_CLIENT, Fields, visit
from tests.monitor.conftest import allow


class Reader:
    """A client of the stream that reads, may stop reading, and may leave."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.has_left = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        self.messages.append(message)

    async def receive(self) -> Message:
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.messages).decode()

    @property
    def ended(self) -> bool:
        return not self.messages[-1].get("more_body", True)

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events without the snapshots."""
        return [event for event in self.all if event[0] != "snapshot"]

    @property
    def snapshot(self) -> Any:
        return next(content for kind, content in self.all if kind == "snapshot")

    @property
    def all(self) -> list[tuple[str, Any]]:
        events = []
        for text in self.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in text.splitlines() if line[:1] != ":")
            if "event" in fields:
                events.append((fields["event"], json.loads(fields["data"])))
        return events


async def settle() -> None:
    """Run all callbacks that are ready."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def streaming(
    app: Any, reader: Reader, fields: Fields = (), method: str = "GET"
) -> AsyncIterator[asyncio.Task[None]]:
    headers = [(name.encode(), value.encode()) for name, value in fields]
    scope = {
        "type": "http",
        "method": method,
        "path": "/stream",
        "headers": headers,
        "client": TEST_CLIENT,
    }
    task = asyncio.ensure_future(app(scope, reader.receive, reader.send))
    await settle()
    try:
        yield task
    finally:
        reader.reads.set()
        reader.has_left.set()
        await task


@pytest.fixture
async def reader() -> Reader:
    return Reader()


@pytest.fixture(autouse=True)
def _no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broadcast only when a test calls `look`."""
    monkeypatch.setattr("breaker_asgi.monitor.broadcaster._LOOK_EVERY", 3_600.0)


@pytest.fixture
def payments(registry: BreakerRegistry) -> CircuitBreaker:
    return registry.get("payments")


def look(registry: BreakerRegistry, *, tick: bool = True) -> None:
    """Broadcast as if a second had passed."""
    if tick:
        History.of(registry).tick()
    _broadcasters[registry][asyncio.get_running_loop()].look()


async def test_a_stream_begins_with_a_snapshot(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
) -> None:
    payments.open()
    async with streaming(monitor, reader):
        listing = (await visit(monitor)).json
    assert reader.text.startswith("retry: 2000\n\nevent: snapshot\n")
    snapshot = reader.snapshot
    assert snapshot.keys() == {*listing, "events"}
    assert snapshot["summary"] == listing["summary"]
    (breaker,) = snapshot["breakers"]
    assert breaker.pop("history") == []
    assert breaker.keys() == listing["breakers"][0].keys()
    assert [event["to"] for event in snapshot["events"]] == ["open"]


async def test_the_headers_prevent_storing_and_buffering(
    monitor: CircuitBreakerMonitor, reader: Reader
) -> None:
    async with streaming(monitor, reader):
        headers = dict(reader.messages[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-accel-buffering"] == b"no"
    assert headers[b"x-content-type-options"] == b"nosniff"


async def test_head_gets_the_headers_alone(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    reply = await visit(monitor, "/stream", "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert registry not in _broadcasters


async def test_a_transition_is_sent_at_once(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    async with streaming(monitor, reader):
        payments.open()
        await settle()
        ((kind, event),) = reader.events
    assert kind == "change"
    assert (event["breaker"], event["to"]) == ("payments", "open")
    assert f"id: {event['id']}\n" in reader.text


async def test_a_transition_in_another_thread_is_sent(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    async with streaming(monitor, reader):
        thread = threading.Thread(target=payments.open)
        thread.start()
        thread.join()
        await settle()
        assert [kind for kind, _ in reader.events] == ["change"]


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
        assert reader.events == []
        look(registry)
        await settle()
        ((kind, content),) = reader.events
    assert kind == "breakers"
    assert content.keys() == {"now", "summary", "breakers", "gone", "store"}
    (breaker,) = content["breakers"]
    assert (breaker["name"], breaker["successes"]) == ("payments", 1)
    assert breaker["second"][1:] == [1, 0, 0, 0]


async def test_calls_under_way_are_sent_though_none_has_ended(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    clock = FakeClock()
    search = registry.get("search", slow_call_rate=1, slow_call_duration=90, clock=clock)
    async with streaming(monitor, reader):
        hanging = search.acquire()
        for _ in range(100):
            look(registry)
        clock.advance(100)
        look(registry)
        await settle()
        figures = [content["breakers"][0] for _, content in reader.events]
    hanging.success()
    assert [
        (breaker["calls_under_way"], breaker["slow_calls_under_way"]) for breaker in figures
    ] == [(1, 0), (1, 1)]


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
        look(registry)
        clock.advance(301)
        look(registry)
        await settle()
    rates = [content["breakers"][0]["failure_rate"] for _, content in reader.events]
    assert rates == [0.5, None]


async def test_many_changed_breakers_are_sent_together(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    breakers = [registry.get(str(number)) for number in range(250)]
    async with streaming(monitor, reader):
        for breaker in breakers:
            breaker.acquire().success()
        look(registry)
        await settle()
        ((_, content),) = reader.events
    assert [breaker["successes"] for breaker in content["breakers"]] == [1] * 250


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
    assert [breaker["name"] for breaker in content["breakers"]] == ["new"]
    assert content["gone"] == ["old"]


async def test_only_authorized_readers_get_details(registry: BreakerRegistry) -> None:
    payments = registry.get("payments", keep_messages=True)
    plain, full = Reader(), Reader()
    monitor = CircuitBreakerMonitor(registry=registry)
    admin = CircuitBreakerMonitor(registry=registry, authorize=allow, authorize_control=allow)
    async with streaming(monitor, plain), streaming(admin, full):
        payments.acquire().failure(RuntimeError("secret"))
        payments.open(who="ann")
        look(registry)
        await settle()
    assert "secret" not in plain.text
    assert "ann" not in plain.text
    assert plain.snapshot["breakers"][0]["limits"] is None
    assert dict(plain.events)["breakers"]["breakers"][0]["limits"] is None
    assert dict(full.events)["change"]["who"] == "ann"
    (breaker,) = dict(full.events)["breakers"]["breakers"]
    assert breaker["last_failure_message"] == "secret"
    assert breaker["limits"]["fail_max"] == 5


async def test_a_reader_that_reconnects_gets_the_missed_events(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    for _ in range(2):
        payments.open()
        payments.close()
    async with streaming(monitor, reader, [("last-event-id", "2")]):
        assert [event["id"] for _, event in reader.events] == [3, 4]


@pytest.mark.parametrize("last_id", ["4", "5", "999", "", "x", "-1", "9" * 5_000, "²"])
async def test_an_id_that_is_not_of_an_earlier_event_is_ignored(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader, last_id: str
) -> None:
    for _ in range(2):
        payments.open()
        payments.close()
    async with streaming(monitor, reader, [("last-event-id", last_id)]):
        assert reader.events == []
        assert len(reader.snapshot["events"]) == 4


async def test_the_snapshot_of_a_late_reader_is_current(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    late = Reader()
    async with streaming(monitor, reader):
        payments.open()
        await settle()
        async with streaming(monitor, late):
            assert late.snapshot["breakers"][0]["state"] == "open"
            assert late.events == []


async def test_many_readers_get_the_same_text_made_once(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, registry: BreakerRegistry
) -> None:
    readers = [Reader() for _ in range(3)]
    async with (
        streaming(monitor, readers[0]),
        streaming(monitor, readers[1]),
        streaming(monitor, readers[2]),
    ):
        payments.acquire().success()
        look(registry)
        await settle()
        texts = {id(reader.messages[-1]["body"]) for reader in readers}
        assert len(texts) == 1


# End


async def test_a_stream_ends_with_the_client(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    async with streaming(monitor, reader) as task:
        reader.has_left.set()
        await settle()
        assert task.done()
        assert registry not in _broadcasters
        assert EventLog.of(registry)._readers == ()


async def test_a_stream_ends_with_a_blocked_client(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    async with streaming(monitor, reader) as task:
        reader.reads.clear()
        payments.open()
        await settle()
        reader.has_left.set()
        await settle()
        assert task.done()


async def test_a_cancelled_stream_leaves_nothing_behind(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, reader: Reader
) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/stream",
        "headers": [],
        "client": TEST_CLIENT,
    }
    task = asyncio.ensure_future(monitor(scope, reader.receive, reader.send))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert registry not in _broadcasters
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_reader_blocked_for_five_seconds_is_dropped(
    registry: BreakerRegistry, payments: CircuitBreaker, reader: Reader
) -> None:
    clock = FakeClock()
    broadcaster = Broadcaster(registry, clock)
    async with streaming(stream_of(broadcaster), reader) as task:
        reader.reads.clear()
        payments.open()
        await settle()
        clock.advance(5)
        broadcaster.look()
        await settle()
        assert not task.done()
        clock.advance(0.1)
        broadcaster.look()
        await settle()
        assert task.done()
        assert not reader.ended


async def test_a_reader_too_far_behind_is_dropped(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    quick = Reader()
    async with streaming(monitor, quick), streaming(monitor, reader) as task:
        reader.reads.clear()
        for _ in range(40):
            payments.open()
            payments.close()
            await settle()
        assert task.done()
        assert len(quick.events) == 80


async def test_a_thousand_changes_at_once_drop_no_reader_that_reads(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    async with streaming(monitor, reader) as task:
        for _ in range(500):
            payments.open()
            payments.close()
        await settle()
        assert not task.done()
        assert [content["id"] for _, content in reader.events] == [*range(1, 1_001)]


async def test_a_heartbeat_is_sent_after_ten_idle_seconds(
    registry: BreakerRegistry, payments: CircuitBreaker, reader: Reader
) -> None:
    clock = FakeClock()
    broadcaster = Broadcaster(registry, clock)
    async with streaming(stream_of(broadcaster), reader):
        for _ in range(4):
            clock.advance(5)
            broadcaster.look()
            await settle()
        assert reader.messages[-1]["body"] == b"event: beat\ndata: {}\n\n"
        assert reader.text.count("event: beat") == 2


def stream_of(broadcaster: Broadcaster) -> EventStream:
    return EventStream(broadcaster, details=False, controls=False, headers=[])


async def test_an_error_of_a_broken_connection_ends_the_stream(
    monitor: CircuitBreakerMonitor, reader: Reader
) -> None:
    async def send(_message: Message) -> None:
        raise OSError("gone")

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/stream",
        "headers": [],
        "client": TEST_CLIENT,
    }
    await monitor(scope, reader.receive, send)


async def test_a_receive_that_never_waits_does_not_hold_the_loop(
    monitor: CircuitBreakerMonitor, reader: Reader
) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/stream",
        "headers": [],
        "client": TEST_CLIENT,
    }
    task = asyncio.ensure_future(monitor(scope, receive, reader.send))
    await settle()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_streams_end_when_the_server_shuts_down(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads, stuck = Reader(), Reader()
    async with streaming(monitor, reads) as one, streaming(monitor, stuck) as other:
        stuck.reads.clear()
        payments.open()
        await settle()
        monkeypatch.setattr("breaker_asgi.monitor.broadcaster.server_is_ending", lambda: True)
        look(registry, tick=False)
        await settle()
        assert one.done()
        assert other.done()
        assert reads.ended


class Connection:
    """A connection as in uvicorn: `receive` is its method, and it has a transport."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.transport = self
        self.aborted = False

    async def receive(self) -> Message:
        return await self.reader.receive()

    def abort(self) -> None:
        self.aborted = True
        self.reader.has_left.set()


@pytest.mark.parametrize("takes", [True, False])
async def test_the_connection_of_a_blocked_reader_is_aborted(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    *,
    takes: bool,
) -> None:
    connection = Connection(reader)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/stream",
        "headers": [],
        "client": TEST_CLIENT,
    }
    task = asyncio.ensure_future(monitor(scope, connection.receive, reader.send))
    await settle()
    if not takes:
        reader.reads.clear()
    payments.open()
    await settle()
    monkeypatch.setattr("breaker_asgi.monitor.broadcaster.server_is_ending", lambda: True)
    look(registry, tick=False)
    await task
    assert connection.aborted is not takes


async def test_at_shutdown_the_connection_is_aborted_despite_unread_data(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("breaker_asgi.monitor.broadcaster.server_is_ending", lambda: True)
    monkeypatch.setattr("breaker_asgi.monitor.stream.server_is_ending", lambda: True)
    monkeypatch.setattr("breaker_asgi.monitor.stream._ABORT_AFTER", 0.0)
    connection = Connection(reader)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/stream",
        "headers": [],
        "client": TEST_CLIENT,
    }
    task = asyncio.ensure_future(monitor(scope, connection.receive, reader.send))
    await settle()
    look(registry, tick=False)
    await task
    await settle()
    assert reader.ended
    assert connection.aborted


def test_a_shutdown_of_uvicorn_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        should_exit = False

        def handle_exit(self, sig: int, frame: object) -> None: ...

    server = Server()
    assert not server_is_ending()
    monkeypatch.setattr(signal, "getsignal", lambda _signal: server.handle_exit)
    assert not server_is_ending()
    server.should_exit = True
    assert server_is_ending()
