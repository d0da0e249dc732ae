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

    The body of such a response is made after its head was sent, so a breaker that its generator
    asks would reject a request whose 200 is on its way already. A server must not send the head
    before the body anyway (ASGI, `http.response.start`); most do, and a client may wait for the
    head of a stream whose first event is long in coming. So the head leaves after `LONGEST` at the
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
        """When it began to wait, by the event loop's clock."""
        self._waiting = _Waiting.here()
        self._waiting.add(self)

    def holds(self, message: Message) -> bool:
        """Return True if a message is held back too: a body that is empty, as its maker has failed.

        FastAPI sends it in a route of events before the exception is to be seen.
        """
        held = self.is_of_events and bool(self._held) and not message.get("body")
        if held:
            self._held.append(message)
        return held

    @property
    def has_whole_body(self) -> bool:
        """True if an empty body is all that has come."""
        return len(self._held) > 1

    def take_back(self) -> list[Message]:
        """Return what is held back, which is not going to leave; nothing if it has left."""
        self._waiting.discard(self)
        held, self._held = self._held, []
        return held

    async def gives_way_to(self, rejection: CircuitBreakerError | None) -> bool:
        """Return True if a rejection can be answered; otherwise send the head before it passes."""
        if rejection is not None and self.take_back():
            return True
        with suppress(Exception):  # the client is gone, and another exception is on its way
            await self.leave()
        return False

    def leave_soon(self) -> None:
        """Send the head in a task of its own, unless it has left."""
        if self._held:
            self._leaving = asyncio.ensure_future(self._send_all(self._let_go()))
            self._leaving.add_done_callback(self._has_left)

    def _has_left(self, leaving: asyncio.Future[None]) -> None:
        if not leaving.cancelled() and leaving.exception() is None:
            self._leaving = None

    async def leave(self) -> None:
        """Send the head, unless it has left."""
        if self._leaving is not None:
            await asyncio.shield(self._leaving)
        elif self._held:
            await self._send_all(self._let_go())

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message after the head."""
        if self._held:
            return self._send_all([*self._let_go(), message])
        if self._leaving is not None:
            return self._send_after(self._leaving, message)
        return self.to_client(message)

    def _let_go(self) -> list[Message]:
        held = self.take_back()
        self._leaves()
        return held

    async def _send_all(self, messages: list[Message]) -> None:
        for message in messages:
            await self.to_client(message)

    async def _send_after(self, leaving: asyncio.Future[None], message: Message) -> None:
        await asyncio.shield(leaving)
        await self.to_client(message)


class _Waiting:
    """The heads that are held back in one event loop, by one timer for all of them."""

    _of_thread = threading.local()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self._time = loop.time
        self._heads: dict[Head, None] = {}
        self._is_timed = False

    @staticmethod
    def here() -> _Waiting:
        """Return that of the running loop. Raises `RuntimeError` where none of asyncio runs."""
        loop = asyncio.get_running_loop()
        waiting: _Waiting | None = getattr(_Waiting._of_thread, "waiting", None)
        if waiting is None or waiting.loop() is not loop:
            waiting = _Waiting._of_thread.waiting = _Waiting(loop)
        return waiting

    def add(self, head: Head) -> None:
        head.since = self._time()
        self._heads[head] = None
        if not self._is_timed:
            self._look_after(LONGEST)

    def discard(self, head: Head) -> None:
        self._heads.pop(head, None)

    def _look_after(self, seconds: float) -> None:
        loop = self.loop()
        if loop is not None:
            self._is_timed = True
            loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Let the heads leave that have waited for long enough."""
        self._is_timed = False
        now = self._time()
        for head in list(self._heads):
            left = head.since + LONGEST - now
            if left > 0:
                self._look_after(left)
                return
            head.leave_soon()


class HoldingSend:
    """The `send` of an application, which holds back the head of a response without a length."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.head: Head | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and not begins_with_length(message):
            body = Body.of(message)
            if not body.has_length:
                self.head = held(message, body, self._send, lambda: None)
            if self.head is not None:
                self._send = self.head.send
                return nothing()
        elif self.head is not None and self.head.holds(message):
            return nothing()
        return self._send(message)


class Body(NamedTuple):
    """A body, as far as the head of its response describes it."""

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


def begins_with_length(start: Message) -> bool:
    """Return True if the first header tells the length of the body, as most responses begin."""
    try:
        return bool(start["headers"][0][0] == b"content-length")
    except (KeyError, TypeError, IndexError):  # none, or to be read once
        return False


async def nothing() -> None:
    """Send nothing."""


def held(start: Message, body: Body, send: Send, leaves: Callable[[], object]) -> Head | None:
    """Return a head that is held back, where that can be done: not in the event loop of trio."""
    try:
        return Head(start, send, leaves, is_of_events=body.is_of_events)
    except RuntimeError:
        return None
