"""The last minute of each breaker, second by second."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple, TypedDict
from weakref import WeakKeyDictionary, ref

from breaker_asgi._core.counters import Recent
from breaker_asgi.monitor.event_log import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

SECONDS = 60
"""How far back the history reaches."""

_RATED = 10
_SLICE = 100
"""Breakers that are looked at in one go: about a millisecond."""
_LATE = 0.01
"""Seconds after the whole second at which it is looked at."""
_histories: WeakKeyDictionary[BreakerRegistry, History] = WeakKeyDictionary()
_making = RLock()


class Second(NamedTuple):
    """The calls that ended in one second. A slow success is no `ok` one."""

    at: int
    ok: int
    failed: int
    slow: int
    rejected: int
    ignored: int
    times: tuple[float, ...] = ()

    @property
    def calls(self) -> int:
        return self.ok + self.failed + self.slow + self.rejected + self.ignored


class Figures(TypedDict):
    """What the last seconds come to; the percentiles in seconds, None if nothing was timed."""

    calls_per_second: float
    p50: float | None
    p95: float | None


class Totals(NamedTuple):
    """Of a breaker, since its start."""

    successes: int = 0
    failures: int = 0
    slow: int = 0
    rejected: int = 0
    ignored: int = 0

    @classmethod
    def of(cls, breaker: CircuitBreaker) -> Totals:
        """As they are now."""
        return cls(
            breaker.successes,
            breaker.failures,
            breaker.slow_calls,
            breaker.rejected,
            breaker.ignored,
        )


class _Track:
    """What is known of one breaker."""

    __slots__ = ("seconds", "totals")

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self.seconds: deque[Second] = deque(maxlen=SECONDS)


class History:
    """Looks at the totals of a registry's breakers once a second, and keeps what was added.

    It runs on the event loop that it was started on, is no task of it, and keeps no breaker alive.
    """

    def __init__(self, registry: BreakerRegistry, clock: Callable[[], float] = time.time) -> None:
        self._registry = ref(registry)
        self._journal = Journal.of(registry)
        self._clock = clock
        self._tracks: WeakKeyDictionary[CircuitBreaker, _Track] = WeakKeyDictionary()
        self._recent = Recent()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._turn = object()
        """Of the timer that goes on; those of earlier starts end."""
        self.ticks = 0
        """Seconds that were looked at since the start."""

    @staticmethod
    def of(registry: BreakerRegistry) -> History:
        """The registry's own."""
        with _making:
            return _histories.get(registry) or _histories.setdefault(registry, History(registry))

    def start(self) -> None:
        """Go on once a second, unless that is so already or no event loop of asyncio runs.

        A loop that rests, or is that of the process before a fork, does not count.
        """
        process, running = os.getpid(), self._loop
        if running is not None and process == self._process and running.is_running():
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._process, self._turn = process, object()
        for breaker in self._registry() or ():
            self._begin(breaker)
        self._wait(self._loop)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        weakly: ref[History] = ref(self)
        loop.call_later(1 - self._clock() % 1 + _LATE, _go_on, weakly, loop, self._turn)

    def tick(self) -> None:
        """Keep what was added since the last time, as of the second that has just ended."""
        self._look(list(self._registry() or ()), math.floor(self._clock()))
        self.ticks += 1

    def _tick_by_slices(
        self, loop: asyncio.AbstractEventLoop, every: list[CircuitBreaker], now: int
    ) -> None:
        """The same, a slice at a time: requests do not wait for all of it."""
        self._look(every[:_SLICE], now)
        if rest := every[_SLICE:]:
            loop.call_soon(self._tick_by_slices, loop, rest, now)
        else:
            self.ticks += 1

    def _look(self, breakers: list[CircuitBreaker], now: int) -> None:
        for breaker in breakers:
            track = self._tracks.get(breaker)
            if track is None:
                track = self._begin(breaker, Totals())
            totals = Totals.of(breaker)
            if totals != track.totals:
                self._add(breaker, track, totals, now - 1)
            if track.seconds:
                _forget(track.seconds, now)

    def _begin(self, breaker: CircuitBreaker, totals: Totals | None = None) -> _Track:
        track = self._tracks.get(breaker)
        if track is None:
            track = self._tracks[breaker] = _Track(totals or Totals.of(breaker))
        elif totals is None:
            track.totals = Totals.of(breaker)
        self._recent.take(breaker)
        return track

    def _add(self, breaker: CircuitBreaker, track: _Track, totals: Totals, at: int) -> None:
        pairs = zip(totals, track.totals, strict=True)
        successes, failed, slow, rejected, ignored = (max(0, new - old) for new, old in pairs)
        track.totals = totals
        slow = min(slow, successes)
        quick = successes - slow
        added = Second(at, quick, failed, slow, rejected, ignored, self._recent.take(breaker))
        if track.seconds and track.seconds[-1].at == at:
            added = _sum(track.seconds.pop(), added)
        track.seconds.append(added)
        if rejected:
            self._journal.rejections(breaker, rejected)

    # What is told

    def seconds(self, breaker: CircuitBreaker) -> list[Second]:
        """The seconds of the last minute in which something happened, the oldest first."""
        track = self._tracks.get(breaker)
        if track is None:
            return []
        now = math.floor(self._clock())
        return [each for each in track.seconds.copy() if now - SECONDS <= each.at <= now]

    def figures(self, breaker: CircuitBreaker) -> Figures:
        """Calls per second over the last ten whole seconds; percentiles over the last minute."""
        seconds = self.seconds(breaker)
        if not seconds:
            return {"calls_per_second": 0.0, "p50": None, "p95": None}
        since = math.floor(self._clock()) - _RATED
        calls = sum(each.calls for each in seconds if each.at >= since)
        times = sorted(time for each in seconds for time in each.times)
        return {
            "calls_per_second": calls / _RATED,
            "p50": percentile(times, 0.5),
            "p95": percentile(times, 0.95),
        }


def shown(seconds: Iterable[Second]) -> list[list[int]]:
    """As JSON tells it: `[second, ok, failed, slow, rejected]`."""
    return [[each.at, each.ok, each.failed, each.slow, each.rejected] for each in seconds]


def percentile(times: list[float], share: float) -> float | None:
    """Of sorted values the one that so large a share does not exceed; None of none."""
    return times[math.ceil(share * len(times)) - 1] if times else None


def _go_on(weakly: ref[History], loop: asyncio.AbstractEventLoop, turn: object) -> None:
    history = weakly()
    if history is not None and history._turn is turn:
        every = list(history._registry() or ())
        try:
            history._tick_by_slices(loop, every, math.floor(history._clock()))
        finally:
            history._wait(loop)


def _forget(seconds: deque[Second], now: int) -> None:
    while seconds and not now - SECONDS <= seconds[0].at <= now:
        seconds.popleft()


def _sum(one: Second, other: Second) -> Second:
    return Second(
        one.at,
        one.ok + other.ok,
        one.failed + other.failed,
        one.slow + other.slow,
        one.rejected + other.rejected,
        one.ignored + other.ignored,
        one.times + other.times,
    )
