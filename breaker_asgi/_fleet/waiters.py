"""Calls that wait until there is an answer, and how they do so without holding anything up."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiting:
    """Those who wait for the store's answer to one question. `ask` says whether it was asked."""

    def __init__(self) -> None:
        self._tell: deque[Callable[[], object]] = deque()

    async def on_the_event_loop(self, ask: Callable[[], bool], patience: float) -> None:
        """Wait, but not for long; nor at all without asyncio."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        came = loop.create_future()

        def come() -> None:
            if not came.done():
                came.set_result(None)

        self._tell.append(lambda: loop.call_soon_threadsafe(come))
        if ask():
            await asyncio.wait([came], timeout=patience)

    def in_a_thread(self, ask: Callable[[], bool], patience: float) -> None:
        """The same, where there is no event loop."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            return  # which must not be held up; it has asked, and the next call may be the probe
        came = Event()
        self._tell.append(came.set)
        if ask():
            came.wait(patience)

    def answer(self) -> None:
        """Let them all go on."""
        while self._tell:
            with suppress(RuntimeError):  # an event loop is closed
                self._tell.popleft()()

    def forget(self) -> None:
        """In a child process: it is its parent's calls that wait."""
        self._tell.clear()
