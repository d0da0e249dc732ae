"""How many workers must have seen failures before a breaker opens for all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from breaker_asgi._core import validation

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Shared, Store

_COUNTED = 10.0
"""Seconds for which the number of workers is taken to be the same."""
_REMEMBERED = 30.0
"""Seconds for which it is taken not to be lower: a store that was emptied shows few at first."""


def checked(quorum: object) -> float:
    """A number of workers, or a fraction of them. Raises `BreakerConfigError` for what is none."""
    is_number = isinstance(quorum, int) and not isinstance(quorum, bool) and quorum >= 1
    is_fraction = isinstance(quorum, float) and 0 < quorum <= 1
    if not (is_number or is_fraction):
        allowed = "a whole number of workers, 1 or more, or a fraction above 0 and up to 1.0"
        remedy = "Leave it out for 1: one worker's failures open for all. Half of them is 0.5"
        raise validation.not_allowed("quorum", quorum, allowed, remedy)
    return quorum  # type: ignore[return-value]


class Quorum:
    """A number of workers; or a fraction of those that have shown themselves of late."""

    def __init__(self, given: float, store: Store, clock: Callable[[], float]) -> None:
        self._given = given
        self._store = store
        self._clock = clock
        self._workers = 1
        self._counted = self._most_counted = -math.inf

    @property
    def is_one(self) -> bool:
        """Whether any worker can open for all."""
        return self._needed() == 1

    def is_met(self, shared: Shared) -> bool:
        """Whether enough workers have seen failures."""
        needed = self._needed()
        return needed == 1 or shared.witnesses >= needed

    def count_workers(self) -> None:
        """Find out how many there are, if that matters: now and then, not only when one opens."""
        if isinstance(self._given, float):
            self._counted, shown = self._clock(), len(self._store.published())
            if shown >= self._workers or self._counted - self._most_counted > _REMEMBERED:
                self._workers, self._most_counted = shown, self._counted

    def _needed(self) -> int:
        if isinstance(self._given, int):
            return self._given
        if self._clock() - self._counted > _COUNTED:
            self.count_workers()
        return max(1, math.ceil(self._given * self._workers))
