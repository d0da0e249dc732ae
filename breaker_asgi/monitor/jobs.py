"""A row of jobs on an event loop, each done in steps, between which the loop does other work."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator


class Jobs:
    """Jobs that are done one after the other; a job's step is what it does until it yields."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: deque[Iterator[None]] = deque()
        self._under_way: Iterator[None] | None = None
        self._handle: asyncio.Handle | None = None

    def add(self, *jobs: Iterator[None]) -> None:
        """Do jobs after all others."""
        self._jobs.extend(jobs)
        self._go_on()

    def add_first(self, job: Iterator[None]) -> None:
        """Do a job next, after the one under way."""
        self._jobs.appendleft(job)
        self._go_on()

    def clear(self) -> None:
        """Drop all jobs."""
        self._jobs.clear()
        self._under_way = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _go_on(self) -> None:
        if self._handle is None and (self._under_way is not None or self._jobs):
            self._handle = self._loop.call_soon(self._step)

    def _step(self) -> None:
        self._handle = None
        job = self._under_way or self._jobs.popleft()
        self._under_way = None
        try:
            next(job)
            self._under_way = job
        except StopIteration:
            pass
        finally:
            self._go_on()
