"""Reports of the calls of a worker to the store: no call is lost, and none is counted twice."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi.stores.protocol import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breaker_asgi._fleet.link import Link

INTERVAL = 1.0
"""Seconds between two reports, in a fleet of a few hundred workers at most."""
BUDGET = 4000
"""Reports of the whole fleet in a second: with more of them each worker reports more rarely."""


class Taken(NamedTuple):
    """A report that the store has not confirmed, and the generation of its calls."""

    generation: int
    window: int
    report: Report


class Reports:
    """The reports of a process.

    One without an answer may have arrived: it is sent again unchanged, with the same number.
    Meanwhile the links note their calls.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._taken: dict[str, Taken] = {}
        self._taken_at = -math.inf
        self._reported = -math.inf
        self._busy = 0
        """Breakers in the last full report."""
        self.number = 0
        self.workers = 1
        """Workers of the fleet, as the store counts them."""

    def start_anew(self) -> None:
        """Begin as another worker, which has reported nothing yet."""
        self._taken.clear()
        self.number = 0

    @property
    def pace(self) -> float:
        """The interval in units of the usual one: all workers together keep to the budget."""
        return max(1.0, self.workers * self._busy / (BUDGET * INTERVAL))

    def seconds_to_next(self) -> float:
        """Return the seconds until the next report is due."""
        return max(0.0, self._reported + INTERVAL * self.pace - self._clock())

    def hurry(self) -> None:
        """Make a report due now."""
        self._reported = -math.inf

    def take_if_due(self, links: Iterable[Link], urgent: Iterable[Link] = ()) -> None:
        """Take a report of each link if it is time, and otherwise of the urgent ones."""
        if self.seconds_to_next() == 0:
            self._reported = self._clock()
            if self.take(links):
                self._busy = len(self._taken)
        elif urgent:
            self.take(urgent)

    def take(self, links: Iterable[Link]) -> bool:
        """Take a report of each link. Return False while earlier ones are not confirmed."""
        if self._taken:
            for link in links:
                link.note()
            return False
        for link in links:
            report = link.report()
            if report is not None:
                taken = Taken(link.generation, link.window.seconds, report)
                before = self._taken.get(link.name)
                self._taken[link.name] = taken if before is None else _merged(before, taken)
        self._taken_at = self._clock()
        self.number += bool(self._taken)
        return True

    @property
    def names(self) -> Iterable[str]:
        """The breakers with a report that the store has not confirmed."""
        return self._taken.keys()

    def of(self, name: str) -> Taken | None:
        """Return the report of a breaker, as old as it is now."""
        taken, late = self._taken.get(name), int(self._clock() - self._taken_at)
        if taken is None or not late:
            return taken
        report = taken.report
        older = tuple(second._replace(age=second.age + late) for second in report.seconds)
        return taken._replace(report=replace(report, seconds=older))

    def confirm(self, name: str) -> None:
        """Forget a report: the store has it."""
        self._taken.pop(name, None)


def _merged(one: Taken, other: Taken) -> Taken:
    """Return the reports of two breakers of one name as one; the calls of `one` come first."""
    before, after = one.report, other.report
    rejected = before.rejected + after.rejected
    if one.generation != other.generation:
        latest = max(one, other, key=lambda taken: taken.generation)
        return latest._replace(report=replace(latest.report, rejected=rejected))
    report = Report(
        seconds=(*after.seconds, *before.seconds),
        streak=before.streak + after.counts.failures if after.unbroken else after.streak,
        unbroken=before.unbroken and after.unbroken,
        tripped=before.tripped or after.tripped,
        rejected=rejected,
    )
    return Taken(one.generation, max(one.window, other.window), report)
