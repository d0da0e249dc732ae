"""Two workers of one process and the store between them, stepped by the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi._fleet.roster import Roster
from breaker_asgi.stores import MemoryStore
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.monitor.conftest import allow, as_ann
from tests.monitor.test_schema import check


class CountingStore(MemoryStore):
    """A store that counts its calls, and fails on request."""

    label = "redis://10.0.0.1:6379"

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.calls: list[str] = []
        self.fails = False
        self.refuses = False

    def __getattribute__(self, name: str) -> Any:
        if name in {"publish", "published", "sync"}:
            self.calls.append(name)
            if self.fails or (self.refuses and name.startswith("publish")):
                raise OSError("no route to host")
        return super().__getattribute__(name)


class Worker:
    """A registry with a fleet whose steps the test makes."""

    def __init__(self, name: str, store: CountingStore, clock: FakeClock, quorum: int) -> None:
        config = BreakerConfig(fail_max=2, timeout_duration=60, clock=clock)
        self.registry = BreakerRegistry(config)
        self.fleet = self.registry.fleet = Fleet(store, quorum=quorum, worker=name, clock=clock)
        self.fleet._roster = Roster(self.fleet)
        self.monitor = CircuitBreakerMonitor(registry=self.registry, authorize=allow)
        self.plain = CircuitBreakerMonitor(registry=self.registry)
        self.full = CircuitBreakerMonitor(registry=self.registry, authorize_control=as_ann)

    def fail(self, name: str, times: int = 2) -> None:
        for _ in range(times):
            self.registry.get(name).acquire().failure()

    async def store(self) -> Any:
        return check("list", (await visit(self.monitor)).text)["store"]

    async def workers(self, name: str = "payments") -> Any:
        return check("detail", (await visit(self.monitor, path=f"/{name}")).text)["workers"]


class Host:
    """Two workers, and the store between them."""

    def __init__(self, quorum: int = 1) -> None:
        self.clock = FakeClock(1_000)
        self.store = CountingStore(self.clock)
        self.a, self.b = (Worker(name, self.store, self.clock, quorum) for name in "ab")
        for worker in (self.a, self.b):
            worker.registry.get("payments")

    def turn(self, seconds: float = 0.0, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(seconds)
            for worker in (self.a, self.b):
                worker.fleet.step()

    def take_calls(self, method: str) -> int:
        count = self.store.calls.count(method)
        self.store.calls.clear()
        return count
