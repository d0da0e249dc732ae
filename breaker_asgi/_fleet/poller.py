"""Fetches the changes of other workers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED
from breaker_asgi._fleet.member import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from breaker_asgi._fleet.member import Member
    from breaker_asgi._fleet.reporter import Reporter
    from breaker_asgi.stores.protocol import Shared, Store

COMPARE = 10.0
"""Seconds between two comparisons with the store, which may have lost a record unnoticed."""


class Poller:
    """Fetches the records of breakers that have changed, and now and then of all."""

    def __init__(self, store: Store, reporter: Reporter, clock: Callable[[], float]) -> None:
        self._store = store
        self._reporter = reporter
        self._clock = clock
        self._kept: dict[str, tuple[Shared, float]] = {}
        """Records of breakers that do not exist here, unless closed; and when they were fetched."""
        self._compared = -math.inf
        self.since = 0
        """The point up to which the changes of other workers are fetched."""

    @property
    def is_due(self) -> bool:
        """True if it is time to compare."""
        return self._clock() - self._compared >= COMPARE

    def take_remote_state(self, name: str) -> Shared | None:
        """Return the remote state of a breaker just created here."""
        record, fetched = self._kept.pop(name, (None, 0.0))
        return record and replace(record, age=record.age + self._clock() - fetched)

    def fetch(
        self,
        members: Collection[Member],
        reconcile: Callable[[Mapping[str, Shared]], None],
        *,
        anew: bool,
    ) -> None:
        """Fetch records, and pass them to `reconcile`. With `anew`, compare all."""
        now, here = self._clock(), {member.name for member in members}
        point, names = self._store.changes(0 if anew else self.since)
        if point < self.since and not anew:
            anew, (point, names) = True, self._store.changes(0)
        wanted = dict.fromkeys(names)
        least = -1 if self.since == 0 < point else 0 if anew else math.inf
        for member in members:
            if member.generation == UNKNOWN or member.generation > least:
                wanted[member.name] = None
        records = self._reporter.exchange(*wanted)
        self._kept = {} if anew else self._kept
        for name in records.keys() - here:
            self._kept.pop(name, None)
            if records[name].state is not CLOSED:
                self._kept[name] = records[name], self._clock()
        reconcile(records)
        self.since = point
        self._compared = now if anew else self._compared
