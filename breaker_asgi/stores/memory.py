"""A store in memory: for the threads of one process, and for simulations."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Condition
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED
from breaker_asgi.stores.protocol import Claim, Shared
from breaker_asgi.stores.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breaker_asgi._core.config import Clock
    from breaker_asgi.stores.protocol import Change, Counts, Report


class MemoryStore:
    """Shares state between all holders of this object. Every run of it gives the same results."""

    label = "memory"

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._points: OrderedDict[str, int] = OrderedDict()
        """The point of each breaker's last change, the latest at the end."""
        self._point = 0
        self._published: dict[str, tuple[float, float, str]] = {}
        """The figures of each worker, with the time of their publication and of their end."""
        self._changed = Condition()

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        """Add up the counts of a worker."""
        with self._changed:
            for report in reports:
                record, now = self._record(report.name)
                if record.add(worker, number, report, now):
                    self._records[report.name] = record
            return {
                name: self._shared(name) for name in (*(report.name for report in reports), *ask)
            }

    def change(self, change: Change) -> Shared:
        """Make a change, if the generation is the expected one."""
        with self._changed:
            record, now = self._record(change.name)
            if record.change(change, now):
                self._records[change.name] = record
                self._point += 1
                self._points[change.name] = self._point
                self._points.move_to_end(change.name)
                self._changed.notify_all()
            return record.shared(now)

    def claim(self, worker: str, name: str, generation: int, most: int, seconds: float) -> Claim:
        """Lend a probe."""
        with self._changed:
            record, now = self._record(name)
            lease = record.claim(worker, generation, most, seconds, now)
            if lease is not None:
                self._records[name] = record
            return Claim(lease, record.shared(now))

    def settle(self, name: str, generation: int, lease: str, counts: Counts | None) -> Shared:
        """Take a lease back."""
        with self._changed:
            record, now = self._record(name)
            record.settle(generation, lease, counts, now)
            return record.shared(now)

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """Return the names of breakers that have changed."""
        with self._changed:
            if not 0 < since <= self._point:
                away = [name for name in self._points if self._records[name].state != CLOSED]
                return self._point, away
            names = []
            for name, point in reversed(self._points.items()):
                if point <= since:
                    break
                names.append(name)
            return self._point, names[::-1]

    def wait(self, since: int, timeout: float) -> None:
        """Return when a breaker has changed."""
        with self._changed:
            self._changed.wait_for(lambda: self._point > since, timeout)

    def publish(self, worker: str, figures: str, seconds: float) -> None:
        """Keep a worker's figures."""
        with self._changed:
            now = self._clock()
            self._published[worker] = now, now + seconds, figures

    def published(self) -> Mapping[str, str]:
        """Return the figures of each worker."""
        with self._changed:
            now = self._clock()
            kept = {
                name: entry for name, entry in self._published.items() if entry[0] <= now < entry[1]
            }
            self._published = kept
            return {name: figures for name, (_, _, figures) in kept.items()}

    def close(self) -> None:
        """Do nothing: no resource is held."""

    def _record(self, name: str) -> tuple[Record, int]:
        record = self._records.get(name) or Record()
        return record, record.now(round(self._clock() * 1000))

    def _shared(self, name: str) -> Shared:
        record, now = self._record(name)
        return record.shared(now)
