"""What each worker shows the others of its breakers. Nobody decides by it: people look at it."""

from __future__ import annotations

import json
import os
import socket
from heapq import nsmallest
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from breaker_asgi._core.counters import words_for
from breaker_asgi._core.state import CLOSED, WORST_FIRST, CircuitBreakerState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi._fleet.member import Member
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Store

PAUSE = 5.0
"""Seconds between two looks at what there is to show, and at what others show."""
KEPT = 30.0
"""Seconds for which figures hold; and after which nobody looks who has not looked again."""
MOST = 200
"""Breakers that a worker shows: those that are not closed, then the busiest."""
_VERSION = 1


class Figures(NamedTuple):
    """One breaker in one worker; calls are counted from the worker's start."""

    name: str
    state: str
    alone: bool
    calls_per_second: float
    successes: int
    failures: int
    slow_calls: int
    rejected: int


class Worker(NamedTuple):
    """What is known of one worker."""

    worker: str
    pid: int
    host: str
    age: float
    """Seconds since its figures came here."""
    breakers: Mapping[str, Figures]


class _Shown(NamedTuple):
    """What was last read of a worker, and since when that is known."""

    text: str
    since: float
    worker: Worker


class Publisher(Protocol):
    """The fleet, as far as its figures are published."""

    worker: str
    asked: Store

    def now(self) -> float: ...

    def wake(self) -> None: ...

    def members(self) -> list[Member]: ...


class Board:
    """Publishes the figures of this process, and fetches those of others while somebody looks.

    `turn` is the fleet's thread's; `workers` anybody's.
    """

    def __init__(self, fleet: Publisher) -> None:
        self._fleet = fleet
        self._pid, self._host = os.getpid(), socket.gethostname()
        self._looked = self._fetched = self._told = self._asked = -float("inf")
        self._calls: dict[str, int] | None = None
        self._own: list[Figures] = []
        self._last_told: list[Figures] | None = None
        self._number = 0
        self._others: dict[str, _Shown] = {}
        self.problem: str | None = None
        """Why the figures could not be published, or fetched."""

    @property
    def is_new(self) -> bool:
        """Whether it has been fetched what others show, not long ago."""
        return self._fleet.now() - self._fetched <= KEPT

    def workers(self) -> list[Worker]:
        """Give this process, and the others as far as they are known: soon after it is first asked.

        Nothing waits for the store.
        """
        now = self._fleet.now()
        self._asked = now
        if now - self._fetched >= PAUSE:
            self._fleet.wake()
        own = {each.name: each for each in self._own}
        age = min(max(0.0, now - self._looked), KEPT)
        found = [Worker(self._fleet.worker, self._pid, self._host, age, own)]
        if now - self._fetched <= KEPT:
            shown = self._others.values()
            found += [each.worker._replace(age=max(0.0, now - each.since)) for each in shown]
        return found

    def turn(self) -> None:
        """Do what is due. What the store raises concerns nobody but those who look."""
        now = self._fleet.now()
        try:
            if now - self._looked >= PAUSE:
                self._show(now)
            if now - self._asked <= KEPT and now - self._fetched >= PAUSE:
                self._fetch(now)
        except Exception as error:  # noqa: BLE001
            self._told = -float("inf")
            self.problem = words_for(error)

    def _show(self, now: float) -> None:
        """Publish what has changed, or would expire."""
        own = self._count(now)
        if not own and self._last_told is None:
            return  # the breakers are still to come: then they are not to wait for their turn
        self._own, self._looked = own, now
        if self._own == self._last_told and now - self._told < KEPT / 2:
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
        self._fleet.asked.publish(self._fleet.worker, text, KEPT)
        self._last_told, self._told, self.problem = self._own, now, None

    def _count(self, now: float) -> list[Figures]:
        alike: dict[str, list[CircuitBreaker]] = {}
        for member in self._fleet.members():
            if (breaker := member.breaker) is not None:
                alike.setdefault(breaker.name, []).append(breaker)
        before, self._calls = self._calls, {}
        found = []
        for name, breakers in alike.items():
            calls = self._calls[name] = sum(map(_calls, breakers))
            new = 0 if before is None else calls - before.get(name, 0)
            rate = round(max(0, new) / (now - self._looked), 1)
            found.append((calls, _figures(breakers, rate)))
        return [figures for _, figures in nsmallest(MOST, found, _urgency)]

    def _fetch(self, now: float) -> None:
        self._fetched = now  # also if that fails: it has its turn again
        before, found = self._others, {}
        for name, text in self._fleet.asked.published().items():
            if name == self._fleet.worker:
                continue
            known = before.get(name)
            if known is None or known.text != text:
                worker = _read(name, text)
                known = worker and _Shown(text, now, worker)
            if known is not None:
                found[name] = known
        self._others = found


def _calls(breaker: CircuitBreaker) -> int:
    return breaker.successes + breaker.failures + breaker.ignored + breaker.rejected


def _figures(breakers: list[CircuitBreaker], rate: float) -> Figures:
    """Return those of a name: the calls of all its breakers, and the worst one's state."""
    worst = min(breakers, key=lambda breaker: WORST_FIRST.index(breaker.state))
    return Figures(
        worst.name,
        worst.state.value,
        worst._fleet is not None and worst._fleet.alone,
        rate,
        sum(breaker.successes for breaker in breakers),
        sum(breaker.failures for breaker in breakers),
        sum(breaker.slow_calls for breaker in breakers),
        sum(breaker.rejected for breaker in breakers),
    )


def _urgency(each: tuple[int, Figures]) -> tuple[bool, float, int]:
    calls, figures = each
    return figures.state == CLOSED.value, -figures.calls_per_second, -calls


def _read(worker: str, text: str) -> Worker | None:
    """What another process has written; None where that is of no use here."""
    try:
        content = json.loads(text)
        if content["version"] != _VERSION:
            return None
        breakers = [_checked(*each) for each in content["breakers"][:MOST]]
        pid, host = int(content["pid"]), str(content["host"])
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    return Worker(worker, pid, host, 0.0, {each.name: each for each in breakers})


def _checked(name: str, state: str, alone: Any, rate: float, *totals: int) -> Figures:
    successes, failures, slow_calls, rejected = (max(0, int(each)) for each in totals)
    state, rate = CircuitBreakerState(state).value, float(rate)
    if not (isinstance(name, str) and isfinite(rate)):
        raise ValueError(name)
    return Figures(
        name, state, bool(alone), max(0.0, rate), successes, failures, slow_calls, rejected
    )
