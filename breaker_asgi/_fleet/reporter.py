"""Reports the counts of a worker to the store: no call is lost, and none is counted twice."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from breaker_asgi._fleet.member import Member
    from breaker_asgi.stores.protocol import Report, Shared, Store


_PORTION = 500
"""Breakers in one exchange: these take a fraction of a second."""


class Reporter:
    """Reports the counts of the members to the store.

    A report without a reply may have arrived: it is sent again unchanged, with the same number.
    Meanwhile the members note their calls.
    """

    def __init__(self, store: Store, worker: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self.start_anew(worker)

    def start_anew(self, worker: str) -> None:
        """Begin as another worker, which has reported nothing yet."""
        self.worker = worker
        self._number = 0
        self._unanswered: list[Report] = []
        self._taken = 0.0
        """When the unanswered reports were taken."""

    def take(self, members: Iterable[Member]) -> None:
        """Take a report from each member, unless earlier ones have no reply yet."""
        if self._unanswered:
            for member in members:
                member.note()
            return
        reports: dict[str, Report] = {}
        for member in members:
            report = member.report()
            if report is not None:
                before = reports.get(report.name)
                reports[report.name] = report if before is None else _merged(before, report)
        self._unanswered, self._taken = list(reports.values()), self._clock()
        self._number += bool(reports)

    def exchange(self, *ask: str) -> Mapping[str, Shared]:
        """Send the reports; return the records of those breakers, and of `ask`."""
        if not self._unanswered and not ask:
            return {}
        late = int(self._clock() - self._taken)
        reports = [_later(report, late) if late else report for report in self._unanswered]
        records: dict[str, Shared] = {}
        for portion, names in zip_longest(
            _portions(reports), _portions(sorted({*ask} - {report.name for report in reports}))
        ):
            number = self._number if portion else 0
            records |= self._store.exchange(self.worker, number, portion or [], names or [])
        self._unanswered = []
        return records


_Item = TypeVar("_Item")


def _portions(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _PORTION] for start in range(0, len(items), _PORTION))


def _later(report: Report, late: int) -> Report:
    older = tuple(second._replace(age=second.age + late) for second in report.seconds)
    return replace(report, seconds=older)


def _merged(one: Report, other: Report) -> Report:
    """Return the reports of two breakers of one name as one; the calls of `one` come first."""
    if one.generation != other.generation:
        return max(one, other, key=lambda report: report.generation)
    return replace(
        other,
        seconds=(*other.seconds, *one.seconds),
        streak=one.streak + other.counts.failures if other.unbroken else other.streak,
        unbroken=one.unbroken and other.unbroken,
        keep=max(one.keep, other.keep),
    )
