"""The store in memory."""

from __future__ import annotations

import pytest

from breaker_asgi._core.state import HALF_OPEN
from breaker_asgi.stores import MemoryStore, Store
from breaker_asgi.testing import FakeClock
from breaker_asgi.testing.stores import StoreContract, ask, claim, send, to


class TestMemoryStore(StoreContract):
    advances = True

    @pytest.fixture(autouse=True)
    def _shared(self) -> None:
        self.clock = FakeClock(1000)
        self.store_ = MemoryStore(clock=self.clock)

    def open(self) -> MemoryStore:
        return self.store_

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def damage(self, store: Store, name: str) -> None:
        self.store_.unreadable[name] = "it is damaged"

    def test_a_clock_that_is_set_back_makes_nothing_younger_and_no_lease_longer(
        self, half_open: MemoryStore
    ) -> None:
        store = half_open
        self.clock.advance(10)
        lease = claim(store, seconds=5)
        self.clock.advance(-3600)
        assert ask(store).age == 10
        self.clock.advance(4.9)
        assert (ask(store).age, ask(store).probes) == (14.9, 1)
        self.clock.advance(0.2)
        assert ask(store).probes == 0
        assert claim(store, worker="v") not in {lease, None}


def test_leases_have_the_same_names_each_time() -> None:
    def lease() -> str | None:
        store = MemoryStore(clock=FakeClock())
        send(store, to(HALF_OPEN))
        return claim(store)

    assert lease() == lease() == "w:1"
