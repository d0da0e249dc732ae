"""What was changed elsewhere, as far as it is known here."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED
from breaker_asgi._fleet.member import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from breaker_asgi._fleet.member import Member
    from breaker_asgi._fleet.reporter import Reports
    from breaker_asgi.stores.protocol import Shared, Store

COMPARE = 10.0
"""Seconds between two comparisons with the store, which may have lost something unnoticed."""


class News:
    """Fetches what a store knows of the breakers that have changed, and now and then of all."""

    def __init__(self, store: Store, reports: Reports, clock: Callable[[], float]) -> None:
        self._store = store
        self._reports = reports
        self._clock = clock
        self._kept: dict[str, tuple[Shared, float]] = {}
        """What was known, and when, of breakers that do not exist here and are not closed."""
        self._compared = -math.inf
        self.since = 0
        """The point up to which the changes of others are known."""

    @property
    def are_old(self) -> bool:
        """Whether it is time to compare."""
        return self._clock() - self._compared >= COMPARE

    def of_one_that_is_new_here(self, name: str) -> Shared | None:
        """What is known of a breaker that is made now."""
        known, when = self._kept.pop(name, (None, 0.0))
        return known and replace(known, age=known.age + self._clock() - when)

    def fetch(
        self,
        members: Collection[Member],
        learn: Callable[[Mapping[str, Shared]], None],
        *,
        anew: bool,
    ) -> None:
        """Fetch it, and have it learnt: then it is no news any more. `anew` compares."""
        now, here = self._clock(), {each.name for each in members}
        point, names = self._store.changes(0 if anew else self.since)
        if point < self.since and not anew:
            anew, (point, names) = True, self._store.changes(0)
        asked = dict.fromkeys(names)
        least = -1 if self.since == 0 < point else 0 if anew else math.inf
        for member in members:
            if member.generation == UNKNOWN or member.generation > least:
                asked[member.name] = None
        known = self._reports.tell(*asked)
        self._kept = {} if anew else self._kept
        for name in known.keys() - here:
            self._kept.pop(name, None)
            if known[name].state is not CLOSED:
                self._kept[name] = known[name], self._clock()
        learn(known)
        self.since = point
        self._compared = now if anew else self._compared
