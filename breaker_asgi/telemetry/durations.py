"""The histogram of durations, and the clockwork that asks for them: it ticks beside the calls."""

from __future__ import annotations

import atexit
from bisect import bisect_left
from contextlib import suppress
from itertools import accumulate
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Protocol
from weakref import ref

from breaker_asgi._core import validation
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi._core.logs import log_once
from breaker_asgi._core.process import at_fork, at_shutdown

if TYPE_CHECKING:
    from collections.abc import Iterable

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; what takes longer counts too."""
PAUSE = 1.0
"""Seconds between two ticks."""
_HUNG = 1.0
"""Seconds after which a tick that is under way is not waited for: it may wait for this thread."""


def checked(buckets: Iterable[float]) -> tuple[float, ...]:
    """Upper bounds that rise. Raises `BreakerConfigError` for what is none."""
    bounds = validation.listed("buckets", buckets, "seconds")
    found = tuple(validation.seconds("a bound of buckets", each) for each in bounds)
    if not found or list(found) != sorted(set(found)):
        raise BreakerConfigError(
            f"buckets={buckets!r} is not allowed: give one upper bound or more, in seconds, each "
            "above the one before. Write buckets=(0.05, 0.5, 5)."
        )
    return found


class Histogram:
    """How many durations were up to each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[int]:
        """For each bound and for infinity, how many did not exceed it."""
        return list(accumulate(self._counts))


class Ticked(Protocol):
    """What wants to do something each second."""

    def tick(self) -> None:
        """Do it: in a thread of its own."""

    def start_anew(self) -> None:
        """Begin in a child process."""


class Clockwork:
    """A thread that ticks once a second, for all who want that and as long as they live.

    It takes no part in any event loop, goes on in the children of a fork, and ticks a last time
    when the process ends, and when an application has shut down.
    """

    def __init__(self) -> None:
        self._ticked: tuple[ref[Ticked], ...] = ()
        self._lock = RLock()
        self._stop = Event()
        self._thread: Thread | None = None

    def tick_for(self, ticked: Ticked) -> None:
        """Tick for one more."""
        with self._lock:
            self._ticked = (*(each for each in self._ticked if each() is not None), ref(ticked))
            self._start()

    def tick(self) -> None:
        """Have each of them do its part. What they raise is logged once."""
        for each in self._ticked:
            with self._lock:
                ticked = each()
                try:
                    if ticked is not None:
                        ticked.tick()
                except Exception as error:  # noqa: BLE001
                    log_once(ticked, "its tick", error)

    def _start(self) -> None:
        if self._thread is None and not self._stop.is_set():
            self._thread = Thread(target=self._run, name="breaker_asgi telemetry", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE):
            self.tick()

    def before_fork(self) -> None:
        """No tick is to be under way: what it holds locked would stay so in the child."""
        self._lock.acquire(timeout=_HUNG)

    def after_fork(self) -> None:
        """In the parent."""
        with suppress(RuntimeError):  # it was not to be had
            self._lock.release()

    def start_anew(self) -> None:
        """In the child."""
        self._lock, self._stop, self._thread = RLock(), Event(), None
        for each in self._ticked:
            if (ticked := each()) is not None:
                ticked.start_anew()
        if self._ticked:
            self._start()

    def end(self) -> None:
        """The process ends."""
        self._stop.set()
        self.tick_once_more()

    def tick_once_more(self) -> None:
        """Tick, if no tick that hangs is under way."""
        if self._lock.acquire(timeout=_HUNG):
            try:
                self.tick()
            finally:
                self._lock.release()


clockwork = Clockwork()
at_fork(before=clockwork.before_fork, in_parent=clockwork.after_fork, in_child=clockwork.start_anew)
atexit.register(clockwork.end)
at_shutdown(clockwork.tick_once_more)
