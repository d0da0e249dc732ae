"""The last minute of each breaker, second by second."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import deque
from operator import sub
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypedDict
from weakref import WeakKeyDictionary, ref

from breaker_asgi.monitor.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

SECONDS = 60
"""Seconds that the history covers."""

_RATED = 10
_SLICE = 100
"""Breakers read in one callback of the loop: about a millisecond."""
_LATE = 0.01
"""Delay after the whole second, in seconds."""
_histories: WeakKeyDictionary[BreakerRegistry, History] = WeakKeyDictionary()
_making = RLock()


class SecondOutcomes(NamedTuple):
    """The calls that ended in one second. A slow success is not counted in `ok`."""

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


class RecentRates(TypedDict):
    """The recent rate and percentiles; the latter in seconds, None if nothing was timed."""

    calls_per_second: float
    p50: float | None
    p95: float | None


_Totals: TypeAlias = tuple[int, int, int, int, int]
"""Counts of a breaker since its start: successes, failures, slow, rejected and ignored calls."""
_NONE: _Totals = (0, 0, 0, 0, 0)


def _totals_of(breaker: CircuitBreaker) -> _Totals:
    """Return the totals of calls that have ended: slow ones may be counted while they run."""
    return (
        breaker.successes,
        breaker.failures,
        breaker.slow_calls - breaker._unended_slow_calls,
        breaker.rejected,
        breaker.ignored,
    )


class _Track:
    """The recent seconds and last totals of one breaker."""

    __slots__ = ("seconds", "timed", "totals")

    def __init__(self, totals: _Totals) -> None:
        self.totals = totals
        self.timed = 0
        """Durations of the breaker that were taken, by its number of them."""
        self.seconds: deque[SecondOutcomes] = deque(maxlen=SECONDS)


class History:
    """The differences between the totals of a registry's breakers, read once a second.

    It runs by timers, not as a task, on the loop it was started on, and keeps no breaker alive.
    """

    def __init__(self, registry: BreakerRegistry, clock: Callable[[], float] = time.time) -> None:
        self._registry = ref(registry)
        self._event_log = EventLog.of(registry)
        self._clock = clock
        self._tracks: WeakKeyDictionary[CircuitBreaker, _Track] = WeakKeyDictionary()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._token = object()
        """Token of the current timer; timers with an older token stop."""
        self.ticks = 0
        """Seconds recorded since the start."""

    @staticmethod
    def of(registry: BreakerRegistry) -> History:
        """Return the registry's history."""
        with _making:
            return _histories.get(registry) or _histories.setdefault(registry, History(registry))

    def start(self) -> None:
        """Start the timer, unless one is running or there is no running asyncio loop.

        A timer on a loop that is stopped, or belongs to the process before a fork, is replaced.
        """
        process, running = os.getpid(), self._loop
        if running is not None and process == self._process and running.is_running():
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._process, self._token = process, object()
        for breaker in self._registry() or ():
            self._begin(breaker)
        self._schedule(self._loop)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        weakly: ref[History] = ref(self)
        loop.call_later(1 - self._clock() % 1 + _LATE, _go_on, weakly, loop, self._token)

    def tick(self) -> None:
        """Record the calls since the last tick, for the second that has just ended."""
        self._record(list(self._registry() or ()), math.floor(self._clock()))
        self.ticks += 1

    def _tick_by_slices(
        self, loop: asyncio.AbstractEventLoop, every: list[CircuitBreaker], now: int
    ) -> None:
        """Tick, a slice per callback, so that requests are not held up."""
        self._record(every[:_SLICE], now)
        if rest := every[_SLICE:]:
            loop.call_soon(self._tick_by_slices, loop, rest, now)
        else:
            self.ticks += 1

    def _record(self, breakers: list[CircuitBreaker], now: int) -> None:
        first = now - SECONDS
        for breaker in breakers:
            track = self._tracks.get(breaker)
            if track is None:
                track = self._begin(breaker, _NONE)
            totals = _totals_of(breaker)
            if totals != track.totals:
                self._add(breaker, track, totals, now - 1)
            seconds = track.seconds
            while seconds and not first <= seconds[0].at <= now:
                seconds.popleft()

    def _begin(self, breaker: CircuitBreaker, totals: _Totals | None = None) -> _Track:
        track = self._tracks.get(breaker)
        if track is None:
            track = self._tracks[breaker] = _Track(totals or _totals_of(breaker))
        elif totals is None:
            track.totals = _totals_of(breaker)
        track.timed = breaker._sample_since(None).number
        return track

    def _add(self, breaker: CircuitBreaker, track: _Track, totals: _Totals, at: int) -> None:
        successes, failed, slow, rejected, ignored = map(sub, totals, track.totals)
        slow = max(0, min(slow, successes))
        timed = breaker._sample_since(track.timed)
        times = timed.since(track.timed)
        added = SecondOutcomes(at, successes - slow, failed, slow, rejected, ignored, times)
        track.totals, track.timed = totals, timed.number
        if track.seconds and track.seconds[-1].at == at:
            added = _sum(track.seconds.pop(), added)
        track.seconds.append(added)
        if rejected:
            self._event_log.rejections(breaker, rejected)

    # Reading

    def seconds(self, breaker: CircuitBreaker) -> list[SecondOutcomes]:
        """Return the seconds of the last minute with calls, the oldest first."""
        track = self._tracks.get(breaker)
        if track is None:
            return []
        now = math.floor(self._clock())
        return [second for second in track.seconds.copy() if now - SECONDS <= second.at <= now]

    def figures(self, breaker: CircuitBreaker) -> RecentRates:
        """Return calls per second over ten whole seconds, and percentiles over the last minute."""
        seconds = self.seconds(breaker)
        if not seconds:
            return {"calls_per_second": 0.0, "p50": None, "p95": None}
        since = math.floor(self._clock()) - _RATED
        calls = sum(second.calls for second in seconds if second.at >= since)
        times = sorted(time for second in seconds for time in second.times)
        return {
            "calls_per_second": calls / _RATED,
            "p50": percentile(times, 0.5),
            "p95": percentile(times, 0.95),
        }


def as_rows(seconds: Iterable[SecondOutcomes]) -> list[list[int]]:
    """Return the JSON of seconds: `[second, ok, failed, slow, rejected]` each."""
    return [
        [second.at, second.ok, second.failed, second.slow, second.rejected] for second in seconds
    ]


def percentile(times: list[float], share: float) -> float | None:
    """Return the percentile of sorted values; None if there are none."""
    return times[math.ceil(share * len(times)) - 1] if times else None


def _go_on(weakly: ref[History], loop: asyncio.AbstractEventLoop, token: object) -> None:
    history = weakly()
    if history is not None and history._token is token:
        every = list(history._registry() or ())
        try:
            history._tick_by_slices(loop, every, math.floor(history._clock()))
        finally:
            history._schedule(loop)


def _sum(one: SecondOutcomes, other: SecondOutcomes) -> SecondOutcomes:
    return SecondOutcomes(
        one.at,
        one.ok + other.ok,
        one.failed + other.failed,
        one.slow + other.slow,
        one.rejected + other.rejected,
        one.ignored + other.ignored,
        one.times + other.times,
    )
