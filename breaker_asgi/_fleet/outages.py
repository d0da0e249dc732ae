"""The outage of a breaker, between its engine and the store."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from breaker_asgi._core.outage import Outage
from breaker_asgi._core.outages import rates
from breaker_asgi._core.state import CLOSED, CLOSING, FORCED_OPEN, HALF_OPEN, OPEN
from breaker_asgi._core.windows import WindowCounts
from breaker_asgi._fleet.commands import ALIKE
from breaker_asgi.stores.protocol import Counts, Report, SharedOutage

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.outage import Course
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.stores.protocol import Shared

_AWAY = {OPEN, HALF_OPEN, FORCED_OPEN}
NO_EVIDENCE = Report(unbroken=True)
"""A report without calls that were made."""


class LinkOutage:
    """The calls that this worker has rejected in an outage and not reported, and the store's sum.

    Calls that are rejected while the breaker is closing belong to the outage only if it goes on.
    """

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.start_anew(breaker)

    def start_anew(self, breaker: CircuitBreaker) -> None:
        """Begin in a child process: earlier calls remain with the parent."""
        self._known = breaker.rejected
        """Rejected calls of the breaker's former generations."""
        self._left = self._while_closing = 0
        self._adopted: object = None
        """The generation and the sum that the breaker has last got from the store."""

    def end_generation(self, breaker: CircuitBreaker, generation: Generation) -> None:
        """Keep the rejected calls of a generation that ends; the breaker's lock is held."""
        new, self._known = breaker.rejected - self._known, breaker.rejected
        if generation.state in _AWAY:
            self._left += new + self._while_closing
        self._while_closing = new if generation.state is CLOSING else 0

    def unreported(self, breaker: CircuitBreaker) -> int:
        """Return the number of calls rejected in the outage that are not reported."""
        with breaker._lock:
            if breaker._generation.state in _AWAY:
                return self._left + self._while_closing + breaker.rejected - self._known
            return self._left

    def report(
        self, breaker: CircuitBreaker, evidence: Report | None, *, alone: bool
    ) -> Report | None:
        """Return a report with the rejected calls since the last one; None without any calls."""
        rejected = self._take(breaker, alone=alone)
        return replace(evidence or NO_EVIDENCE, rejected=rejected) if rejected else evidence

    def _take(self, breaker: CircuitBreaker, *, alone: bool) -> int:
        """Return the number of unreported calls, and begin at 0.

        Calls of an outage of this worker only wait: it may become that of all.
        """
        with breaker._lock:
            if alone:
                self._left *= breaker._generation.state in _AWAY
                return 0
            taken = self.unreported(breaker)
            self._left -= taken
        return taken

    def forget(self) -> None:
        """Forget calls that were rejected by this worker only."""
        self._left = 0

    def known(self, breaker: CircuitBreaker, generation: Generation) -> SharedOutage | None:
        """Return the outage of a generation for the store, without unreported calls."""
        course, now = generation.transition.outage, breaker.config.clock()
        if course is None:
            return None
        rejected = course.rejected_by(breaker.rejected) - self.unreported(breaker)
        return SharedOutage(
            age=_since(course.began, now),
            ended=None if course.ended is None else _since(course.ended, now),
            reason=course.reason,
            failure_type=course.failure_type,
            by_hand=course.by_hand,
            who=course.who,
            counts=_counts_of(course),
            streak=course.consecutive_failures,
            probes_failed=course.probes_failed,
            last_probe=None if course.probed is None else _since(course.probed, now),
            rejected=max(0, rejected),
        )

    def adopt(self, breaker: CircuitBreaker, shared: Shared) -> None:
        """Give the store's outage to the breaker, which is in the record's generation."""
        generation, theirs = breaker._generation, shared.outage
        if theirs is None:
            return
        news = generation, theirs.rejected, theirs.probes_failed, theirs.ended is None
        if news != self._adopted:
            self._adopted = news
            outage = self.fitting(breaker, shared, generation)
            if outage is not None:
                breaker._adopt_outage(outage, generation)

    def judged(self, breaker: CircuitBreaker, generation: Generation, shared: Shared) -> None:
        """Note the counts of all workers as those of an outage that a generation has begun."""
        course, outage = generation.transition.outage, self.known(breaker, generation)
        if outage is not None and course is not None and course.began >= generation.since:
            outage = outage._replace(counts=shared.counts, streak=shared.streak)
            rejected = self.unreported(breaker)
            breaker._adopt_outage(outage_of(outage, breaker, rejected), generation)

    def fitting(
        self, breaker: CircuitBreaker, shared: Shared, generation: Generation
    ) -> Outage | None:
        """Return the store's outage, unless a later one is known to `generation`."""
        theirs, mine = shared.outage, generation.transition.outage
        if theirs is None or (theirs.ended is None and shared.state not in _AWAY):
            return None
        if theirs.ended is not None and mine is not None:
            is_later = breaker.config.clock() - mine.began < theirs.age - ALIKE
            if mine.ended is None or is_later:
                return None
        return outage_of(theirs, breaker, self.unreported(breaker))


def outage_of(shared: SharedOutage, breaker: CircuitBreaker, rejected: int = 0) -> Outage:
    """Return an outage of the store as a worker has it, with more rejected calls."""
    now, counts = time.time(), WindowCounts(*shared.counts, shared.streak)
    failure_rate, slow_call_rate = rates(breaker.config, counts, CLOSED)
    return Outage(
        began_at=datetime.fromtimestamp(now - shared.age, UTC),
        ended_at=None if shared.ended is None else datetime.fromtimestamp(now - shared.ended, UTC),
        reason=shared.reason,
        failure_type=shared.failure_type,
        by_hand=shared.by_hand,
        who=shared.who,
        calls=counts.calls,
        failure_rate=failure_rate,
        slow_call_rate=slow_call_rate,
        consecutive_failures=counts.streak,
        probes_failed=shared.probes_failed,
        last_probe_at=None
        if shared.last_probe is None
        else datetime.fromtimestamp(now - shared.last_probe, UTC),
        rejected=shared.rejected + rejected,
    )


def later(outage: SharedOutage | None, seconds: float) -> SharedOutage | None:
    """Return an outage of the store, as old as it is some seconds later."""
    return outage and outage._replace(
        age=outage.age + seconds,
        ended=None if outage.ended is None else outage.ended + seconds,
        last_probe=None if outage.last_probe is None else outage.last_probe + seconds,
    )


def _counts_of(course: Course) -> Counts:
    """Return the counts of the window that has tripped: its rates are of whole calls."""
    calls, failures, slow_calls = course.calls, course.failure_rate, course.slow_call_rate
    streak = min(course.consecutive_failures, calls)
    return Counts(
        calls,
        streak if failures is None else round(failures * calls),
        0 if slow_calls is None else round(slow_calls * calls),
    )


def _since(then: float, now: float) -> float:
    return round(max(0.0, now - then), 3)
