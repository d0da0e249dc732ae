"""Figures that workers publish for display. No decision uses them."""

from __future__ import annotations

import json
import math
import os
import socket
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from breaker_asgi._core.counters import words_for
from breaker_asgi._core.state import CLOSED
from breaker_asgi._fleet.figures import (
    NO_TOTALS,
    MoreFigures,
    Totals,
    WorkerFigures,
    as_json,
    figures_of,
    more_of,
    published_totals,
    read_figures,
    read_more,
    totals_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi._fleet.link import Link
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Board

PAUSE = 5.0
"""Seconds between two counts of the own figures."""
FETCH_PAUSE = 2.0
"""Seconds between two fetches of the others' figures while an observer looks."""
KEPT = 30.0
"""Time to live of published figures, and of an observer's interest in them."""
MOST = 200
"""Breakers that a worker publishes: those that are not closed, then the busiest."""
LONGEST_EXTRAS = 250_000
"""Characters of all extras of a worker; those of further breakers are left out."""
_VERSION = 1


class Worker(NamedTuple):
    """Figures of one worker."""

    worker: str
    pid: int
    host: str
    age: float
    """Seconds since its figures came here."""
    breakers: Mapping[str, WorkerFigures]
    more: Mapping[str, MoreFigures]
    """Further figures by the name of the breaker; empty for an earlier version."""
    extras: Mapping[str, Extra]
    """The observer's additions by the name of the breaker; none of this worker itself."""


class Extra:
    """An observer's additions for one breaker of another worker."""

    __slots__ = ("content", "parsed")

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        """The additions as they came, unchecked."""
        self.parsed: Any = None
        """A place for what the observer reads from it."""


class Observer(Protocol):
    """An observer that adds to what is published, and gets the calls of other workers."""

    def extras(self, names: list[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return more of some breakers, as JSON, for the observers in other workers."""
        ...

    def elsewhere(self, name: str, seconds: float, calls: tuple[int, int, int, int]) -> None:
        """Take note of calls (ok, failed, slow, rejected) in another worker's last seconds."""
        ...


class _Fetched(NamedTuple):
    """Figures last fetched of a worker, and when they had changed."""

    text: str
    since: float
    worker: Worker


class Publisher(Protocol):
    """The fleet, as far as its figures are published."""

    worker: str
    board: Board
    observer: Observer | None

    @property
    def pace(self) -> float: ...

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
        self._counted_at = self._fetched_at = self._published_at = self._observed_at = -math.inf
        self._totals: dict[str, Totals] | None = None
        self._own: list[WorkerFigures] = []
        self._more: dict[str, MoreFigures] = {}
        self._extras: dict[str, Mapping[str, Any]] = {}
        self._last_published: object = None
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
        if now - self._fetched_at >= FETCH_PAUSE:
            self._fleet.wake()
        own = {figures.name: figures for figures in self._own}
        age = min(max(0.0, now - self._counted_at), KEPT)
        fleet = self._fleet
        workers = [Worker(fleet.worker, self._pid, self._host, age, own, self._more, {})]
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
            if now - self._fetched_at >= self._pause(now) < math.inf:
                self._fetch(now)
        except Exception as error:  # noqa: BLE001
            self._published_at = -math.inf
            self.trouble = words_for(error)

    def _pause(self, now: float) -> float:
        """Return the seconds between two fetches.

        They are long until an observer asks: the first answer of a monitor has all workers, too.
        """
        if now - self._observed_at <= KEPT:
            return FETCH_PAUSE
        return math.inf if self._fleet.observer is None else KEPT / 2 * self._fleet.pace

    def _publish(self, now: float) -> None:
        """Publish figures that have changed, or would expire."""
        own, more = self._count(now)
        if not own and self._last_published is None:
            return  # no breaker yet: publish at once when there is one
        self._own, self._more, self._counted_at = own, more, now
        self._extras = self._ask_observer()
        ageless = {name: figures.without_ages() for name, figures in more.items()}
        to_publish = (own, ageless, self._extras)
        if to_publish == self._last_published and now - self._published_at < KEPT / 2:
            return
        self._number += 1
        content = {
            "version": _VERSION,
            "number": self._number,
            "pid": self._pid,
            "host": self._host,
            "breakers": own,
            "more": {name: as_json(figures) for name, figures in more.items()},
            "extras": self._extras,
        }
        text = json.dumps(content, separators=(",", ":"))
        self._fleet.board.publish(self._fleet.worker, text, KEPT)
        self._last_published, self._published_at, self.trouble = to_publish, now, None

    def _count(self, now: float) -> tuple[list[WorkerFigures], dict[str, MoreFigures]]:
        alike: dict[str, list[CircuitBreaker]] = {}
        for link in self._fleet.links():
            if (breaker := link.breaker) is not None:
                alike.setdefault(breaker.name, []).append(breaker)
        before, self._totals = self._totals, {}
        counted, recent, seconds = [], {}, now - self._counted_at
        for name, breakers in alike.items():
            totals = self._totals[name] = totals_of(breakers)
            new = NO_TOTALS if before is None else totals.since(before.get(name, NO_TOTALS))
            recent[name] = new
            counted.append((totals.all, figures_of(breakers, new.all / seconds)))
        own = [figures for _, figures in nsmallest(MOST, counted, _urgency)]
        names = [figures.name for figures in own]
        return own, {name: more_of(alike[name], recent[name], seconds) for name in names}

    def _ask_observer(self) -> dict[str, Mapping[str, Any]]:
        """Return the observer's additions, those of the most urgent breakers first."""
        observer = self._fleet.observer
        if observer is None:
            return {}
        extras, length = {}, 0
        names = [figures.name for figures in self._own]
        for name, extra in observer.extras(names).items():
            length += len(json.dumps(extra, separators=(",", ":")))
            if length > LONGEST_EXTRAS:
                break
            extras[name] = extra
        return extras

    def _fetch(self, now: float) -> None:
        covered = max(PAUSE, now - self._fetched_at)
        self._fetched_at = now  # also if that fails: the next fetch is after a pause
        before, others = self._others, {}
        for name, text in self._fleet.board.published().items():
            if name == self._fleet.worker:
                continue
            record = before.get(name)
            if record is None or record.text != text:
                worker = _read(name, text)
                if worker is not None and record is not None:
                    self._pass_on(record.worker, worker, min(covered, now - record.since))
                record = worker and _Fetched(text, now, worker)
            if record is not None:
                others[name] = record
        self._others = others

    def _pass_on(self, before: Worker, after: Worker, seconds: float) -> None:
        """Pass the calls that another worker had in the last seconds on to the observer."""
        if (observer := self._fleet.observer) is None:
            return
        is_complete = len(before.breakers) < MOST
        for name, figures in after.breakers.items():
            last = before.breakers.get(name)
            if last is None and not is_complete:
                continue  # its earlier calls were not published
            new = published_totals(figures).since(published_totals(last) if last else NO_TOTALS)
            if new.all:
                observer.elsewhere(name, seconds, new[:4])


def _urgency(counted: tuple[int, WorkerFigures]) -> tuple[bool, float, int]:
    calls, figures = counted
    return figures.state == CLOSED.value, -figures.calls_per_second, -calls


def _read(worker: str, text: str) -> Worker | None:
    """Parse the figures of another worker; None if they are not valid here."""
    try:
        content = json.loads(text)
        if content["version"] != _VERSION:
            return None
        breakers = [read_figures(*fields) for fields in content["breakers"][:MOST]]
        names = {figures.name: figures for figures in breakers}
        pid, host = int(content["pid"]), str(content["host"])
        more = {
            name: read_more(figures)
            for name, figures in content.get("more", {}).items()
            if name in names
        }
        extras = {
            name: Extra(extra)
            for name, extra in content.get("extras", {}).items()
            if name in names and isinstance(extra, dict)
        }
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None
    return Worker(worker, pid, host, 0.0, names, more, extras)
