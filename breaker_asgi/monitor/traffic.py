"""Calls by the second and in bars: of one breaker, of all together, or of other workers."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from breaker_asgi.monitor.bars import (
    BAR,
    MINUTES,
    NO_CALLS,
    Bar,
    Bars,
    Outcomes,
    begin_of,
    percentiles,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.breaker import CircuitBreaker

SECONDS = 60
"""Seconds that the history covers one by one."""


class SecondOutcomes(NamedTuple):
    """The calls that ended in one second. A slow success is not counted in `ok`."""

    at: int
    ok: int
    failed: int
    slow: int
    rejected: int
    ignored: int = 0
    times: tuple[float, ...] = ()

    @property
    def calls(self) -> int:
        return self.ok + self.failed + self.slow + self.rejected + self.ignored


Totals: TypeAlias = tuple[int, int, int, int, int]
"""Counts of a breaker since its start: successes, failures, slow, rejected and ignored calls."""
NO_TOTALS: Totals = (0, 0, 0, 0, 0)


def totals_of(breaker: CircuitBreaker) -> Totals:
    """Return the totals of calls that have ended: slow ones may be counted while they run."""
    return (
        breaker.successes,
        breaker.failures,
        breaker.slow_calls - breaker._unended_slow_calls,
        breaker.rejected,
        breaker.ignored,
    )


class Track:
    """The recent seconds, the bars and the last totals of one breaker."""

    __slots__ = ("bars", "pending", "seconds", "timed", "totals")

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self.timed = 0
        """Durations of the breaker that were taken, by its number of them."""
        self.seconds: deque[SecondOutcomes] = deque(maxlen=SECONDS)
        self.bars: Bars | None = None
        """The complete bars; None for a breaker without calls."""
        self.pending: int | None = None
        """The beginning of the bar whose seconds are not in `bars` yet."""

    def add(self, added: SecondOutcomes) -> None:
        """Add the calls of a second, the latest so far."""
        begin = begin_of(added.at)
        if self.pending != begin:
            self.complete_bar()
            self.pending = begin
        if self.seconds and self.seconds[-1].at == added.at:
            added = sum_of(self.seconds.pop(), added)
        self.seconds.append(added)

    def complete_bar(self) -> None:
        """Add the seconds of the bar that has ended to the bars."""
        bar = self.pending_bar()
        if bar is None:
            return
        if self.bars is None:
            self.bars = Bars()
        self.bars.put(bar)
        self.pending = None

    def pending_bar(self) -> Bar | None:
        """Return the bar of the latest seconds."""
        begin = self.pending
        if begin is None:
            return None
        ok = failed = slow = rejected = 0  # a loop: it takes half as long as sums of each
        times: list[float] = []
        for second in islice(reversed(self.seconds), BAR):
            if second.at < begin:
                break
            ok += second.ok
            failed += second.failed
            slow += second.slow
            rejected += second.rejected
            times += second.times
        return Bar(begin, ok, failed, slow, rejected, *percentiles(times))

    def every_bar(self, now: int) -> list[Bar]:
        """Return the bars of fifteen minutes, the one that has not ended included."""
        every = {bar.at: bar for bar in self.bars or ()}
        if (pending := self.pending_bar()) is not None:
            every[pending.at] = pending
        return [every[at] for at in sorted(every) if first_bar(now) <= at <= now]

    def forget(self, now: int) -> None:
        """Remove the bars that are too old: an idle breaker has none."""
        if self.bars is not None:
            self.bars.forget(first_bar(now), now)
            self.bars = self.bars or None


class Traffic:
    """The sums of calls, by the second and in bars."""

    __slots__ = ("_bars", "_seconds")

    def __init__(self) -> None:
        self._seconds: dict[int, Outcomes] = {}
        self._bars = Bars()

    def __bool__(self) -> bool:
        return bool(self._bars)

    def add(self, at: int, outcomes: Outcomes) -> None:
        """Add the calls of a second."""
        earlier = self._seconds.get(at, NO_CALLS)
        self._seconds[at] = added(earlier, outcomes)
        self._bars.add(begin_of(at), outcomes)

    def forget(self, now: int) -> None:
        """Remove what is too old, or of the future: the clock may be set back."""
        for at in [at for at in self._seconds if not now - SECONDS <= at <= now]:
            del self._seconds[at]
        self._bars.forget(first_bar(now), now)

    def seconds(self, now: int) -> list[SecondOutcomes]:
        """Return the seconds of the last minute with calls, the oldest first."""
        return [
            SecondOutcomes(at, *outcomes)
            for at, outcomes in sorted(self._seconds.items())
            if now - SECONDS <= at < now
        ]

    def bars(self, now: int) -> list[Bar]:
        """Return the bars of the last fifteen minutes, the oldest first."""
        return [bar for bar in self._bars if first_bar(now) <= bar.at <= now]


def first_bar(now: int) -> int:
    """Return the beginning of the oldest bar that is kept."""
    return begin_of(now) - MINUTES * 60 + BAR


def added(one: Outcomes, other: Outcomes) -> Outcomes:
    """Return the sums of two counts of calls."""
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])


def total(seconds: Iterable[SecondOutcomes]) -> Outcomes:
    """Return the sums of seconds."""
    counts = [second[1:5] for second in seconds]
    if not counts:
        return NO_CALLS
    ok, failed, slow, rejected = map(sum, zip(*counts, strict=True))
    return ok, failed, slow, rejected


def share_of(outcomes: Outcomes, place: int, places: int) -> Outcomes:
    """Return the calls of one of several seconds among which they are spread evenly."""
    ok, failed, slow, rejected = (
        count * (place + 1) // places - count * place // places for count in outcomes
    )
    return ok, failed, slow, rejected


def merged_seconds(*several: Iterable[SecondOutcomes]) -> list[SecondOutcomes]:
    """Return the sums of seconds, the oldest first."""
    sums: dict[int, SecondOutcomes] = {}
    for seconds in several:
        for second in seconds:
            earlier = sums.get(second.at)
            sums[second.at] = second if earlier is None else sum_of(earlier, second)
    return [sums[at] for at in sorted(sums)]


def sum_of(one: SecondOutcomes, other: SecondOutcomes) -> SecondOutcomes:
    """Return the calls of one second, counted in two parts."""
    return SecondOutcomes(
        one.at,
        *added(one[1:5], other[1:5]),
        one.ignored + other.ignored,
        one.times + other.times,
    )


def as_rows(seconds: Iterable[SecondOutcomes]) -> list[list[int]]:
    """Return the JSON of seconds: `[second, ok, failed, slow, rejected]` each."""
    return [[*second[:5]] for second in seconds]
