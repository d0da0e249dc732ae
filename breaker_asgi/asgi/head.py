"""The head of a streaming response, held back while a rejection may still be answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from breaker_asgi.asgi.headers import headers_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breaker_asgi.asgi.types import Message, Send
    from breaker_asgi.errors import CircuitBreakerError

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

    def __init__(self, start: Message, send: Send, leaves: Callable[[], object]) -> None:
        """Hold `start` back, and call `leaves` as it leaves. Needs the event loop of asyncio."""
        self._held = [start]
        self.to_client = send
        self._leaves = leaves
        self._leaving: asyncio.Future[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(LONGEST, self.leave_soon)

    def holds(self, message: Message) -> bool:
        """Return True if a message is held back too: a body that is empty, as its maker has failed.

        FastAPI sends it in a route of events before the exception is to be seen.
        """
        held = bool(self._held) and not message.get("body") and is_of_events(self._held[0])
        if held:
            self._held.append(message)
        return held

    @property
    def has_whole_body(self) -> bool:
        """True if an empty body is all that has come."""
        return len(self._held) > 1

    def take_back(self) -> list[Message]:
        """Return what is held back, which is not going to leave; nothing if it has left."""
        self._timer.cancel()
        held, self._held = self._held, []
        return held

    async def gives_way_to(self, rejection: CircuitBreakerError | None) -> bool:
        """Return True if a rejection can be answered; send the head before any other exception."""
        if rejection is not None:
            return bool(self.take_back())
        with suppress(Exception):  # the client is gone, and another exception is on its way
            await self.leave()
        return False

    def leave_soon(self) -> None:
        """Send the head in a task of its own, unless it has left."""
        if self._held:
            self._leaving = asyncio.ensure_future(self._send_held())
            self._leaving.add_done_callback(self._has_left)

    def _has_left(self, leaving: asyncio.Future[None]) -> None:
        if not leaving.cancelled() and leaving.exception() is None:
            self._leaving = None

    async def leave(self) -> None:
        """Send the head, unless it has left."""
        if self._leaving is not None:
            await asyncio.shield(self._leaving)
        elif self._held:
            await self._send_held()

    def _send_held(self) -> Awaitable[None]:
        self._leaves()
        return self._send_each(self.take_back())

    async def _send_each(self, messages: list[Message]) -> None:
        for message in messages:
            await self.to_client(message)

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message after the head."""
        if not self._held and self._leaving is None:
            return self.to_client(message)
        return self._send_after_head(message)

    async def _send_after_head(self, message: Message) -> None:
        await self.leave()
        await self.to_client(message)


class HoldingSend:
    """The `send` of an application, which holds back the head of a response without a length."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.head: Head | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and not has_length(message):
            self.head = held(message, self._send, lambda: None)
            if self.head is not None:
                self._send = self.head.send
                return nothing()
        elif self.head is not None and self.head.holds(message):
            return nothing()
        return self._send(message)


def has_length(start: Message) -> bool:
    """Return True if the first header tells the length of the body, as most responses begin."""
    try:
        return bool(start["headers"][0][0] == b"content-length")
    except (KeyError, TypeError, IndexError):  # none, or to be read once
        return False


def is_of_events(start: Message) -> bool:
    """Return True for the head of a stream of server-sent events."""
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in headers_of(start)
    )


async def nothing() -> None:
    """Send nothing."""


def held(start: Message, send: Send, leaves: Callable[[], object]) -> Head | None:
    """Return a head that is held back, where that can be done: not in the event loop of trio."""
    try:
        return Head(start, send, leaves)
    except RuntimeError:
        return None
