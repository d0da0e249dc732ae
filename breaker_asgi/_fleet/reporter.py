"""What a worker tells the store: nothing gets lost on the way, and nothing is counted twice."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from breaker_asgi._fleet.member import Member
    from breaker_asgi.stores.protocol import Report, Shared, Store


_PORTION = 500
"""Breakers that the store is told of at a time: so many take a fraction of a second."""


class Reports:
    """Tells the store what the members have seen.

    A report that was not answered may have been heard: it is told again in the same words and with
    the same number. Meanwhile the members note what they see.
    """

    def __init__(self, store: Store, worker: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self.start_anew(worker)

    def start_anew(self, worker: str) -> None:
        """Begin as another worker, which has told nothing yet."""
        self.worker = worker
        self._number = 0
        self._unanswered: list[Report] = []
        self._taken = 0.0
        """When they were taken."""

    def take(self, members: Iterable[Member]) -> None:
        """Take what the members have seen, unless there is something that was not answered."""
        if self._unanswered:
            for each in members:
                each.note()
            return
        found: dict[str, Report] = {}
        for each in members:
            report = each.report()
            if report is not None:
                before = found.get(report.name)
                found[report.name] = report if before is None else _both(before, report)
        self._unanswered, self._taken = list(found.values()), self._clock()
        self._number += bool(found)

    def tell(self, *ask: str) -> Mapping[str, Shared]:
        """Tell what was taken; give what is known of those breakers, and of those asked for."""
        if not self._unanswered and not ask:
            return {}
        late = int(self._clock() - self._taken)
        reports = [_later(each, late) if late else each for each in self._unanswered]
        known: dict[str, Shared] = {}
        for told, asked in zip_longest(
            _portions(reports), _portions(sorted({*ask} - {each.name for each in reports}))
        ):
            number = self._number if told else 0
            known |= self._store.exchange(self.worker, number, told or [], asked or [])
        self._unanswered = []
        return known


_Item = TypeVar("_Item")


def _portions(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _PORTION] for start in range(0, len(items), _PORTION))


def _later(report: Report, late: int) -> Report:
    older = tuple(each._replace(age=each.age + late) for each in report.seconds)
    return replace(report, seconds=older)


def _both(one: Report, other: Report) -> Report:
    """The report of two breakers of one name, as if one had seen first the one's calls."""
    if one.generation != other.generation:
        return max(one, other, key=lambda each: each.generation)
    return replace(
        other,
        seconds=(*other.seconds, *one.seconds),
        streak=one.streak + other.counts.failures if other.unbroken else other.streak,
        unbroken=one.unbroken and other.unbroken,
        keep=max(one.keep, other.keep),
    )
