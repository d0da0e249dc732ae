"""The head of a streaming response, held back while a rejection may still be answered."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from breaker_asgi.asgi.headers import headers_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breaker_asgi._core.errors import CircuitBreakerError
    from breaker_asgi.asgi.types import Message, Send

LONGEST = 0.1
"""Seconds for which a head is held back at most."""


class Head:
    """The head of a response without a length, held back until its body begins.

    The body of such a response is made after its head was sent, so a breaker inside of its
    generator would reject a request whose 200 is on its way already. A server must not send the
    head before the body anyway (ASGI, `http.response.start`); most do, and a client may wait for
    the head of a stream whose first event takes long. So the head leaves after `LONGEST` at the
    latest: rejections come at once.
    """

    __slots__ = ("_held", "_leaves", "_leaving", "_waiting", "is_of_events", "since", "to_client")

    def __init__(
        self, start: Message, send: Send, leaves: Callable[[], object], *, is_of_events: bool
    ) -> None:
        """Hold `start` back, and call `leaves` as it leaves. Needs the event loop of asyncio."""
        self.to_client = send
        self.is_of_events = is_of_events
        self._held = [start]
        self._leaves = leaves
        self._leaving: asyncio.Future[None] | None = None
        self.since = 0.0
        """The start of its wait, by the event loop's clock."""
        self._waiting = _Waiting.here()
        self._waiting.add(self)

    def holds(self, message: Message) -> bool:
        """Return True if a message is held back too: the empty body of a generator that has failed.

        FastAPI sends it in a route of events before it raises the exception.
        """
        is_held = self.is_of_events and bool(self._held) and not message.get("body")
        if is_held:
            self._held.append(message)
        return is_held

    @property
    def has_whole_body(self) -> bool:
        """True if the body has come, and is empty."""
        return len(self._held) > 1

    def take_back(self) -> list[Message]:
        """Return the messages held back, and never send them; none if they have left."""
        self._waiting.discard(self)
        messages, self._held = self._held, []
        return messages

    async def gives_way_to(self, rejection: CircuitBreakerError | None) -> bool:
        """Return True if a rejection can still be answered; otherwise send the head."""
        if rejection is not None and self.take_back():
            return True
        with suppress(Exception):  # the client is gone, and another exception is on its way
            await self.leave()
        return False

    def leave_soon(self) -> None:
        """Send the head in a task of its own, unless it has left."""
        if self._held:
            self._leaving = asyncio.ensure_future(self._send_all(self._release()))
            self._leaving.add_done_callback(self._has_left)

    def _has_left(self, leaving: asyncio.Future[None]) -> None:
        if not leaving.cancelled() and leaving.exception() is None:
            self._leaving = None

    async def leave(self) -> None:
        """Send the head, unless it has left."""
        if self._leaving is not None:
            await asyncio.shield(self._leaving)
        elif self._held:
            await self._send_all(self._release())

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message after the head."""
        if self._held:
            return self._send_all([*self._release(), message])
        if self._leaving is not None:
            return self._send_after(self._leaving, message)
        return self.to_client(message)

    def _release(self) -> list[Message]:
        messages = self.take_back()
        self._leaves()
        return messages

    async def _send_all(self, messages: list[Message]) -> None:
        for message in messages:
            await self.to_client(message)

    async def _send_after(self, leaving: asyncio.Future[None], message: Message) -> None:
        await asyncio.shield(leaving)
        await self.to_client(message)


class _Waiting:
    """The heads that are held back in one event loop, with one timer for all."""

    _of_thread = threading.local()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self._time = loop.time
        self._heads: dict[Head, None] = {}
        self._is_timed = False

    @staticmethod
    def here() -> _Waiting:
        """Return the one of the running loop. Raises `RuntimeError` without a loop of asyncio."""
        loop = asyncio.get_running_loop()
        waiting: _Waiting | None = getattr(_Waiting._of_thread, "waiting", None)
        if waiting is None or waiting.loop() is not loop:
            waiting = _Waiting._of_thread.waiting = _Waiting(loop)
        return waiting

    def add(self, head: Head) -> None:
        head.since = self._time()
        self._heads[head] = None
        if not self._is_timed:
            self._schedule(LONGEST)

    def discard(self, head: Head) -> None:
        self._heads.pop(head, None)

    def _schedule(self, seconds: float) -> None:
        loop = self.loop()
        if loop is not None:
            self._is_timed = True
            loop.call_later(seconds, self._send_due)

    def _send_due(self) -> None:
        """Send the heads that have waited for long enough."""
        self._is_timed = False
        now = self._time()
        for head in list(self._heads):
            left = head.since + LONGEST - now
            if left > 0:
                self._schedule(left)
                return
            head.leave_soon()


class HoldingSend:
    """The `send` of an application, which holds back the head of a response without a length."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.head: Head | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and not has_length(message):
            body = Body.of(message)
            if not body.has_length:
                self.head = hold(message, body, self._send, lambda: None)
            if self.head is not None:
                self._send = self.head.send
                return nothing()
        elif self.head is not None and self.head.holds(message):
            return nothing()
        return self._send(message)


class Body(NamedTuple):
    """The length, type and encoding of a body, by the head of its response."""

    has_length: bool
    kind: str
    encoding: str

    @staticmethod
    def of(start: Message) -> Body:
        """Return the body that a head describes."""
        fields = {name.lower(): value for name, value in headers_of(start)}
        return Body(
            b"content-length" in fields,
            fields.get(b"content-type", b"").decode("latin-1"),
            fields.get(b"content-encoding", b"").decode("latin-1"),
        )

    @property
    def is_of_events(self) -> bool:
        """True for a stream of server-sent events."""
        return self.kind.startswith("text/event-stream")


def has_length(start: Message) -> bool:
    """Return True if a head has a `Content-Length`; False for headers that can be read once."""
    headers = start.get("headers")
    if isinstance(headers, (list, tuple)):  # a union is made anew each time
        for name, _ in headers:
            if name == b"content-length":
                return True
    return False


async def nothing() -> None:
    """Send nothing."""


def hold(start: Message, body: Body, send: Send, leaves: Callable[[], object]) -> Head | None:
    """Hold a head back, if possible: None in the event loop of trio."""
    try:
        return Head(start, send, leaves, is_of_events=body.is_of_events)
    except RuntimeError:
        return None
