"""The histogram of durations, and the thread that collects them each second."""

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
"""Upper bounds in seconds; longer durations count in a bucket without one."""
PAUSE = 1.0
"""Seconds between two ticks."""
_HUNG = 1.0
"""Seconds to wait for a tick under way, which may itself wait for this thread."""


def checked_buckets(buckets: Iterable[float]) -> tuple[float, ...]:
    """Return upper bounds that rise. Raises `BreakerConfigError` for any others."""
    bounds = validation.listed("buckets", buckets, "seconds")
    numbers = tuple(validation.seconds("a bound of buckets", bound) for bound in bounds)
    if not numbers or list(numbers) != sorted(set(numbers)):
        raise BreakerConfigError(
            f"buckets={buckets!r} is not allowed: give one upper bound or more, in seconds, each "
            "above the one before. Write buckets=(0.05, 0.5, 5)."
        )
    return numbers


class Histogram:
    """Counts of durations up to each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[int]:
        """Return the durations up to each bound, and up to infinity."""
        return list(accumulate(self._counts))


class Ticked(Protocol):
    """An object that the clockwork calls each second."""

    def tick(self) -> None:
        """Do the second's work, in the clockwork's thread."""

    def start_anew(self) -> None:
        """Begin in a child process."""


class Clockwork:
    """A thread that ticks once a second, for each registered object as long as it lives.

    It takes no part in any event loop, goes on in the children of a fork, and ticks a last time
    when the process ends, and when an application has shut down.
    """

    def __init__(self) -> None:
        self._ticked: tuple[ref[Ticked], ...] = ()
        self._lock = RLock()
        self._stop = Event()
        self._thread: Thread | None = None

    def tick_for(self, ticked: Ticked) -> None:
        """Register one more object."""
        with self._lock:
            self._ticked = (
                *(reference for reference in self._ticked if reference() is not None),
                ref(ticked),
            )
            self._start()

    def tick(self) -> None:
        """Tick each registered object. An exception is logged once."""
        for reference in self._ticked:
            with self._lock:
                ticked = reference()
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
        """Wait until no tick is under way: its locks would stay locked in the child."""
        self._lock.acquire(timeout=_HUNG)

    def after_fork(self) -> None:
        """Release the lock in the parent."""
        with suppress(RuntimeError):  # not acquired
            self._lock.release()

    def start_anew(self) -> None:
        """Begin in the child."""
        self._lock, self._stop, self._thread = RLock(), Event(), None
        for reference in self._ticked:
            if (ticked := reference()) is not None:
                ticked.start_anew()
        if self._ticked:
            self._start()

    def end(self) -> None:
        """Stop the thread, and tick a last time."""
        self._stop.set()
        self.tick_once_more()

    def tick_once_more(self) -> None:
        """Tick, unless a tick that hangs is under way."""
        if self._lock.acquire(timeout=_HUNG):
            try:
                self.tick()
            finally:
                self._lock.release()


clockwork = Clockwork()
at_fork(before=clockwork.before_fork, in_parent=clockwork.after_fork, in_child=clockwork.start_anew)
atexit.register(clockwork.end)
at_shutdown(clockwork.tick_once_more)
