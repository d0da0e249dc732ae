"""The calls of each breaker in the last minute, from successive listings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breaker_asgi.cli.schema import BreakerList, WorkerInfo

MINUTE = 60
_BARS = "▁▂▃▄▅▆▇█"


class Minute:
    """Calls in each second, from the growth of one worker's totals."""

    def __init__(self) -> None:
        self._worker: WorkerInfo | None = None
        self._totals: dict[str, int] = {}
        self._looked_at = 0.0
        self._began = 0.0
        self._calls: dict[str, dict[int, float]] = {}

    def add(self, listing: BreakerList, at: float) -> None:
        """Add the listing fetched at `at`; a listing of another worker starts another minute."""
        if listing.worker != self._worker:
            self._worker, self._began = listing.worker, at
            self._totals, self._calls = {}, {}
        shares = _shares(self._looked_at, at)
        kept: dict[str, dict[int, float]] = {}
        for breaker in listing.breakers:
            seconds = self._calls.get(breaker.name, {})
            kept[breaker.name] = {
                second: calls for second, calls in seconds.items() if second >= at - MINUTE - 1
            }
            more = breaker.calls - self._totals.get(breaker.name, breaker.calls)
            if more > 0:
                for second, share in shares:
                    cell = kept[breaker.name]
                    cell[second] = cell.get(second, 0.0) + more * share
        self._calls, self._looked_at = kept, at
        self._totals = {breaker.name: breaker.calls for breaker in listing.breakers}

    def line(self, name: str, width: int) -> str:
        """Return a bar for each part of the minute; blank before the first listing."""
        seconds, size = self._calls.get(name, {}), MINUTE // width
        last = int(self._looked_at) // size
        sums = [0.0] * width
        for second, calls in seconds.items():
            if 0 <= (place := second // size - last + width) < width:
                sums[place] += calls
        first = int(self._began // size) - last + width
        highest = max(sums) or 1.0
        return "".join(
            " " if place < first else _bar(value / highest) for place, value in enumerate(sums)
        )


def _bar(share: float) -> str:
    return _BARS[0] if share <= 0 else _BARS[max(1, round(share * 7))]


def _shares(start: float, end: float) -> list[tuple[int, float]]:
    """Return the share of the time from `start` to `end` in each of its last seconds."""
    first = max(int(start), int(end) - MINUTE)
    return [
        (second, (min(end, second + 1) - max(start, second)) / (end - start))
        for second in range(first, int(end) + 1)
        if end > start
    ]
