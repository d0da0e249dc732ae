"""The protocol of a store: it keeps a record for each breaker, and changes it by compare-and-set.

A store has no rules: its workers decide when a breaker opens. It may be slow, and it may raise any
exception; it is called from one background thread of each process, never from a request. Clocks of
hosts differ, so no moment crosses between them: only durations, measured by the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from breaker_asgi._core.state import CLOSED, CircuitBreakerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Counts(NamedTuple):
    """Numbers of calls, of failures, and of slow calls."""

    calls: int = 0
    failures: int = 0
    slow_calls: int = 0


NO_CALLS = Counts()


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of all counts."""
    return Counts(*map(sum, zip(*counts, strict=True)))


class Second(NamedTuple):
    """The calls of one second."""

    age: int
    """Whole seconds since then; 0 is the current one."""
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The fleet's record of one breaker."""

    generation: int = 0
    """Raised by every change; 0 is a breaker without a change."""
    state: CircuitBreakerState = CLOSED
    reason: str = "new"
    by_hand: bool = False
    """True if an operator has changed it."""
    who: str | None = None
    """The operator, if a name was given."""
    worker: str | None = None
    """The worker that changed it."""
    age: float = 0.0
    """Seconds since the change."""
    lasts: float | None = None
    """Seconds that the state lasts, from the change: the open time, or a given duration."""
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
    """The calls of one breaker in one worker since its last report."""

    name: str
    generation: int
    """The generation of the calls: counts of another one are dropped."""
    seconds: tuple[Second, ...]
    """The calls. They are of one second, unless the store was out of reach for a while."""
    streak: int
    """Failures in a row, as they stand now."""
    unbroken: bool
    """True if there was no success: then the failures are added to the fleet's streak; otherwise
    `streak` takes its place."""
    keep: int
    """Seconds for which the calls matter; 0 if they do not, and none are kept."""

    @property
    def counts(self) -> Counts:
        """The sum of all calls of the report."""
        return total(second.counts for second in self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of state that a worker proposes."""

    name: str
    expected: int
    """The generation before the change."""
    state: CircuitBreakerState
    reason: str
    by_hand: bool = False
    who: str | None = None
    worker: str | None = None
    """The worker that makes it: of several that propose the same at once, one warns of it."""
    age: float = 0.0
    """Seconds since it was made in the worker, if the store was out of reach for a while."""
    lasts: float | None = None
    openings: int = 0


class Claim(NamedTuple):
    """The reply to a request for a probe."""

    lease: str | None
    """None if there is no probe left."""
    shared: Shared


class Store(Protocol):
    """Keeps the fleet's records. docs/stores.md describes how to write one, and how to test it."""

    @property
    def label(self) -> str:
        """The store's name in logs and monitor, without a secret."""
        ...

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        """Add up the counts of a worker; return the records of those names, and of `ask`.

        `number` rises with each exchange of a worker. A repeated exchange, whose reply was lost,
        adds nothing.
        """
        ...

    def change(self, change: Change) -> Shared:
        """Make a change, if the record's generation is the expected one; return the record.

        A change raises the generation by one, and drops the counts and leases of the one before.
        """
        ...

    def claim(self, worker: str, name: str, generation: int, most: int, seconds: float) -> Claim:
        """Lend a probe for `seconds`.

        Only in that generation, and while there are fewer than `most` open leases and settled
        probes. A refused claim changes nothing.
        """
        ...

    def settle(self, name: str, generation: int, lease: str, counts: Counts | None) -> Shared:
        """Take a lease back; with None for `counts` it is refunded.

        A lease that has expired, or is of another generation, does not count.
        """
        ...

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """Return the present point, and the names of breakers that changed after `since`.

        With 0 for `since`, the names of all breakers in another state than closed.
        """
        ...

    def wait(self, since: int, timeout: float) -> None:
        """Return when a breaker has changed after that point, or after `timeout` seconds."""
        ...

    def publish(self, worker: str, figures: str, seconds: float) -> None:
        """Keep a worker's figures for `seconds`, in the place of those before. It is no change."""
        ...

    def published(self) -> Mapping[str, str]:
        """Return the figures of each worker that have not expired."""
        ...

    def close(self) -> None:
        """Release all resources."""
        ...
