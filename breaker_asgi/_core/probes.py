"""The permits of a half-open generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from breaker_asgi._core.outcome import IGNORED, Outcome

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.windows import Place


class Borrower(Protocol):
    """A permit, as far as its probe uses it."""

    started: float | None
    """The reading of the breaker's clock when the call began; None where it is not timed."""


class Probes:
    """The permits of one half-open generation, a fixed number, each lent for a limited time.

    It keeps no permit alive: one that no caller holds any more comes back.
    """

    __slots__ = ("_answered", "_free", "_lent", "_slow", "_timeout")

    def __init__(self, config: BreakerConfig) -> None:
        self._free = config.half_open_calls
        self._lent: dict[int, float] = {}
        """When each was lent, by the permit's id."""
        self._timeout = config.probe_timeout
        self._slow: dict[int, Place] = {}
        """Probes under way that count as slow already, and so have ended for the rules."""
        self._answered: set[int] = set()
        """Probes whose answer has begun: they are not slow, however long the rest takes."""

    def lend(self, permit: Borrower, now: float) -> bool:
        """Lend a permit, taking back the first one that was kept for too long."""
        if self._free:
            self._free -= 1
        else:
            holder = next(iter(self._lent), None)
            if holder is None or self._lent[holder] <= now <= self._lent[holder] + self._timeout:
                return False
            del self._lent[holder]
        self._lent[id(permit)] = now
        return True

    def holds(self, permit: Borrower) -> bool:
        """Return True if a permit is lent still, and was not taken back."""
        return id(permit) in self._lent or id(permit) in self._slow

    def under_way(self, now: float, slow_after: float) -> tuple[int, int]:
        """Return the probes under way, and the slow ones of them, but for those counted so."""
        return len(self._lent), len(self._overdue(now, slow_after))

    def _overdue(self, now: float, slow_after: float) -> list[int]:
        return [
            key
            for key, lent in self._lent.items()
            if now - lent > slow_after and key not in self._answered
        ]

    def count_overdue(self, now: float, slow_after: float, place: Place) -> int:
        """End probes that have been running for too long, as slow ones. Return their number."""
        overdue = self._overdue(now, slow_after)
        for key in overdue:
            del self._lent[key]
            self._slow[key] = place
        return len(overdue)

    def answered(self, permit: Borrower) -> None:
        """Note that the answer to a probe has begun in time."""
        self._answered.add(id(permit))

    def is_slow(self, permit: Borrower) -> bool:
        """Return True if a probe that is under way counts as slow already."""
        return id(permit) in self._slow

    def place_of(self, permit: Borrower) -> Place | None:
        """Return the place in the window of a probe that ends, and counts as slow already."""
        return self._slow.pop(id(permit), None)

    def end(self, permit: Borrower, outcome: Outcome) -> bool:
        """End a probe. Return False if its permit was taken back before."""
        self._answered.discard(id(permit))
        lent = self._lent.pop(id(permit), None) is not None
        if lent and outcome is IGNORED:
            self._free += 1
        return lent

    def next_due(self, now: float) -> float:
        """Return the seconds until a permit is free, if no probe ends before; 0 if one is now."""
        if self._free:
            return 0.0
        return max(0.0, next(iter(self._lent.values()), now) + self._timeout - now)
