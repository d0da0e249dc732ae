"""What a worker has seen of a breaker and not told the store yet."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi._core.windows import TimeWindow
from breaker_asgi.stores.protocol import NO_CALLS, Counts, Second, total

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation
    from breaker_asgi.breaker import CircuitBreaker

_FINE = 60
"""Parts of the time for which calls matter; calls of one part are noted together."""


class Seen:
    """The calls of the generation that the fleet is in, by the breaker's own totals.

    The breaker's calls do nothing for it, but for those that come late.
    """

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._late = NO_CALLS
        self._known = self._totals(breaker)
        """The totals, as far as they have been noted or are of no interest."""
        self._left = NO_CALLS
        """What the fleet's generation had seen and not noted when it ended here."""
        self._other: tuple[Generation | None, Counts] = None, NO_CALLS
        """The same of one that ended before it was known to be the fleet's."""
        self._notes = Notes()

    def count_late_result(self, failures: int, slow_calls: int) -> None:
        """A call was counted that was admitted in an earlier generation."""
        late = self._late
        self._late = Counts(late.calls + 1, late.failures + failures, late.slow_calls + slow_calls)

    def ends(self, breaker: CircuitBreaker, generation: Generation, *, counts: bool) -> None:
        """The breaker leaves a generation, which counts if it is the fleet's. The lock is held."""
        totals = self._totals(breaker)
        if counts:
            self._left = _sum(self._left, totals, self._known)
        else:
            self._other = generation, _sum(NO_CALLS, totals, self._known)
        self._known = totals

    def begins(self, generation: Generation, *, is_new: bool) -> None:
        """The fleet's generation is this one now."""
        if is_new:
            self._left = NO_CALLS
            self._notes.clear()
        other, counts = self._other
        if other is generation:
            self._left = _sum(self._left, counts, NO_CALLS)

    def skip(self, breaker: CircuitBreaker) -> None:
        """What was seen in the breaker's own generation up to now counts for nobody else."""
        with breaker._lock:
            self._known = self._totals(breaker)

    def note(self, breaker: CircuitBreaker, now: float, *, counts: bool) -> None:
        """Set aside what was seen since this was last done."""
        with breaker._lock:
            new, totals = self._left, self._totals(breaker)
            if counts:
                new = _sum(new, totals, self._known)
                if min(new) < 0:  # a late call is about to be taken out
                    return
                self._known = totals
            self._left = NO_CALLS
        if new != NO_CALLS:
            self._notes.add(new, now, seconds_that_matter(breaker))

    def take(self, now: float) -> tuple[Second, ...]:
        """Give what was noted, the newest first, and forget it."""
        return self._notes.take(now)

    def start_anew(self, breaker: CircuitBreaker) -> None:
        """In a child process: what was seen before is its parent's."""
        self._left, self._known = NO_CALLS, self._totals(breaker)
        self._notes.clear()

    def _totals(self, breaker: CircuitBreaker) -> Counts:
        failures, late = breaker.failures, self._late
        return Counts(
            breaker.successes + failures - late.calls,
            failures - late.failures,
            breaker.slow_calls - late.slow_calls,
        )


def _sum(counts: Counts, totals: Counts, before: Counts) -> Counts:
    return Counts(*(a + b - c for a, b, c in zip(counts, totals, before, strict=True)))


def seconds_that_matter(breaker: CircuitBreaker) -> int:
    """For how long the fleet's rules look at a call: the others' calls count in a `TimeWindow`."""
    window = breaker.config.window
    if not (breaker.config.rated and isinstance(window, TimeWindow)):
        return 0
    return int(window.seconds)  # type: ignore[arg-type]


class Note(NamedTuple):
    """Calls, and when they were noted."""

    at: float
    counts: Counts


class Notes:
    """Calls by the time when they were seen: there are never many, however long the store is out.

    Those that are too old to matter in a window still tell of failures, and are noted together.
    """

    def __init__(self) -> None:
        self._notes: deque[Note] = deque()

    def __bool__(self) -> bool:
        return bool(self._notes)

    def add(self, counts: Counts, now: float, keep: int) -> None:
        """Note calls that matter for so many seconds."""
        notes = self._notes
        if notes and now - notes[-1].at < keep / _FINE:
            last = notes.pop()
            notes.append(Note(last.at, total((last.counts, counts))))
        else:
            notes.append(Note(now, counts))
        while len(notes) > 1 and notes[1].at <= now - keep:
            oldest = notes.popleft()
            notes[0] = Note(notes[0].at, total((oldest.counts, notes[0].counts)))

    def take(self, now: float) -> tuple[Second, ...]:
        """Give all, the newest first, and forget them."""
        notes, self._notes = self._notes, deque()
        return tuple(Second(max(0, int(now - at)), counts) for at, counts in reversed(notes))

    def clear(self) -> None:
        """Forget all."""
        self._notes.clear()
