"""The head of a streaming response, held back while a rejection may still be answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

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
        self._start: Message | None = start
        self.to_client = send
        self._leaves = leaves
        self._leaving: asyncio.Future[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(LONGEST, self.leave_soon)

    def take_back(self) -> Message | None:
        """Return the head, unless it has left: it is not going to."""
        self._timer.cancel()
        start, self._start = self._start, None
        return start

    async def gives_way_to(self, rejection: CircuitBreakerError | None) -> bool:
        """Return True if a rejection can be answered; send the head before any other exception."""
        if rejection is not None:
            return self.take_back() is not None
        with suppress(Exception):  # the client is gone, and another exception is on its way
            await self.leave()
        return False

    def leave_soon(self) -> None:
        """Send the head in a task of its own, unless it has left."""
        if (start := self.take_back()) is not None:
            self._leaves()
            self._leaving = asyncio.ensure_future(self.to_client(start))
            self._leaving.add_done_callback(self._has_left)

    def _has_left(self, leaving: asyncio.Future[None]) -> None:
        if not leaving.cancelled() and leaving.exception() is None:
            self._leaving = None

    async def leave(self) -> None:
        """Send the head, unless it has left."""
        if (start := self.take_back()) is not None:
            self._leaves()
            await self.to_client(start)
        elif self._leaving is not None:
            await asyncio.shield(self._leaving)

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message after the head."""
        if self._start is None and self._leaving is None:
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
        return self._send(message)


def has_length(start: Message) -> bool:
    """Return True if the first header tells the length of the body, as most responses begin."""
    try:
        return bool(start["headers"][0][0] == b"content-length")
    except (KeyError, TypeError, IndexError):  # none, or to be read once
        return False


async def nothing() -> None:
    """Send nothing."""


def held(start: Message, send: Send, leaves: Callable[[], object]) -> Head | None:
    """Return a head that is held back, where that can be done: not in the event loop of trio."""
    try:
        return Head(start, send, leaves)
    except RuntimeError:
        return None
