"""What the tests of a store have in common."""

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
    """What a worker has seen: one good call of a breaker of its first generation."""
    return Report(
        name=name,
        generation=generation,
        seconds=(Second(age, Counts(calls, failures, slow_calls)),),
        streak=streak,
        unbroken=unbroken,
        keep=keep,
    )


def opening(name: str = "payments", expected: int = 0, reason: str = "5 failures") -> Change:
    """That a breaker opens for a minute."""
    return Change(name=name, expected=expected, state=OPEN, reason=reason, lasts=60, openings=1)


def to(state: CircuitBreakerState, name: str = "payments", expected: int = 0) -> Change:
    """That a breaker goes to another state."""
    return Change(name=name, expected=expected, state=state, reason="by hand", who="ada")


def win(store: Store, worker: int) -> list[int]:
    """Make thirty changes that others make too: those that were made are one's own."""
    won = []
    for expected in range(30):
        reason = f"{worker} from {expected}"
        if store.change(opening(expected=expected, reason=reason)).reason == reason:
            won.append(expected)
    return won


class Base:
    """How a store is opened, and what the tests do with it."""

    advances = False
    """Whether `advance` moves a clock that stands still otherwise."""
    patience = 30.0
    """Seconds that 10,000 breakers may take."""

    def open(self) -> Store:
        """Open the store anew: all that are opened in one test share what they keep."""
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        """Let the time of the store pass."""
        time.sleep(seconds)

    @pytest.fixture
    def stores(self) -> Iterator[Callable[[], Store]]:
        """Opens stores, and closes them after the test."""
        opened = []

        def one_more() -> Store:
            opened.append(self.open())
            return opened[-1]

        yield one_more
        for each in opened:
            each.close()

    @pytest.fixture
    def store(self, stores: Callable[[], Store]) -> Store:
        """One that nobody has used yet."""
        return stores()

    def at_once(self, stores: Callable[[], Store], workers: int, do: Callable[..., Any]) -> Any:
        """What several threads get that do the same at the same moment, each with its store."""
        start = Barrier(workers)

        def one(worker: int) -> Any:
            store = stores()
            store.changes(0)
            start.wait(30)
            return do(store, worker)

        with ThreadPoolExecutor(workers) as threads:
            return list(threads.map(one, range(workers)))

    def ask(self, store: Store, name: str = "payments") -> Shared:
        """What is known of one breaker."""
        return store.exchange("asking", 0, [], [name])[name]

    def total(self, shared: Shared) -> Counts:
        """The calls of all seconds."""
        return total(each.counts for each in shared.seconds)
