"""What a store has to do: keep a record for each breaker, and change it by compare-and-set.

A store knows no rules: those who use it decide when a breaker opens. It may be slow, and it may
raise whatever it likes; it is called from one background thread of each process, never from a
request. Clocks of hosts differ, so nothing that crosses is a moment: only durations, measured by
the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from breaker_asgi._core.state import CLOSED, CircuitBreakerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Counts(NamedTuple):
    """Calls, and how many of them failed or were slow."""

    calls: int = 0
    failures: int = 0
    slow_calls: int = 0


NO_CALLS = Counts()


def total(several: Iterable[Counts]) -> Counts:
    """All of them together."""
    return Counts(*map(sum, zip(*several, strict=True)))


class Second(NamedTuple):
    """The calls of one second."""

    age: int
    """Whole seconds since then; 0 is the current one."""
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the fleet knows of one breaker."""

    generation: int = 0
    """Raised by every change; 0 is a breaker that nobody has changed yet."""
    state: CircuitBreakerState = CLOSED
    reason: str = "new"
    by_hand: bool = False
    """Whether a person has changed it."""
    who: str | None = None
    """Who that was, if it was said."""
    worker: str | None = None
    """The worker that changed it."""
    age: float = 0.0
    """Seconds since the change."""
    lasts: float | None = None
    """Seconds that the state lasts, from the change: the open time, or the end that was given."""
    openings: int = 0
    """Openings in a row, for the backoff."""
    seconds: tuple[Second, ...] = ()
    """The calls of this generation, the newest first; seconds without calls are left out."""
    streak: int = 0
    """Failures in a row in this generation."""
    witnesses: int = 0
    """Workers that have seen a failure or a slow call in this generation, within the last minute,
    or within as many seconds as the calls matter for, if those are more."""
    probes: int = 0
    """Leases that are out, and have not expired."""
    settled: Counts = NO_CALLS
    """Probes of this generation that have ended, refunded ones left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one worker has seen of one breaker since its last report."""

    name: str
    generation: int
    """The one that it was seen in: counts of another one are dropped."""
    seconds: tuple[Second, ...]
    """The calls. They are of one second, unless the store was out of reach for a while."""
    streak: int
    """Failures in a row, as they stand now."""
    unbroken: bool
    """Whether there was no success: then the streak goes on from the fleet's, and the failures are
    added to that; otherwise `streak` takes its place."""
    keep: int
    """Seconds for which the calls matter; 0 if they do not, and none are kept."""

    @property
    def counts(self) -> Counts:
        """All calls of the report."""
        return total(each.counts for each in self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of state that somebody wants to make."""

    name: str
    expected: int
    """The generation that it is made from."""
    state: CircuitBreakerState
    reason: str
    by_hand: bool = False
    who: str | None = None
    worker: str | None = None
    """The one that makes it: of those that want the same at the same time, one warns of it."""
    age: float = 0.0
    """Seconds since it was made here, if the store was out of reach for a while."""
    lasts: float | None = None
    openings: int = 0


class Claim(NamedTuple):
    """The answer to who wants to probe."""

    lease: str | None
    """None if there is no probe left."""
    shared: Shared


class Store(Protocol):
    """Keeps what the fleet knows. docs/stores.md tells how to write one, and how to test it."""

    @property
    def label(self) -> str:
        """How the store is called where people read it; no secret is in it."""
        ...

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        """Add up what a worker has seen; give what is known of those names, and of those asked for.

        `number` rises with each exchange of a worker. One that is repeated, because its answer was
        lost, adds nothing.
        """
        ...

    def change(self, change: Change) -> Shared:
        """Make a change, if the record's generation is the expected one; give the record as it is.

        A change raises the generation by one, and drops what the one before has counted and lent.
        """
        ...

    def claim(self, worker: str, name: str, generation: int, most: int, seconds: float) -> Claim:
        """Lend a probe for so many seconds.

        Only in that generation, and while the leases that are out and the probes that have settled
        are fewer than `most`. A refused claim changes nothing.
        """
        ...

    def settle(self, name: str, generation: int, lease: str, counts: Counts | None) -> Shared:
        """Take a lease back; with None as if it had never been lent.

        One that has expired, or is of another generation, counts for nothing.
        """
        ...

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """The names whose state was changed after a point, and the point of now.

        Since 0: the names of all breakers that are in another state than closed.
        """
        ...

    def wait(self, since: int, timeout: float) -> None:
        """Return when something was changed after that point, or after so many seconds."""
        ...

    def publish(self, worker: str, figures: str, seconds: float) -> None:
        """Keep a worker's figures for so long, in the place of those before. It is no change."""
        ...

    def published(self) -> Mapping[str, str]:
        """The figures of each worker, as far as they have not expired."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...
