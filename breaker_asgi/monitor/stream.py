"""The stream: changes as server-sent events, to any number of readers.

A `Broadcaster` makes each text once for all with the same view. A reader that does not keep up is
dropped; it reconnects by itself and gets a new snapshot. Nothing is kept for it meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from breaker_asgi.asgi.headers import accepts_gzip
from breaker_asgi.monitor.compression import GzipBody, PlainBody
from breaker_asgi.monitor.server_shutdown import server_is_ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.asgi.headers import Headers
    from breaker_asgi.asgi.types import Message, Receive, Scope, Send
    from breaker_asgi.monitor.audience import View
    from breaker_asgi.monitor.compression import Piece

HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"accept-encoding"),
    (b"x-accel-buffering", b"no"),
]

_MOST_QUEUED = 32
"""Texts queued for a reader before it is dropped."""
_MOST_BYTES = 4_000_000
"""Bytes queued likewise; a single text may be longer."""
_LONGEST_SEND = 5.0
_ABORT_AFTER = 2.0
"""Seconds for the client to receive the end, when the server shuts down."""


class Feed(Protocol):
    """The source of what streams send."""

    clock: Callable[[], float]

    def join(self, stream: EventStream) -> None: ...

    def leave(self, stream: EventStream) -> None: ...


class EventStream:
    """One reader's stream, as an ASGI application."""

    def __init__(self, broadcaster: Feed, view: View, scope: Scope, headers: Headers) -> None:
        self.view = view
        self._broadcaster = broadcaster
        self._body: PlainBody | GzipBody = GzipBody() if accepts_gzip(scope) else PlainBody()
        encoding = [(b"content-encoding", b"gzip")] if self.is_packed else []
        self._headers = [*HEADERS, *encoding, *headers]
        self._texts: deque[Piece] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._ended = self._client_has_left = False
        self._blocked: asyncio.Timeout | None = None
        self._busy_since = broadcaster.clock()

    @property
    def is_packed(self) -> bool:
        """True if its body is compressed."""
        return self._body.encoded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self._headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send(_body(b"", more=False))
            return
        self._broadcaster.join(self)
        watch = asyncio.ensure_future(self._end_with_the_client(receive))
        try:
            delivered = await self._send_all(send, start)
            if abort := _abort_of(receive):
                if not delivered:
                    abort()
                    await asyncio.wait([watch], timeout=_LONGEST_SEND)  # until the server notices
                elif server_is_ending():
                    asyncio.get_running_loop().call_later(_ABORT_AFTER, abort)
        finally:
            self._broadcaster.leave(self)
            watch.cancel()

    def push(self, text: Piece) -> None:
        """Queue a text; end the stream if too many are queued."""
        self._queued += len(text.plain)
        full = len(self._texts) >= _MOST_QUEUED or self._queued > _MOST_BYTES
        if self._texts and full:
            self.end()
        else:
            self._texts.append(text)
            self._wake.set()

    def end(self) -> None:
        """End the response; queued texts are dropped, also one that is being sent."""
        self._ended = True
        self._wake.set()
        blocked, self._blocked = self._blocked, None
        if blocked is not None:
            blocked.reschedule(0)

    def look(self, now: float) -> None:
        """End the stream if its reader is blocked."""
        if self._blocked is not None and now - self._busy_since > _LONGEST_SEND:
            self.end()

    async def _send_all(self, send: Send, start: Message) -> bool:
        """Send until the end. Return False if the reader does not receive it."""
        delivered = await self._send(send, start)
        while delivered and not self._ended:
            if self._texts:
                text = self._texts.popleft()
                self._queued -= len(text.plain)
                delivered = await self._send(send, _body(self._body.of(text), more=True))
            else:
                self._wake.clear()
                await self._wake.wait()
        if delivered and not self._client_has_left:
            delivered = await self._send(send, _body(self._body.end(), more=False))
        return delivered

    async def _send(self, send: Send, message: Message) -> bool:
        """Send a message. Return False if the reader did not receive it."""
        self._busy_since = self._broadcaster.clock()
        try:
            async with asyncio.timeout(None) as self._blocked:
                await send(message)
        except OSError:  # includes the TimeoutError of asyncio.timeout
            return False
        finally:
            self._blocked = None
        return True

    async def _end_with_the_client(self, receive: Receive) -> None:
        try:
            message = await receive()
            while message["type"] == "http.request" and message.get("more_body"):
                message = await receive()
            if message["type"] == "http.request":
                message = await receive()
            self._client_has_left = message["type"] == "http.disconnect"
        except Exception:  # noqa: BLE001
            self._client_has_left = True
        if self._client_has_left:
            self.end()


def _abort_of(receive: Receive) -> Callable[[], object] | None:
    """Return the function that aborts the connection, if the server exposes one.

    A client that reads nothing would keep it open, and uvicorn running, until it has received all
    that was written.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    abort: Callable[[], object] | None = getattr(transport, "abort", None)
    return abort


def _body(text: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}
