"""Readers of the stream."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from breaker_asgi import BreakerRegistry
from breaker_asgi.asgi.types import Message
from breaker_asgi.monitor.broadcaster import _broadcasters
from breaker_asgi.monitor.history import History
from tests.asgi.visitor import TEST_CLIENT, Fields
from tests.monitor.examples import example

MOVING = {"changed_at", "retry_after"}
"""Fields derived from the present time."""
GZIP = [("accept-encoding", "gzip, deflate")]


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
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def text(self) -> str:
        packed = b"content-encoding" in self.headers
        return (zlib.decompressobj(31).decompress(self.body) if packed else self.body).decode()

    @property
    def ended(self) -> bool:
        return not self.messages[-1].get("more_body", True)

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events without the snapshots."""
        return [event for event in self.all if event[0] != "snapshot"]

    def named(self, kind: str) -> list[Any]:
        """The contents of the events of a kind."""
        return [content for name, content in self.all if name == kind]

    @property
    def feed(self) -> Any:
        """The breakers, as the reader of the documentation has them."""
        feed = example("The stream")["Feed"]()
        for kind, content in self.all:
            feed.apply(kind, content)
        return feed

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows by name."""
        return {row["name"]: row for row in self.feed.rows.values()}

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


async def settle(turns: int = 100) -> None:
    """Run all callbacks that are ready."""
    for _ in range(turns):
        await asyncio.sleep(0)


def scope_of(fields: Fields = (), query: str = "") -> dict[str, Any]:
    """Return the scope of a request for the stream."""
    return {
        "type": "http",
        "method": "GET",
        "path": "/stream",
        "headers": [(name.encode(), value.encode()) for name, value in fields],
        "query_string": query.encode(),
        "client": TEST_CLIENT,
    }


@asynccontextmanager
async def streaming(
    app: Any, reader: Reader, fields: Fields = (), query: str = ""
) -> AsyncIterator[asyncio.Task[None]]:
    scope = scope_of(fields, query)
    task = asyncio.ensure_future(app(scope, reader.receive, reader.send))
    await settle()
    try:
        yield task
    finally:
        reader.reads.set()
        reader.has_left.set()
        await task


def look(registry: BreakerRegistry, *, tick: bool = True) -> None:
    """Broadcast as if a second had passed."""
    if tick:
        History.of(registry).tick()
    _broadcasters[registry][asyncio.get_running_loop()].look()
