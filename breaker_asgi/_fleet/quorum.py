"""The number of workers that must have seen failures before a breaker opens for all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from breaker_asgi._core import validation

if TYPE_CHECKING:
    from collections.abc import Callable

_REMEMBERED = 30.0
"""Seconds for which the count is not lowered: a store that was emptied shows few at first."""


def checked(quorum: object) -> float:
    """Return a valid number of workers, or fraction of them. Raises `BreakerConfigError`."""
    is_number = isinstance(quorum, int) and not isinstance(quorum, bool) and quorum >= 1
    is_fraction = isinstance(quorum, float) and 0 < quorum <= 1
    if not (is_number or is_fraction):
        allowed = "a whole number of workers, 1 or more, or a fraction above 0 and up to 1.0"
        remedy = "Leave it out for 1: one worker's failures open for all. Half of them is 0.5"
        raise validation.not_allowed("quorum", quorum, allowed, remedy)
    return quorum  # type: ignore[return-value]


class Quorum:
    """A number of workers; or a fraction of those that have used the store of late."""

    def __init__(self, quorum: float, clock: Callable[[], float]) -> None:
        self._quorum = quorum
        self._clock = clock
        self._workers = 1
        self._most_counted = -math.inf

    @property
    def is_one(self) -> bool:
        """True if any worker can open for all."""
        return self._needed == 1

    def is_met(self, workers: int) -> bool:
        """Return True if that many workers are enough."""
        return workers >= self._needed

    def count(self, workers: int) -> None:
        """Take the number of workers from the store."""
        now = self._clock()
        if workers >= self._workers or now - self._most_counted > _REMEMBERED:
            self._workers, self._most_counted = workers, now

    @property
    def _needed(self) -> int:
        if isinstance(self._quorum, int):
            return self._quorum
        return max(1, math.ceil(self._quorum * self._workers))
