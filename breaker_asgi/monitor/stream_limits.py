"""The limits of streams: how many a process and an address may have, and for how long unasked."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

from breaker_asgi._core.process import at_fork
from breaker_asgi.monitor.loopback import address_of_peer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breaker_asgi.asgi.types import Message, Receive, Scope, Send

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

MOST_STREAMS = 1_000
AUTHORIZE_EVERY = 60.0
"""Seconds after which a stream is authorized anew."""

_LONGEST_AUTHORIZATION = 10.0
_PART = 4
"""Streams may use a fourth of the descriptors, and one address a fourth of the streams."""
_NETWORK = 64
"""Bits of an IPv6 address that count as one address: a client has all that begin with them."""

_lock = RLock()
_open: Counter[object] = Counter()
"""Streams of this process, by address."""


def _forget() -> None:
    """Begin anew in a child process, and with a lock of its own."""
    global _lock  # noqa: PLW0603
    _lock = RLock()
    _open.clear()


at_fork(in_child=_forget)


class TooManyStreamsError(Exception):
    """A stream for which there is no room; the text describes the limit."""


class Stream(Protocol):
    """A stream that can be ended."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def end(self) -> None: ...


def most_streams() -> int:
    """Return the number of streams that the process may have."""
    if resource is None:
        return MOST_STREAMS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_STREAMS
    return max(1, min(MOST_STREAMS, soft // _PART))


def take_place(scope: Scope) -> Callable[[], None]:
    """Take a place among the streams, and return the function that gives it back.

    Raises `TooManyStreamsError`.
    """
    address, most = _counted_as(address_of_peer(scope)), most_streams()
    fair = max(1, most // _PART)
    with _lock:
        if _open.total() >= most:
            raise TooManyStreamsError(f"All {most:,} streams of this process are taken.")
        if _open[address] >= fair:
            raise TooManyStreamsError(f"Your address has {fair:,} streams, which is its share.")
        _open[address] += 1
    return partial(_give_back, address)


def _give_back(address: object) -> None:
    with _lock:
        _open[address] -= 1
        if _open[address] <= 0:
            del _open[address]


def _counted_as(address: Any) -> object:
    if address is None or address.version == 4:  # noqa: PLR2004
        return address
    return int(address) >> (128 - _NETWORK)


class LimitedStream:
    """A stream with a place, which ends when its reader is no longer allowed to have it."""

    def __init__(
        self,
        stream: Stream,
        give_back: Callable[[], None],
        may_go_on: Callable[[Receive], Awaitable[bool]],
    ) -> None:
        self._stream = stream
        self._give_back = give_back
        self._may_go_on = may_go_on
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._ask_later()
            await self._stream(scope, receive, send)
        finally:
            self._give_back()
            for pending in (self._timer, self._task):
                if pending is not None:
                    pending.cancel()

    def _ask_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(AUTHORIZE_EVERY, self._ask)

    def _ask(self) -> None:
        self._task = asyncio.ensure_future(self._go_on_if_allowed())

    async def _go_on_if_allowed(self) -> None:
        allowed = False
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_AUTHORIZATION):
                allowed = await self._may_go_on(_receive_nothing)
        if allowed:
            self._ask_later()
        else:
            self._stream.end()


async def _receive_nothing() -> Message:
    """Receive the empty body of a request that was read before."""
    return {"type": "http.request", "body": b"", "more_body": False}
