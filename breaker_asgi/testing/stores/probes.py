"""Tests of the leases of probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.state import HALF_OPEN
from breaker_asgi.stores.protocol import Counts, Shared
from breaker_asgi.testing.stores.fixtures import Base, to

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store


class ProbesTests(Base):
    """Leases."""

    def test_probes_are_lent_up_to_the_limit(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        first, second = one.claim("w", "b", 0, 2, 60), other.claim("w", "b", 0, 2, 60)
        assert first.lease and second.lease and first.lease != second.lease
        assert (first.shared.probes, second.shared.probes) == (1, 2)
        assert one.claim("v", "b", 0, 2, 60) == (None, self.ask(one, "b"))
        assert one.claim("v", "b", 0, 3, 60).lease

    def test_concurrent_claims_get_no_more_than_the_limit(
        self, stores: Callable[[], Store]
    ) -> None:
        def claim(store: Store, worker: int) -> list[str | None]:
            return [store.claim(f"{worker}", "b", 0, 5, 60).lease for _ in range(4)]

        leases = [lease for worker in self.at_once(stores, 6, claim) for lease in worker if lease]
        assert len(leases) == len(set(leases)) == 5

    def test_a_probe_that_has_settled_is_not_lent_again(self, store: Store) -> None:
        lease = store.claim("w", "b", 0, 1, 60).lease
        assert lease
        shared = store.settle("b", 0, lease, Counts(1, 1))
        assert (shared.probes, shared.settled) == (0, Counts(1, 1))
        assert store.claim("w", "b", 0, 1, 60).lease is None
        assert (shared.seconds, shared.streak, shared.witnesses) == ((), 0, 0)

    def test_a_probe_that_is_refunded_is_lent_again(self, store: Store) -> None:
        lease = store.claim("w", "b", 0, 1, 60).lease
        assert lease
        shared = store.settle("b", 0, lease, None)
        assert (shared.probes, shared.settled) == (0, Counts())
        again = store.claim("w", "b", 0, 1, 60).lease
        assert again and again != lease, "its old holder could settle the new one"

    def test_a_lease_expires(self, store: Store) -> None:
        lost = store.claim("w", "b", 0, 1, 1).lease
        assert store.claim("v", "b", 0, 1, 60).lease is None
        self.advance(1.01)
        assert self.ask(store, "b").probes == 0
        again = store.claim("v", "b", 0, 1, 60).lease
        assert again and again != lost

    def test_a_refused_claim_prolongs_nothing(self, store: Store) -> None:
        store.claim("w", "b", 0, 1, 1)
        for _ in range(4):
            self.advance(0.26)
            before = self.ask(store, "b")
            if before.probes:
                assert store.claim("v", "b", 1, 9, 60).lease is None
        assert store.claim("v", "b", 0, 1, 60).lease

    def test_probe_settled_after_its_lease_does_not_count(self, store: Store) -> None:
        lost = store.claim("w", "b", 0, 1, 1).lease
        assert lost
        self.advance(1.01)
        shared = store.settle("b", 0, lost, Counts(1, 1))
        assert (shared.probes, shared.settled) == (0, Counts())
        assert store.claim("w", "b", 0, 1, 60).lease
        shared = store.settle("b", 0, lost, Counts(1, 1))
        assert (shared.probes, shared.settled) == (1, Counts())

    def test_probe_settled_twice_counts_once(self, store: Store) -> None:
        lease = store.claim("w", "b", 0, 3, 60).lease
        assert lease
        for counts in (Counts(1), Counts(1), None):
            assert store.settle("b", 0, lease, counts).settled == Counts(1)
        assert store.settle("b", 0, "no lease", Counts(1)).settled == Counts(1)

    def test_probes_of_another_generation_are_neither_lent_nor_settled(self, store: Store) -> None:
        lease = store.claim("w", "b", 0, 1, 60).lease
        assert lease
        store.change(to(HALF_OPEN, "b"))
        assert store.settle("b", 0, lease, Counts(1)).settled == Counts()
        assert store.settle("b", 1, lease, Counts(1)).settled == Counts()
        for generation in (0, 2):
            refused = store.claim("w", "b", generation, 9, 60)
            assert (refused.lease, refused.shared.generation) == (None, 1)
        assert store.claim("w", "b", 1, 1, 60).lease

    def test_claim_with_a_limit_of_zero_is_refused(self, store: Store) -> None:
        assert store.claim("w", "b", 0, 0, 60) == (None, Shared())
