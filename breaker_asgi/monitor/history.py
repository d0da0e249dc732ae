"""The last minute of each breaker, second by second, and fifteen minutes in bars."""

from __future__ import annotations

import asyncio
import math
import os
import time
from itertools import chain
from operator import sub
from threading import RLock
from typing import TYPE_CHECKING, TypedDict
from weakref import WeakKeyDictionary, ref

from breaker_asgi.monitor.bars import BAR, Bar, Outcomes, Percentiles, merged_bars, percentiles
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.scope import Elsewhere
from breaker_asgi.monitor.traffic import (
    NO_TOTALS,
    SECONDS,
    SecondOutcomes,
    Totals,
    Track,
    Traffic,
    merged_seconds,
    share_of,
    total,
    totals_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

RATED = 10
"""Whole seconds that rates are of."""
_SLICE = 100
"""Breakers read in one callback of the loop: about a millisecond."""
_LATE = 0.01
"""Delay after the whole second, in seconds."""
_histories: WeakKeyDictionary[BreakerRegistry, History] = WeakKeyDictionary()
_making = RLock()


class RecentRates(TypedDict):
    """The rates of the last ten whole seconds, and the percentiles of the last minute.

    A share is None where no calls were that it could be of, a percentile if nothing was timed.
    """

    calls_per_second: float
    rejected_per_second: float
    failing_share: float | None
    rejected_share: float | None
    p50: float | None
    p95: float | None
    p99: float | None


_NO_RATES: RecentRates = {
    "calls_per_second": 0.0,
    "rejected_per_second": 0.0,
    "failing_share": None,
    "rejected_share": None,
    "p50": None,
    "p95": None,
    "p99": None,
}


class History:
    """The differences between the totals of a registry's breakers, read once a second.

    It runs by timers, not as a task, on the loop it was started on, and keeps no breaker alive.
    """

    def __init__(self, registry: BreakerRegistry, clock: Callable[[], float] = time.time) -> None:
        self._registry = ref(registry)
        self._event_log = EventLog.of(registry)
        self._clock = clock
        self._tracks: WeakKeyDictionary[CircuitBreaker, Track] = WeakKeyDictionary()
        self._all = Traffic()
        self._lock = RLock()
        self._elsewhere: dict[str, Traffic] = {}
        """The calls of other workers, by the names of their breakers."""
        self._all_elsewhere = Traffic()
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
        now = math.floor(self._clock())
        self._record(list(self._registry() or ()), now)
        self._end_tick(now)

    def _end_tick(self, now: int) -> None:
        if now % BAR == 0:
            self._tidy(now)
        self.ticks += 1

    def _tick_by_slices(
        self, loop: asyncio.AbstractEventLoop, every: list[CircuitBreaker], now: int
    ) -> None:
        """Tick, a slice per callback, so that requests are not held up."""
        self._record(every[:_SLICE], now)
        if rest := every[_SLICE:]:
            loop.call_soon(self._tick_by_slices, loop, rest, now)
        else:
            self._end_tick(now)

    def _record(self, breakers: list[CircuitBreaker], now: int) -> None:
        first, tidy = now - SECONDS, now % BAR == 0
        every_added: list[SecondOutcomes] = []
        for breaker in breakers:
            track = self._tracks.get(breaker)
            if track is None:
                track = self._begin(breaker, NO_TOTALS)
            totals = totals_of(breaker)
            if totals != track.totals:
                every_added.append(self._add(breaker, track, totals, now - 1))
            if track.pending is not None and now >= track.pending + BAR:
                track.complete_bar()
            if tidy:
                track.forget(now)
            seconds = track.seconds
            while seconds and not first <= seconds[0].at <= now:
                seconds.popleft()
        if every_added:
            self._all.add(now - 1, total(every_added))

    def _tidy(self, now: int) -> None:
        """Remove sums that are too old, of other workers' breakers too."""
        self._all.forget(now)
        with self._lock:
            self._all_elsewhere.forget(now)
            for name, traffic in [*self._elsewhere.items()]:
                traffic.forget(now)
                if not traffic:
                    del self._elsewhere[name]

    def elsewhere(self, name: str, since: int, until: int, outcomes: Outcomes) -> None:
        """Add calls that another worker has counted, to whole seconds from `since` to `until`."""
        places = max(1, until - since)
        with self._lock:
            traffic = self._elsewhere.setdefault(name, Traffic())
            for place in range(places):
                part = share_of(outcomes, place, places)
                traffic.add(since + place, part)
                self._all_elsewhere.add(since + place, part)

    def _begin(self, breaker: CircuitBreaker, totals: Totals | None = None) -> Track:
        track = self._tracks.get(breaker)
        if track is None:
            track = self._tracks[breaker] = Track(totals or totals_of(breaker))
        elif totals is None:
            track.totals = totals_of(breaker)
        track.timed = breaker._sample_since(None).number
        return track

    def _add(
        self, breaker: CircuitBreaker, track: Track, totals: Totals, at: int
    ) -> SecondOutcomes:
        successes, failed, slow, rejected, ignored = map(sub, totals, track.totals)
        slow = max(0, min(slow, successes))
        timed = breaker._sample_since(track.timed)
        times = timed.since(track.timed)
        added = SecondOutcomes(at, successes - slow, failed, slow, rejected, ignored, times)
        track.totals, track.timed = totals, timed.number
        track.add(added)
        if rejected:
            self._event_log.rejections(breaker, rejected)
        return added

    # Reading

    def now(self) -> int:
        """Return the present second, counted from 1970."""
        return math.floor(self._clock())

    def _track_of(self, breaker: CircuitBreaker | Elsewhere) -> Track | None:
        return None if isinstance(breaker, Elsewhere) else self._tracks.get(breaker)

    def seconds(
        self, breaker: CircuitBreaker | Elsewhere, *, fleet: bool = False
    ) -> list[SecondOutcomes]:
        """Return the seconds of the last minute with calls, the oldest first.

        `fleet` adds the calls of other workers; the times are of this one.
        """
        now, track = math.floor(self._clock()), self._track_of(breaker)
        every = [] if track is None else track.seconds.copy()
        seconds = [second for second in every if now - SECONDS <= second.at <= now]
        if not fleet:
            return seconds
        with self._lock:
            traffic = self._elsewhere.get(breaker.name)
            others = [] if traffic is None else traffic.seconds(now)
        return merged_seconds(seconds, others)

    def bars(self, breaker: CircuitBreaker | Elsewhere, *, fleet: bool = False) -> list[Bar]:
        """Return the bars of fifteen minutes with calls, the oldest first.

        `fleet` adds the calls of other workers; the percentiles are of this one.
        """
        now, track = math.floor(self._clock()), self._track_of(breaker)
        bars = [] if track is None else track.every_bar(now)
        if not fleet:
            return bars
        with self._lock:
            traffic = self._elsewhere.get(breaker.name)
            others = [] if traffic is None else traffic.bars(now)
        return merged_bars(bars, others)

    def all_seconds(self, *, fleet: bool = False) -> list[SecondOutcomes]:
        """Return the seconds of all breakers together, those that are gone included."""
        now = math.floor(self._clock())
        with self._lock:
            others = self._all_elsewhere.seconds(now) if fleet else []
        return merged_seconds(self._all.seconds(now), others)

    def all_bars(self, *, fleet: bool = False) -> list[Bar]:
        """Return the bars of all breakers together, without percentiles."""
        now = math.floor(self._clock())
        with self._lock:
            others = self._all_elsewhere.bars(now) if fleet else []
        return merged_bars(self._all.bars(now), others)

    def percentiles(self, breaker: CircuitBreaker | Elsewhere) -> list[tuple[int, *Percentiles]]:
        """Return the p50, p95 and p99 of each second of the last minute with timed calls."""
        seconds = self.seconds(breaker)
        return [(second.at, *percentiles(second.times)) for second in seconds if second.times]

    def figures(self, breaker: CircuitBreaker, *, fleet: bool = False) -> RecentRates:
        """Return rates over ten whole seconds, and percentiles over the last minute."""
        seconds = self.seconds(breaker, fleet=fleet)
        if not seconds:
            return _NO_RATES.copy()
        since = math.floor(self._clock()) - RATED
        rated = [second for second in seconds if second.at >= since]
        ok, failed, slow, rejected = total(rated)
        p50, p95, p99 = percentiles(chain.from_iterable(second.times for second in seconds))
        return {
            "calls_per_second": sum(second.calls for second in rated) / RATED,
            "rejected_per_second": rejected / RATED,
            "failing_share": _share(failed, ok + failed + slow),
            "rejected_share": _share(rejected, ok + failed + slow + rejected),
            "p50": p50,
            "p95": p95,
            "p99": p99,
        }


def _share(count: int, of: int) -> float | None:
    """Return a count's share; None of nothing."""
    return count / of if of else None


def _go_on(weakly: ref[History], loop: asyncio.AbstractEventLoop, token: object) -> None:
    history = weakly()
    if history is not None and history._token is token:
        every = list(history._registry() or ())
        try:
            history._tick_by_slices(loop, every, math.floor(history._clock()))
        finally:
            history._schedule(loop)
