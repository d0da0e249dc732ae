"""A fleet whose threads are stepped by hand, on one clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker, CircuitBreakerError, Permit
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import Entry, Shared, Store
from breaker_asgi.testing import FakeClock

OPEN_TIME = 10
LEASE = 4


class Line:
    """A connection to the store that may be out, and that counts the operations."""

    label = "line"

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.is_out = False
        self.loses_answers = False
        self.on_use: Callable[[], None] = lambda: None
        self.operations: Counter[str] = Counter()

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def ask(*args: Any) -> Any:
            self.operations[operation] += 1
            if operation == "sync":
                self._count_parts(args[-1])
            self.on_use()
            if self.is_out:
                raise OSError("no route")
            answer = getattr(self.store, operation)(*args)
            if self.loses_answers:
                raise OSError("no answer")
            return answer

        return ask

    def _count_parts(self, batch: Sequence[Entry]) -> None:
        self.operations["batches"] += bool(batch)
        for entry in batch:
            for part in ("settled", "report", "change", "claims"):
                self.operations[part] += bool(getattr(entry, part))


class Worker:
    """A process, whose thread is stepped by hand."""

    def __init__(self, store: MemoryStore, clock: FakeClock, quorum: float, settings: Any) -> None:
        self.line = Line(store)
        self.held: list[Permit] = []
        self.registry = BreakerRegistry(
            BreakerConfig(
                timeout_duration=OPEN_TIME, half_open_timeout=LEASE, clock=clock, **settings
            )
        )
        self.fleet = Fleet(cast("Any", self.line), quorum=quorum, patience=0, clock=clock)
        self.registry.fleet = self.fleet
        self.step = self.fleet.step
        self.step()

    @property
    def breaker(self) -> CircuitBreaker:
        return self.registry.get("payments")

    @property
    def state(self) -> str:
        return self.breaker.state

    def fails(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.acquire().failure()

    def succeeds(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.acquire().success()

    def probe(self) -> Permit | None:
        """Call, and wait for a probe: the thread steps, and may get one.

        The worker holds the permit, as a running call does: a dropped one is given back.
        """
        for _ in range(2):
            try:
                self.held.append(self.breaker.acquire())
                return self.held[-1]
            except CircuitBreakerError:
                self.step()
        return None


class Place:
    """One store, one clock, and the workers."""

    def __init__(self) -> None:
        self.clock = FakeClock(1000)
        self.store = MemoryStore(clock=self.clock)
        self.workers: list[Worker] = []

    def worker(self, quorum: float = 1, **settings: Any) -> Worker:
        worker = Worker(self.store, self.clock, quorum, settings)
        worker.breaker.snapshot()
        worker.step()
        self.workers.append(worker)
        return worker

    def two(self, quorum: float = 1, **settings: Any) -> tuple[Worker, Worker]:
        return self.worker(quorum, **settings), self.worker(quorum, **settings)

    def later(self, seconds: float = 1.1) -> None:
        self.clock.advance(seconds)
        for worker in self.workers * 2:
            worker.step()

    def record(self, name: str = "payments") -> Shared:
        return record_in(self.store, name)


def record_in(store: Store, name: str = "payments", window: int = 3600) -> Shared:
    """Return the record of a breaker, with the calls of as many seconds."""
    return store.sync("onlooker", 0, 0, [Entry(name=name, window=window)]).replies[name].shared
