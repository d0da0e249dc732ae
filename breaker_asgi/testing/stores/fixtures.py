"""Fixtures and helpers of the tests of a store."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi._core.state import OPEN
from breaker_asgi.stores.protocol import Change, Counts, Report, Second, Shared, total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.stores.protocol import Store

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


def report(
    name: str = "payments",
    calls: int = 1,
    failures: int = 0,
    *,
    generation: int = 0,
    slow_calls: int = 0,
    streak: int = 0,
    unbroken: bool = False,
    keep: int = 60,
    age: int = 0,
) -> Report:
    """Return the report of a worker: by default one successful call in the first generation."""
    return Report(
        name=name,
        generation=generation,
        seconds=(Second(age, Counts(calls, failures, slow_calls)),),
        streak=streak,
        unbroken=unbroken,
        keep=keep,
    )


def opening(name: str = "payments", expected: int = 0, reason: str = "5 failures") -> Change:
    """Return a change that opens a breaker for a minute."""
    return Change(name=name, expected=expected, state=OPEN, reason=reason, lasts=60, openings=1)


def to(state: CircuitBreakerState, name: str = "payments", expected: int = 0) -> Change:
    """Return a change to another state."""
    return Change(name=name, expected=expected, state=state, reason="by hand", who="ada")


def win(store: Store, worker: int) -> list[int]:
    """Compete for thirty changes, and return the generations that this worker changed."""
    won = []
    for expected in range(30):
        reason = f"{worker} from {expected}"
        if store.change(opening(expected=expected, reason=reason)).reason == reason:
            won.append(expected)
    return won


class Base:
    """The fixtures of a store, and the operations that the tests share."""

    advances = False
    """True if `advance` moves a clock that stands still otherwise."""
    patience = 30.0
    """Seconds that 10,000 breakers may take."""

    def open(self) -> Store:
        """Open the store once more: all stores opened in one test share their data."""
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        """Let the time of the store pass."""
        time.sleep(seconds)

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

    def at_once(self, stores: Callable[[], Store], workers: int, do: Callable[..., Any]) -> Any:
        """Run `do` in several threads at the same moment, each with its store."""
        start = Barrier(workers)

        def one(worker: int) -> Any:
            store = stores()
            store.changes(0)
            start.wait(30)
            return do(store, worker)

        with ThreadPoolExecutor(workers) as threads:
            return list(threads.map(one, range(workers)))

    def ask(self, store: Store, name: str = "payments") -> Shared:
        """Return the record of one breaker."""
        return store.exchange("asking", 0, [], [name])[name]

    def total(self, shared: Shared) -> Counts:
        """Return the calls of all seconds."""
        return total(second.counts for second in shared.seconds)
