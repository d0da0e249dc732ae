"""Bars: the calls of ten seconds each, over the last fifteen minutes, in little memory."""

from __future__ import annotations

import math
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BAR = 10
"""Seconds of a bar."""
MINUTES = 15
"""Minutes that the bars cover."""

_MOST = MINUTES * 60 // BAR
_PACKED = Struct("<I4I3f")
"""A bar of 32 bytes, so that the bars of a busy breaker take 2,880."""
_MOST_BYTES = _MOST * _PACKED.size
_LARGEST = 2**32 - 1
_NO_TIMES = (math.nan,) * 3
_SHARES = (0.5, 0.95, 0.99)

Outcomes: TypeAlias = tuple[int, int, int, int]
"""Calls that were fine, failed, were slow, or were rejected."""
NO_CALLS: Outcomes = (0, 0, 0, 0)
Percentiles: TypeAlias = tuple[float | None, float | None, float | None]
"""The p50, p95 and p99 of durations in seconds; None where nothing was timed."""


class Bar(NamedTuple):
    """The calls that ended in the ten seconds from `at` on."""

    at: int
    ok: int
    failed: int
    slow: int
    rejected: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


def percentile(times: list[float], share: float) -> float | None:
    """Return the percentile of sorted values; None if there are none."""
    return times[math.ceil(share * len(times)) - 1] if times else None


def percentiles(times: Iterable[float]) -> Percentiles:
    """Return the p50, p95 and p99 of durations."""
    ordered = sorted(times)
    p50, p95, p99 = (percentile(ordered, share) for share in _SHARES)
    return p50, p95, p99


def begin_of(at: int) -> int:
    """Return the second at which the bar with the second `at` begins."""
    return at - at % BAR


class Bars:
    """The bars of fifteen minutes, the oldest first, 32 bytes each."""

    __slots__ = ("_packed",)

    def __init__(self) -> None:
        self._packed = bytearray()

    def __bool__(self) -> bool:
        return bool(self._packed)

    def __iter__(self) -> Iterator[Bar]:
        for at, ok, failed, slow, rejected, *times in _PACKED.iter_unpack(bytes(self._packed)):
            p50, p95, p99 = (None if math.isnan(time) else _rounded(time) for time in times)
            yield Bar(at, ok, failed, slow, rejected, p50, p95, p99)

    def put(self, bar: Bar) -> None:
        """Add a bar that has ended. One that was there already, as time went back, is replaced."""
        self.forget(0, bar.at - 1)
        times = bar[5:] if bar.p50 is not None else _NO_TIMES
        self._packed += _PACKED.pack(*bar[:5], *times)
        if len(self._packed) > _MOST_BYTES:
            del self._packed[: _PACKED.size]

    def add(self, at: int, outcomes: Outcomes) -> None:
        """Add calls to the bar that begins at `at`, wherever that is."""
        packed, size = self._packed, _PACKED.size
        place = len(packed)
        while place and _begin_at(packed, place - size) > at:
            place -= size
        earlier: tuple[int, ...] = NO_CALLS
        if place and _begin_at(packed, place - size) == at:
            place -= size
            earlier = _PACKED.unpack_from(packed, place)[1:5]
        else:
            packed[place:place] = bytes(size)
        sums = [one + other for one, other in zip(earlier, outcomes, strict=True)]
        counts = [min(max(0, count), _LARGEST) for count in sums]  # another worker may be wrong
        _PACKED.pack_into(packed, place, at, *counts, *_NO_TIMES)
        if len(packed) > _MOST_BYTES:
            del packed[:size]

    def forget(self, before: int, after: int) -> None:
        """Remove the bars before one second and after another: the clock may be set back."""
        packed, size = self._packed, _PACKED.size
        while packed and _begin_at(packed, 0) < before:
            del packed[:size]
        while packed and _begin_at(packed, len(packed) - size) > after:
            del packed[-size:]


def merged_bars(*several: Iterable[Bar]) -> list[Bar]:
    """Return the sums of bars by their beginning; the percentiles are those of the first."""
    sums: dict[int, Bar] = {}
    for bars in several:
        for bar in bars:
            earlier = sums.get(bar.at)
            sums[bar.at] = bar if earlier is None else _sum(earlier, bar)
    return [sums[at] for at in sorted(sums)]


def _sum(one: Bar, other: Bar) -> Bar:
    return one._replace(
        ok=one.ok + other.ok,
        failed=one.failed + other.failed,
        slow=one.slow + other.slow,
        rejected=one.rejected + other.rejected,
    )


def _begin_at(packed: bytearray, place: int) -> int:
    return int.from_bytes(packed[place : place + 4], "little")


def _rounded(time: float) -> float:
    """Return a duration without the digits that single precision has made up."""
    return float(f"{time:.6g}")
