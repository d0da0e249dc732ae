"""Figures that workers publish for display. No decision uses them."""

from __future__ import annotations

import json
import os
import socket
from heapq import nsmallest
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from breaker_asgi._core.counters import words_for
from breaker_asgi._core.snapshot import count_under_way
from breaker_asgi._core.state import CLOSED, WORST_FIRST, CircuitBreakerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from breaker_asgi._fleet.link import Link
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Board

PAUSE = 5.0
"""Seconds between two counts of the own figures, and between two fetches of the others."""
KEPT = 30.0
"""Time to live of published figures, and of an observer's interest in them."""
MOST = 200
"""Breakers that a worker publishes: those that are not closed, then the busiest."""
_VERSION = 1
_TOTALS = 4
"""Totals in the figures of a breaker, which calls under way follow."""


class WorkerFigures(NamedTuple):
    """One breaker in one worker; calls are counted from the worker's start."""

    name: str
    state: str
    alone: bool
    calls_per_second: float
    successes: int
    failures: int
    slow_calls: int
    rejected: int
    calls_under_way: int | None
    """None where no breaker of the name measures durations."""
    slow_calls_under_way: int | None


class Worker(NamedTuple):
    """Figures of one worker."""

    worker: str
    pid: int
    host: str
    age: float
    """Seconds since its figures came here."""
    breakers: Mapping[str, WorkerFigures]


class _Fetched(NamedTuple):
    """Figures last fetched of a worker, and when they had changed."""

    text: str
    since: float
    worker: Worker


class Publisher(Protocol):
    """The fleet, as far as its figures are published."""

    worker: str
    board: Board

    def now(self) -> float: ...

    def wake(self) -> None: ...

    def links(self) -> list[Link]: ...


class Roster:
    """Publishes the figures of this process, and fetches those of others while they are observed.

    `publish_and_fetch` is for the fleet's thread; `workers` for any thread.
    """

    def __init__(self, fleet: Publisher) -> None:
        self._fleet = fleet
        self._pid, self._host = os.getpid(), socket.gethostname()
        self._counted_at = self._fetched_at = self._published_at = self._observed_at = -float("inf")
        self._calls: dict[str, int] | None = None
        self._own: list[WorkerFigures] = []
        self._last_published: list[WorkerFigures] | None = None
        self._number = 0
        self._others: dict[str, _Fetched] = {}
        self.trouble: str | None = None
        """The reason why figures could not be published, or fetched; None if they could."""

    @property
    def is_new(self) -> bool:
        """True if the figures of other workers were fetched not long ago."""
        return self._fleet.now() - self._fetched_at <= KEPT

    def workers(self) -> list[Worker]:
        """Return the figures of this process, and those of the others once they are fetched.

        The call does not wait for the store.
        """
        now = self._fleet.now()
        self._observed_at = now
        if now - self._fetched_at >= PAUSE:
            self._fleet.wake()
        own = {figures.name: figures for figures in self._own}
        age = min(max(0.0, now - self._counted_at), KEPT)
        workers = [Worker(self._fleet.worker, self._pid, self._host, age, own)]
        if now - self._fetched_at <= KEPT:
            others = self._others.values()
            workers += [other.worker._replace(age=max(0.0, now - other.since)) for other in others]
        return workers

    def publish_and_fetch(self) -> None:
        """Publish and fetch if that is due. An error of the store concerns observers only."""
        now = self._fleet.now()
        try:
            if now - self._counted_at >= PAUSE:
                self._publish(now)
            if now - self._observed_at <= KEPT and now - self._fetched_at >= PAUSE:
                self._fetch(now)
        except Exception as error:  # noqa: BLE001
            self._published_at = -float("inf")
            self.trouble = words_for(error)

    def _publish(self, now: float) -> None:
        """Publish figures that have changed, or would expire."""
        own = self._count(now)
        if not own and self._last_published is None:
            return  # no breaker yet: publish at once when there is one
        self._own, self._counted_at = own, now
        if self._own == self._last_published and now - self._published_at < KEPT / 2:
            return
        self._number += 1
        content = {
            "version": _VERSION,
            "number": self._number,
            "pid": self._pid,
            "host": self._host,
            "breakers": self._own,
        }
        text = json.dumps(content, separators=(",", ":"))
        self._fleet.board.publish(self._fleet.worker, text, KEPT)
        self._last_published, self._published_at, self.trouble = self._own, now, None

    def _count(self, now: float) -> list[WorkerFigures]:
        alike: dict[str, list[CircuitBreaker]] = {}
        for link in self._fleet.links():
            if (breaker := link.breaker) is not None:
                alike.setdefault(breaker.name, []).append(breaker)
        before, self._calls = self._calls, {}
        counted = []
        for name, breakers in alike.items():
            calls = self._calls[name] = sum(map(_calls, breakers))
            new = 0 if before is None else calls - before.get(name, 0)
            rate = round(max(0, new) / (now - self._counted_at), 1)
            counted.append((calls, _figures(breakers, rate)))
        return [figures for _, figures in nsmallest(MOST, counted, _urgency)]

    def _fetch(self, now: float) -> None:
        self._fetched_at = now  # also if that fails: the next fetch is after a pause
        before, others = self._others, {}
        for name, text in self._fleet.board.published().items():
            if name == self._fleet.worker:
                continue
            record = before.get(name)
            if record is None or record.text != text:
                worker = _read(name, text)
                record = worker and _Fetched(text, now, worker)
            if record is not None:
                others[name] = record
        self._others = others


