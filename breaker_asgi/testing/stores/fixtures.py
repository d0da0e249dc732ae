"""Fixtures and helpers of the tests of a store."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi._core.state import HALF_OPEN, OPEN
from breaker_asgi.stores.protocol import (
    Change,
    Claim,
    Counts,
    Entry,
    Report,
    Second,
    Settled,
    is_board,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.stores.protocol import Answer, Shared, Store

ODD_NAMES = [
    "",
    " ",
    "GET /orders/{id}/../lines",
    "{",
    "}{",
    "{}",
    "a\nb\r\n",
    "\0",
    "a\0b",
    "💥 Zahlungen",
    "\udc80",
    "'; drop table breakers; --",
    '\\"%s*?[]',
    "x" * 10_000,
]
_NUMBERS = count(1)


def report(
    name: str = "payments",
    calls: int = 1,
    failures: int = 0,
    *,
    generation: int = 0,
    slow_calls: int = 0,
    streak: int = 0,
    unbroken: bool = False,
    tripped: bool = False,
    rejected: int = 0,
    window: int = 60,
    age: int = 0,
) -> Entry:
    """Return the report of a worker: by default one successful call in the first generation."""
    seconds = (Second(age, Counts(calls, failures, slow_calls)),) if calls else ()
    sent = Report(
        seconds=seconds, streak=streak, unbroken=unbroken, tripped=tripped, rejected=rejected
    )
    return Entry(name=name, generation=generation, window=window, report=sent)


def opening(
    name: str = "payments",
    generation: int = 0,
    reason: str = "5 failures",
    *,
    identity: str = "w:1",
) -> Entry:
    """Return a change that opens a breaker for a minute."""
    change = Change(id=identity, state=OPEN, reason=reason, lasts=60, openings=1)
    return Entry(name=name, generation=generation, window=60, change=change)


def to(
    state: CircuitBreakerState,
    name: str = "payments",
    generation: int = 0,
    *,
    identity: str = "w:2",
) -> Entry:
    """Return a change to another state."""
    change = Change(id=identity, state=state, reason="by hand", who="ada")
    return Entry(name=name, generation=generation, window=60, change=change)


def sync(
    store: Store,
    *entries: Entry,
    worker: str = "w",
    number: int | None = None,
    cursor: int = 0,
) -> Answer:
    """Send a batch of entries. Without a number it is a new one."""
    return store.sync(worker, next(_NUMBERS) if number is None else number, cursor, entries)


def send(store: Store, entry: Entry, worker: str = "w", number: int | None = None) -> Shared:
    """Send one entry, and return the record after it."""
    return sync(store, entry, worker=worker, number=number).replies[entry.name].shared


def ask(store: Store, name: str = "payments", window: int = 60) -> Shared:
    """Return the record of one breaker."""
    return send(store, Entry(name=name, window=window), worker="asking", number=0)


def changes(store: Store, cursor: int = 0) -> tuple[int, list[str]]:
    """Return the point of the last change, and the names of breakers that have changed."""
    answer = sync(store, worker="asking", number=0, cursor=cursor)
    return answer.cursor, [*answer.changed]


def claim(
    store: Store,
    name: str = "payments",
    most: int = 1,
    seconds: float = 60,
    *,
    worker: str = "w",
) -> str | None:
    """Request a lease; None if there is none left."""
    entry = Entry(name=name, claims=(Claim(most, seconds),))
    leases = sync(store, entry, worker=worker).replies[name].leases
    return leases[0] if leases else None


def settle(
    store: Store,
    lease: str,
    counts: Counts | None,
    name: str = "payments",
    generation: int = 1,
) -> Shared:
    """Give a lease back, and return the record."""
    return send(store, Entry(name=name, settled=(Settled(lease, generation, counts),)))


def win(store: Store, worker: int) -> list[int]:
    """Compete for thirty changes, and return the generations that this worker changed."""
    won = []
    for generation in range(30):
        identity = f"{worker}:{generation}"
        if send(store, opening(generation=generation, identity=identity)).id == identity:
            won.append(generation)
    return won


class Base:
    """The fixtures of a store, and the hooks that a store's own tests may override."""

    advances = False
    """True if `advance` moves a clock that stands still otherwise."""
    keeps_outages = True
    """False if the store returns no outages: then the tests of them are skipped."""

    def open(self) -> Store:
        """Open the store once more: all stores opened in one test share their data."""
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        """Let the time of the store pass."""
        time.sleep(seconds)

    def damage(self, store: Store, name: str) -> None:
        """Make the record of a breaker unreadable."""
        pytest.skip(f"no damage() is defined that damages {name!r} in {store.label}")

    @pytest.fixture
    def stores(self) -> Iterator[Callable[[], Store]]:
        """Open stores, and close them after the test."""
        opened = []

        def one_more() -> Store:
            opened.append(self.open())
            return opened[-1]

        yield one_more
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, stores: Callable[[], Store]) -> Store:
        """Return an unused store."""
        return stores()

    @pytest.fixture
    def half_open(self, store: Store) -> Store:
        """Return a store in which the breaker "payments" is half-open, of generation 1."""
        send(store, to(HALF_OPEN))
        return store

    def at_once(self, stores: Callable[[], Store], workers: int, do: Callable[..., Any]) -> Any:
        """Run `do` in several threads at the same moment, each with its store."""
        start = Barrier(workers)

        def one(worker: int) -> Any:
            store = stores()
            changes(store)
            start.wait(30)
            return do(store, worker)

        with ThreadPoolExecutor(workers) as threads:
            return list(threads.map(one, range(workers)))


def shows_figures(store: Store) -> bool:
    """Return True if the store is a board, too."""
    return is_board(store)
