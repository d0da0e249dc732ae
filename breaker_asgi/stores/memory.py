"""A store in memory: for the threads of one process, and for simulations."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Condition
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED
from breaker_asgi.stores.protocol import Answer
from breaker_asgi.stores.record import ALIVE, CHANGED, NOTHING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breaker_asgi._core.config import Clock
    from breaker_asgi.stores.protocol import Entry, Reply


class MemoryStore:
    """Shares state between all holders of this object. Every run of it gives the same results."""

    label = "memory"

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._points: OrderedDict[str, int] = OrderedDict()
        """The point of each breaker's last change, the latest at the end."""
        self._point = 0
        self._alive: dict[str, float] = {}
        """The time of each worker's last use."""
        self._published: dict[str, tuple[float, float, str]] = {}
        """The figures of each worker, with the time of their publication and of their end."""
        self._changed = Condition()
        self.unreadable: dict[str, str] = {}
        """Breakers whose records can't be read, and the reasons: for tests."""

    def sync(self, worker: str, number: int, cursor: int, batch: Sequence[Entry]) -> Answer:
        """Apply a batch of entries."""
        with self._changed:
            replies = {
                entry.name: self._apply(worker, number, entry)
                for entry in batch
                if entry.name not in self.unreadable
            }
            names = {entry.name for entry in batch}
            changed = [name for name in self._changed_since(cursor) if name not in names]
            unreadable = {name: why for name, why in self.unreadable.items() if name in names}
            now = self._clock()
            self._alive[worker] = now
            self._alive = {name: at for name, at in self._alive.items() if now - at < ALIVE}
            return Answer(self._point, changed, replies, unreadable, len(self._alive))

    def _apply(self, worker: str, number: int, entry: Entry) -> Reply:
        record = self._records.get(entry.name) or Record()
        reply, effect = record.apply(worker, number, entry, record.now(round(self._clock() * 1000)))
        if effect != NOTHING:
            self._records[entry.name] = record
        if effect == CHANGED:
            self._point += 1
            self._points[entry.name] = self._point
            self._points.move_to_end(entry.name)
            self._changed.notify_all()
        return reply

    def _changed_since(self, cursor: int) -> list[str]:
        if not 0 < cursor <= self._point:
            return [name for name in self._points if self._records[name].state != CLOSED]
        names = []
        for name, point in reversed(self._points.items()):
            if point <= cursor:
                break
            names.append(name)
        return names[::-1]

    def wait(self, cursor: int, timeout: float) -> int:
        """Return when a breaker has changed."""
        with self._changed:
            self._changed.wait_for(lambda: self._point > cursor, timeout)
            return self._point

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
