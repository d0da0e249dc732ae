"""The protocol of a store: it keeps a record for each breaker, and changes it by compare-and-set.

A store has no rules: its workers decide when a breaker opens. It may be slow, and it may raise any
exception; it is called from background threads of each process, never from a request. Clocks of
hosts differ, so no moment crosses between them: only durations, measured by the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard

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


class Command(NamedTuple):
    """An operator's last change of a breaker; later changes that nobody made by hand keep it."""

    id: str
    """The `id` of the operator's change."""
    age: float
    """Seconds since then."""


class SharedOutage(NamedTuple):
    """A time in which a breaker does not admit calls as usual, for all workers.

    It begins when the breaker opens, or is forced open, and goes on through half-open and failed
    probes. It ends when the breaker closes or begins to close, is disabled or set to metrics only;
    an opening while it is closing takes the end back.
    """

    age: float
    """Seconds since it began."""
    ended: float | None = None
    """Seconds since its end; None while it goes on."""
    reason: str = ""
    """The reason of the change that began it."""
    failure_type: str | None = None
    """The type of most failures that opened the breaker, in the worker that did so."""
    by_hand: bool = False
    """True if an operator has begun it."""
    who: str | None = None
    counts: Counts = NO_CALLS
    """The calls of the window that opened the breaker."""
    streak: int = 0
    """Failures in a row that opened it."""
    probes_failed: int = 0
    """Openings after the first one, those by hand left out."""
    last_probe: float | None = None
    """Seconds since probing last began or failed."""
    rejected: int = 0
    """Calls rejected in it, in all workers, as far as they are reported."""


def unidentified(generation: int) -> str:
    """Return the identity of a change that a worker of the first version has made or rewritten."""
    return f"generation {generation}" if generation else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The fleet's record of one breaker. Its size does not depend on the number of workers."""

    generation: int = 0
    """Raised by every change; 0 is a breaker without a change."""
    id: str = ""
    """The identity of the change that began this generation, in whichever store it is kept."""
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
    command: Command | None = None
    counts: Counts = NO_CALLS
    """The calls of this generation, of as many seconds as the entry has asked for."""
    streak: int = 0
    """Failures in a row in this generation."""
    witnesses: int = 0
    """Workers that have seen a failure or a slow call in this generation, within the last minute,
    or within as many seconds as the calls matter for, if those are more."""
    tripped: int = 0
    """Workers in which the breaker is open for themselves only, by a report of the same time."""
    probes: int = 0
    """Leases that are out, and have not expired."""
    settled: Counts = NO_CALLS
    """Probes of this generation that have ended, refunded ones left out."""
    outage: SharedOutage | None = None
    """The outage that goes on, or the last one; None if the store keeps none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The calls of one breaker in one worker since its last report."""

    seconds: tuple[Second, ...] = ()
    """The calls. They are of one second, unless the store was out of reach for a while."""
    streak: int = 0
    """Failures in a row, as they stand now."""
    unbroken: bool = False
    """True if there was no success: then the failures are added to the fleet's streak; otherwise
    `streak` takes its place."""
    tripped: bool = False
    """True if the breaker is open in this worker only: it still bears witness, without calls."""
    rejected: int = 0
    """Calls rejected in the outage since the last report."""

    @property
    def counts(self) -> Counts:
        """The sum of all calls of the report."""
        return total((NO_CALLS, *(second.counts for second in self.seconds)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of state that a worker proposes."""

    id: str
    """The identity of the change. One that was lost is proposed again with the same."""
    state: CircuitBreakerState
    reason: str
    by_hand: bool = False
    who: str | None = None
    worker: str | None = None
    """The worker that made it."""
    age: float = 0.0
    """Seconds since it was made in the worker, if the store was out of reach for a while."""
    lasts: float | None = None
    openings: int = 0
    command: Command | None = None
    """The last command that the worker knows of; this change, if an operator makes it."""
    outage: SharedOutage | None = None
    """The outage that the change belongs to, as the worker knows it: for a store that has none.
    Without it the change itself begins one, if it opens the breaker."""


class Settled(NamedTuple):
    """A probe that is over."""

    lease: str
    generation: int
    counts: Counts | None
    """None if it was ignored, and is refunded."""


class Claim(NamedTuple):
    """A request for a probe's lease."""

    most: int
    """The most leases that are out and probes that have settled, in one half-open generation."""
    seconds: float
    """The time of the lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A worker's say on one breaker, and its questions: all of it, or any part.

    A store goes from one to the next in this order: `settled`, `report`, `change`, `claims`.
    """

    name: str
    generation: int = 0
    """The generation of the report, and the one that the change expects. Of another generation a
    report is dropped, and a change is not made."""
    window: int = 0
    """Seconds for which calls matter, and of which the answer has the counts; 0 if none do, and
    none are kept."""
    settled: tuple[Settled, ...] = ()
    """Probes that are over. One whose lease has expired, or is of another generation, does not
    count."""
    report: Report | None = None
    change: Change | None = None
    """A change to make. It drops the counts and leases of the generation before."""
    claims: tuple[Claim, ...] = ()
    """Leases to lend in the generation after the change, if its state is half-open."""


class Reply(NamedTuple):
    """The answer to an entry."""

    shared: Shared
    """The record after all that the entry had asked for."""
    leases: tuple[str, ...] = ()
    """The leases that were lent: as many as claims, or fewer."""


class Answer(NamedTuple):
    """The answer to a batch."""

    cursor: int
    """The point up to which changes are contained in this answer, and in the ones before."""
    changed: Sequence[str]
    """Names of other breakers than those of the batch that have changed after the cursor that was
    given. With 0 for it, or one that the store has lost, those of all that are not closed."""
    replies: Mapping[str, Reply]
    """The reply to each entry whose record can be read."""
    unreadable: Mapping[str, str]
    """Reasons why records can't be read: a newer version has written them, say."""
    workers: int
    """The workers that have used the store within the last half minute."""


class Store(Protocol):
    """Keeps the fleet's records. docs/stores.md describes how to write one, and how to test it."""

    @property
    def label(self) -> str:
        """The store's name in logs and monitor, without a secret."""
        ...

    def sync(self, worker: str, number: int, cursor: int, batch: Sequence[Entry]) -> Answer:
        """Apply a batch of entries, each of another breaker, in one round trip.

        `number` rises with each batch of a worker that has reports. Reports of a repeated one,
        whose answer was lost, add nothing.
        """
        ...

    def wait(self, cursor: int, timeout: float) -> int:
        """Wait for a change after that point, for `timeout` seconds. Return the latest point."""
        ...

    def close(self) -> None:
        """Release all resources."""
        ...


class Board(Protocol):
    """Shows the figures of all workers to each of them: for display, no decision uses them."""

    def publish(self, worker: str, figures: str, seconds: float) -> None:
        """Keep a worker's figures for `seconds`, in the place of those before."""
        ...

    def published(self) -> Mapping[str, str]:
        """Return the figures of each worker that have not expired."""
        ...


def is_board(store: object) -> TypeGuard[Board]:
    """Return True if a store is a board, too; one that wraps another may find its methods late."""
    return all(callable(getattr(store, name, None)) for name in ("publish", "published"))
