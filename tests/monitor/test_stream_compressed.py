"""The stream as gzip: compressed once for all readers, and read event by event."""

from __future__ import annotations

import gzip
import zlib

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from breaker_asgi.monitor.compression import GzipBody, Piece
from tests.monitor.readers import GZIP, Reader, look, settle, streaming


@pytest.fixture(autouse=True)
def _quiet(no_looks: None) -> None:
    """Broadcast only when a test calls `look`."""


async def test_a_compressed_stream_is_like_a_plain_one(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
) -> None:
    packed = Reader()
    async with streaming(monitor, reader), streaming(monitor, packed, GZIP):
        for _ in range(3):
            payments.acquire().success()
            look(registry)
            await settle()
        payments.open()
        await settle()
    assert packed.headers[b"content-encoding"] == b"gzip"
    assert b"content-encoding" not in reader.headers
    assert [content for _, content in packed.events] == [content for _, content in reader.events]
    assert packed.rows == reader.rows


async def test_each_compressed_event_can_be_read_at_once(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, reader: Reader
) -> None:
    decompressor = zlib.decompressobj(31)
    async with streaming(monitor, reader, GZIP):
        assert decompressor.decompress(reader.body).endswith(b"\n\n")
        size = len(reader.body)
        payments.open()
        await settle()
        assert b'"open"' in decompressor.decompress(reader.body[size:])


async def test_compressed_streams_share_all_but_the_header(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    one, other = Reader(), Reader()
    async with streaming(monitor, one, GZIP):
        payments.open()
        await settle()
        async with streaming(monitor, other, GZIP):
            payments.close()
            await settle()
            assert one.messages[-1]["body"] is not None
            assert one.messages[-1]["body"] == other.messages[-1]["body"]
    assert other.rows["payments"]["state"] == "closed"


async def test_a_compressed_stream_that_the_server_ends_is_complete(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with streaming(monitor, reader, GZIP):
        payments.open()
        await settle()
        monkeypatch.setattr("breaker_asgi.monitor.broadcaster.server_is_ending", lambda: True)
        look(registry, tick=False)
        await settle()
    assert gzip.decompress(reader.body).decode() == reader.text


def test_a_body_without_a_text_is_complete() -> None:
    assert gzip.decompress(GzipBody().end()) == b""


def test_a_text_that_was_not_compressed_before_is_compressed() -> None:
    body = GzipBody()
    assert gzip.decompress(body.of(Piece(b"a text")) + body.end()) == b"a text"


@pytest.mark.parametrize(
    ("value", "is_packed"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("br, gzip;q=0.2, *;q=0", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=wrong", False),
        ("gzip2", False),
    ],
)
async def test_a_stream_is_compressed_where_the_client_accepts_it(
    monitor: CircuitBreakerMonitor, reader: Reader, value: str, *, is_packed: bool
) -> None:
    async with streaming(monitor, reader, [("accept-encoding", value)]):
        pass
    assert (b"content-encoding" in reader.headers) is is_packed
