"""The store in memory."""

from __future__ import annotations

import pytest

from breaker_asgi.stores import MemoryStore
from breaker_asgi.testing import FakeClock
from breaker_asgi.testing.stores import StoreContract, opening


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

    def test_a_clock_that_is_set_back_makes_nothing_younger_and_no_lease_longer(self) -> None:
        store = self.store_
        store.change(opening())
        self.clock.advance(10)
        lease = store.claim("w", "payments", 1, 1, 5).lease
        self.clock.advance(-3600)
        assert self.ask(store).age == 10
        self.clock.advance(4.9)
        assert (self.ask(store).age, self.ask(store).probes) == (14.9, 1)
        self.clock.advance(0.2)
        assert self.ask(store).probes == 0
        assert store.claim("v", "payments", 1, 1, 5).lease not in {lease, None}


def test_leases_have_the_same_names_each_time() -> None:
    def lease() -> str | None:
        return MemoryStore(clock=FakeClock()).claim("w", "payments", 0, 1, 5).lease

    assert lease() == lease() == "w:1"
