"""Calls that wait for a reply of the store, without blocking an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiters:
    """Calls that wait for one reply of the store. `ask` returns True if the request was made."""

    def __init__(self) -> None:
        self._wakers: deque[Callable[[], object]] = deque()

    async def on_the_event_loop(self, ask: Callable[[], bool], patience: float) -> bool:
        """Wait `patience` seconds at most, not at all without asyncio. Return True if woken."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        woken = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        self._wakers.append(lambda: loop.call_soon_threadsafe(wake))
        if ask():
            await asyncio.wait([woken], timeout=patience)
        return woken.done()

    def in_a_thread(self, ask: Callable[[], bool], patience: float) -> None:
        """Wait as `on_the_event_loop` does, where there is none."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            return  # it must not be blocked; the next call may be the probe
        woken = Event()
        self._wakers.append(woken.set)
        if ask():
            woken.wait(patience)

    def wake_all(self) -> None:
        """Wake all waiting calls."""
        while self._wakers:
            with suppress(RuntimeError):  # an event loop is closed
                self._wakers.popleft()()

    def forget(self) -> None:
        """Forget all calls, in a child process: they wait in the parent."""
        self._wakers.clear()