def _calls(breaker: CircuitBreaker) -> int:
    return breaker.successes + breaker.failures + breaker.ignored + breaker.rejected


def _figures(breakers: list[CircuitBreaker], rate: float) -> WorkerFigures:
    """Return the figures of a name: the calls of all its breakers, and the worst one's state."""
    worst = min(breakers, key=lambda breaker: WORST_FIRST.index(breaker.state))
    return WorkerFigures(
        worst.name,
        worst.state.value,
        worst._fleet is not None and worst._fleet.alone,
        rate,
        sum(breaker.successes for breaker in breakers),
        sum(breaker.failures for breaker in breakers),
        sum(breaker.slow_calls for breaker in breakers),
        sum(breaker.rejected for breaker in breakers),
        *_under_way(breakers),
    )


def _under_way(breakers: list[CircuitBreaker]) -> tuple[int | None, int | None]:
    """Return the calls under way of all breakers of a name, and the slow ones of them."""
    counts = [count_under_way(breaker, breaker.config.clock()) for breaker in breakers]
    calls, slow_calls = zip(*counts, strict=True)
    return _total(calls), _total(slow_calls)


def _total(counts: Iterable[int | None]) -> int | None:
    """Return the sum of the counts that are known; None if none is."""
    numbers = [count for count in counts if count is not None]
    return sum(numbers) if numbers else None


def _urgency(counted: tuple[int, WorkerFigures]) -> tuple[bool, float, int]:
    calls, figures = counted
    return figures.state == CLOSED.value, -figures.calls_per_second, -calls


def _read(worker: str, text: str) -> Worker | None:
    """Parse the figures of another worker; None if they are not valid here."""
    try:
        content = json.loads(text)
        if content["version"] != _VERSION:
            return None
        breakers = [_checked(*fields) for fields in content["breakers"][:MOST]]
        pid, host = int(content["pid"]), str(content["host"])
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    return Worker(worker, pid, host, 0.0, {figures.name: figures for figures in breakers})


def _checked(name: str, state: str, alone: Any, rate: float, *counts: Any) -> WorkerFigures:
    under_way = counts[_TOTALS:] or (None, None)  # without them by an earlier version
    successes, failures, slow_calls, rejected = map(_checked_count, counts[:_TOTALS])
    calls_under_way, slow_calls_under_way = under_way
    state, rate = CircuitBreakerState(state).value, float(rate)
    if not (isinstance(name, str) and isfinite(rate)):
        raise ValueError(name)
    return WorkerFigures(
        name,
        state,
        bool(alone),
        max(0.0, rate),
        successes,
        failures,
        slow_calls,
        rejected,
        None if calls_under_way is None else _checked_count(calls_under_way),
        None if slow_calls_under_way is None else _checked_count(slow_calls_under_way),
    )


def _checked_count(count: Any) -> int:
    return max(0, int(count))
