"""Percentiles of calls by their samples, also of samples that several workers have taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Timed: TypeAlias = list[tuple[float, float]]
"""Durations of calls in seconds, each with the number of calls that it stands for."""

_GROWTH = math.log(2) / 16
"""Logarithm of the growth from one bucket to the next: a duration is off by 2.2 % at most."""
_SMALLEST = 1e-6
_MOST_BUCKETS = 600
"""Buckets from a microsecond to longer than a day."""


def percentile(timed: Timed, share: float) -> float | None:
    """Return the duration that a share of the calls does not exceed; None without any."""
    if not timed:
        return None
    ordered = sorted(timed)
    needed = share * math.fsum(weight for _, weight in ordered)
    reached = 0.0
    for duration, weight in ordered:
        reached += weight
        if reached >= needed * (1 - 1e-9):
            return duration
    return ordered[-1][0]


def weighed(durations: Iterable[float], calls: int) -> Timed:
    """Return a sample of `calls` calls, each duration with an equal part of them."""
    sample = list(durations)
    weight = max(calls, len(sample)) / len(sample) if sample else 0.0
    return [(duration, weight) for duration in sample]


def histogram(timed: Timed) -> dict[int, float]:
    """Return the calls by the buckets of their durations, for another worker."""
    buckets: dict[int, float] = {}
    for duration, weight in timed:
        bucket = round(math.log(max(duration, _SMALLEST) / _SMALLEST) / _GROWTH)
        bucket = min(bucket, _MOST_BUCKETS)
        buckets[bucket] = buckets.get(bucket, 0.0) + weight
    return buckets


def timed_of(buckets: Mapping[int, float]) -> Timed:
    """Return the durations of a histogram, rounded to three digits."""
    return [
        (float(f"{_SMALLEST * math.exp(bucket * _GROWTH):.3g}") if bucket else 0.0, weight)
        for bucket, weight in buckets.items()
    ]
