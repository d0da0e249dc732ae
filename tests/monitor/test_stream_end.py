"""Streams that end: with their client, with the server, or as their reader is too slow."""

from __future__ import annotations

import asyncio
import signal

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from breaker_asgi.asgi.types import Message
from breaker_asgi.monitor.audience import View
from breaker_asgi.monitor.broadcaster import Broadcaster, _broadcasters
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.server_shutdown import server_is_ending
from breaker_asgi.monitor.stream import EventStream
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.monitor.readers import Reader, look, scope_of, settle, streaming


@pytest.fixture(autouse=True)
def _quiet(no_looks: None) -> None:
    """Broadcast only when a test calls `look`."""


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
    scope = scope_of()
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
            await settle()
        assert task.done()
        assert len(quick.named("figures")) == 40


async def test_a_reader_too_many_bytes_behind_is_dropped(
    monitor: CircuitBreakerMonitor,
    payments: CircuitBreaker,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("breaker_asgi.monitor.stream._MOST_BYTES", 300)
    async with streaming(monitor, reader) as task:
        reader.reads.clear()
        for _ in range(3):
            payments.open()
            await settle()
        assert task.done()


async def test_a_reader_gets_a_single_text_of_any_length(
    monitor: CircuitBreakerMonitor,
    payments: CircuitBreaker,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("breaker_asgi.monitor.stream._MOST_BYTES", 10)
    async with streaming(monitor, reader) as task:
        payments.open()
        await settle()
        assert not task.done()
        assert reader.rows["payments"]["state"] == "open"


async def test_a_thousand_changes_at_once_drop_no_reader_that_reads(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    async with streaming(monitor, reader) as task:
        for _ in range(500):
            payments.open()
            payments.close()
        await settle()
        assert not task.done()
        stories = [story["id"] for story in reader.named("stories")[-1]]
        assert stories[-1] == 1_000


async def test_a_beat_with_the_time_is_sent_after_two_seconds_of_nothing(
    registry: BreakerRegistry, payments: CircuitBreaker, reader: Reader
) -> None:
    clock = FakeClock()
    broadcaster = Broadcaster(registry, clock)
    async with streaming(stream_of(broadcaster), reader):
        for _ in range(4):
            clock.advance(1)
            broadcaster.look()
            await settle()
        first, second = reader.named("beat")
    assert first.keys() == {"now"}
    assert first["now"] <= second["now"]


def stream_of(broadcaster: Broadcaster) -> EventStream:
    view = View(details=False, controls=False)
    return EventStream(broadcaster, view, {"type": "http", "headers": []}, headers=[])


async def test_a_stream_with_one_filter_too_many_gets_503(
    monitor: CircuitBreakerMonitor, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breaker_asgi.monitor.broadcaster.MOST_AUDIENCES", 1)
    async with streaming(monitor, reader), streaming(monitor, Reader()):
        reply = await visit(monitor, "/stream?name=x")
    assert reply.status == 503


async def test_an_error_of_a_broken_connection_ends_the_stream(
    monitor: CircuitBreakerMonitor, reader: Reader
) -> None:
    async def send(_message: Message) -> None:
        raise OSError("gone")

    scope = scope_of()
    await monitor(scope, reader.receive, send)


async def test_a_receive_that_never_waits_does_not_hold_the_loop(
    monitor: CircuitBreakerMonitor, reader: Reader
) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = scope_of()
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
    scope = scope_of()
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
    scope = scope_of()
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
