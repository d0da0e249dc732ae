"""Tests of the leases of probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi.stores.protocol import Claim, Counts, Entry, Settled, Shared
from breaker_asgi.testing.stores.fixtures import Base, ask, claim, send, settle, sync, to

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.stores.protocol import Store


class ProbesTests(Base):
    """Leases."""

    def test_probes_are_lent_up_to_the_limit(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        send(one, to(HALF_OPEN))
        first, second = claim(one, most=2), claim(other, most=2)
        assert first and second and first != second
        assert ask(one).probes == 2
        assert claim(one, most=2, worker="v") is None
        assert ask(one).probes == 2
        assert claim(one, most=3, worker="v")

    def test_several_probes_are_lent_at_once(self, half_open: Store) -> None:
        entry = Entry(name="payments", claims=(Claim(3, 60),) * 4)
        reply = sync(half_open, entry).replies["payments"]
        assert (len(set(reply.leases)), reply.shared.probes) == (3, 3)
        settled = tuple(Settled(lease, 1, Counts(1)) for lease in reply.leases)
        shared = send(half_open, Entry(name="payments", settled=settled))
        assert (shared.probes, shared.settled) == (0, Counts(3))

    @pytest.mark.parametrize("state", [CLOSED, OPEN, FORCED_OPEN, DISABLED, METRICS_ONLY])
    def test_a_probe_is_lent_in_half_open_only(
        self, store: Store, state: CircuitBreakerState
    ) -> None:
        assert claim(store) is None
        send(store, to(state))
        assert claim(store) is None
        assert ask(store).probes == 0

    def test_concurrent_claims_get_no_more_than_the_limit(
        self, stores: Callable[[], Store], half_open: Store
    ) -> None:
        def claims(store: Store, worker: int) -> list[str | None]:
            return [claim(store, most=5, worker=f"{worker}") for _ in range(4)]

        leases = [lease for worker in self.at_once(stores, 6, claims) for lease in worker if lease]
        assert len(leases) == len(set(leases)) == ask(half_open).probes == 5

    def test_a_probe_that_has_settled_is_not_lent_again(self, half_open: Store) -> None:
        lease = claim(half_open)
        assert lease
        shared = settle(half_open, lease, Counts(1, 1))
        assert (shared.probes, shared.settled) == (0, Counts(1, 1))
        assert claim(half_open) is None
        assert (shared.counts, shared.streak, shared.witnesses) == (Counts(), 0, 0)

    def test_a_probe_that_is_refunded_is_lent_again(self, half_open: Store) -> None:
        lease = claim(half_open)
        assert lease
        shared = settle(half_open, lease, None)
        assert (shared.probes, shared.settled) == (0, Counts())
        again = claim(half_open)
        assert again and again != lease, "its old holder could settle the new one"

    def test_a_lease_expires(self, half_open: Store) -> None:
        lost = claim(half_open, seconds=1)
        assert claim(half_open, worker="v") is None
        self.advance(1.01)
        assert ask(half_open).probes == 0
        again = claim(half_open, worker="v")
        assert again and again != lost

    def test_a_refused_claim_prolongs_nothing(self, half_open: Store) -> None:
        claim(half_open, seconds=1)
        for _ in range(4):
            self.advance(0.26)
            if ask(half_open).probes:
                assert claim(half_open, worker="v") is None
        assert claim(half_open, worker="v")

    def test_probe_settled_after_its_lease_does_not_count(self, half_open: Store) -> None:
        lost = claim(half_open, seconds=1)
        assert lost
        self.advance(1.01)
        shared = settle(half_open, lost, Counts(1, 1))
        assert (shared.probes, shared.settled) == (0, Counts())
        assert claim(half_open)
        shared = settle(half_open, lost, Counts(1, 1))
        assert (shared.probes, shared.settled) == (1, Counts())

    def test_probe_settled_twice_counts_once(self, half_open: Store) -> None:
        lease = claim(half_open, most=3)
        assert lease
        for counts in (Counts(1), Counts(1), None):
            assert settle(half_open, lease, counts).settled == Counts(1)
        assert settle(half_open, "no lease", Counts(1)).settled == Counts(1)

    def test_probe_of_another_generation_does_not_settle(self, half_open: Store) -> None:
        lease = claim(half_open)
        assert lease
        send(half_open, to(HALF_OPEN, generation=1))
        for generation in (1, 2, 0):
            shared = settle(half_open, lease, Counts(1), generation=generation)
            assert shared.settled == Counts()
        assert claim(half_open)

    def test_claim_with_a_limit_of_zero_is_refused(self, half_open: Store) -> None:
        assert claim(half_open, most=0) is None
        assert ask(half_open).probes == 0

    def test_claim_of_an_unchanged_breaker_leaves_no_record(self, store: Store) -> None:
        assert claim(store) is None
        assert ask(store) == Shared()
