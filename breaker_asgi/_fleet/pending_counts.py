"""Calls of a breaker that this worker has not reported yet."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi.stores.protocol import NO_CALLS, Counts, Second, total

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation
    from breaker_asgi.breaker import CircuitBreaker

_FINE = 60
"""Parts of the time for which calls matter; calls of one part share a note."""


class PendingCounts:
    """Unreported counts of the fleet's generation, from the breaker's own totals.

    A call updates nothing here, unless its result is late.
    """

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._late = NO_CALLS
        self._known = self._totals(breaker)
        """The totals up to which calls have been noted, or are excluded."""
        self._left = NO_CALLS
        """Unreported counts of the last shared generation."""
        self._other: tuple[Generation | None, Counts] = None, NO_CALLS
        """Counts of a generation that ended before it became the fleet's."""
        self._notes = Notes()
        self._successes = breaker.successes
        """Successes up to the last note, or that are excluded."""
        self._unbroken = True

    def count_late_result(self, calls: int, failures: int, slow_calls: int) -> None:
        """Exclude calls from the counts that were admitted in an earlier generation."""
        self._late = total((self._late, Counts(calls, failures, slow_calls)))

    def end_generation(
        self, breaker: CircuitBreaker, generation: Generation, *, counts: bool
    ) -> None:
        """Keep the counts of a generation that ends; the breaker's lock is held."""
        totals = self._totals(breaker)
        if counts:
            self._left = _sum(self._left, totals, self._known)
        else:
            self._other = generation, _sum(NO_CALLS, totals, self._known)
        self._known, self._successes = totals, breaker.successes

    def begin_generation(self, generation: Generation, *, is_new: bool) -> None:
        """Make `generation` the fleet's, with the counts kept apart for it."""
        if is_new:
            self._left = NO_CALLS
            self._notes.clear()
            self._unbroken = True
        other, counts = self._other
        if other is generation:
            self._left = _sum(self._left, counts, NO_CALLS)

    def skip(self, breaker: CircuitBreaker) -> None:
        """Exclude the calls of the breaker's own generation up to now."""
        with breaker._lock:
            self._known, self._successes = self._totals(breaker), breaker.successes

    def note(self, breaker: CircuitBreaker, now: float, keep: int, *, counts: bool) -> None:
        """Note the calls since the last note, which matter for `keep` seconds."""
        with breaker._lock:
            new, totals = self._left, self._totals(breaker)
            succeeded = new.calls > new.failures
            if counts:
                new = _sum(new, totals, self._known)
                if min(new) < 0:  # a late call is about to be taken out
                    return
                succeeded |= self._has_succeeded(breaker, _sum(NO_CALLS, totals, self._known))
                self._known = totals
            self._left = NO_CALLS
        if new != NO_CALLS or succeeded:
            self._notes.add(new, now, keep)
            self._unbroken &= not succeeded

    def _has_succeeded(self, breaker: CircuitBreaker, new: Counts) -> bool:
        """Return True if there was a success since the last note.

        A call that was counted as slow while it ran is none until it ends, and then adds no call.
        """
        before, self._successes = self._successes, breaker.successes
        if breaker._under_way is None:
            return new.calls > new.failures
        return breaker.successes > before

    def take(self, now: float) -> tuple[tuple[Second, ...], bool]:
        """Return the notes, the newest first, and forget them; True if there was no success."""
        unbroken, self._unbroken = self._unbroken, True
        return self._notes.take(now), unbroken

    def start_anew(self, breaker: CircuitBreaker) -> None:
        """Begin in a child process: earlier calls remain with the parent."""
        self._left, self._known = NO_CALLS, self._totals(breaker)
        self._successes, self._unbroken = breaker.successes, True
        self._notes.clear()

    def _totals(self, breaker: CircuitBreaker) -> Counts:
        failures, late = breaker.failures, self._late
        return Counts(
            breaker.successes + failures + breaker._unended_slow_calls - late.calls,
            failures - late.failures,
            breaker.slow_calls - late.slow_calls,
        )


def _sum(counts: Counts, totals: Counts, before: Counts) -> Counts:
    return Counts(*(a + b - c for a, b, c in zip(counts, totals, before, strict=True)))


class Note(NamedTuple):
    """Calls, and when they were noted."""

    at: float
    counts: Counts


class Notes:
    """Calls by the time of their end: there are never many notes, however long the store is out.

    Calls that are too old for a window still are evidence of failures, and share a note.
    """

    def __init__(self) -> None:
        self._notes: deque[Note] = deque()

    def __bool__(self) -> bool:
        return bool(self._notes)

    def add(self, counts: Counts, now: float, keep: int) -> None:
        """Note calls that matter for `keep` seconds."""
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
        """Return all, the newest first, and forget them."""
        notes, self._notes = self._notes, deque()
        return tuple(Second(max(0, int(now - at)), counts) for at, counts in reversed(notes))

    def clear(self) -> None:
        """Forget all."""
        self._notes.clear()
