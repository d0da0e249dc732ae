"""Tests of the life of a store, and of odd names and large numbers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, METRICS_ONLY, OPEN
from breaker_asgi.stores.protocol import Change, Counts
from breaker_asgi.testing.stores.fixtures import ODD_NAMES, Base, opening, report, to

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store


class LifecycleTests(Base):
    """Names of breakers, and stores that are closed and opened again."""

    @pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
    def test_a_breaker_may_have_any_name(self, store: Store, name: str) -> None:
        sent = report(name, calls=3, failures=1)
        assert self.total(store.exchange(name, 1, [sent], [])[name]).calls == 3
        change = Change(name=name, expected=0, state=OPEN, reason=name, who=name, worker=name)
        changed = store.change(change)
        assert (changed.reason, changed.who, changed.worker) == (name, name, name)
        assert store.changes(0)[1] == [name]
        lease = store.claim(name, name, 1, 1, 60).lease
        assert lease
        assert store.settle(name, 1, lease, Counts(1)).settled == Counts(1)

    def test_odd_names_are_not_mixed_up(self, store: Store) -> None:
        for name in ODD_NAMES:
            store.change(to(OPEN, name))
        assert sorted(store.changes(0)[1]) == sorted(ODD_NAMES)
        records = store.exchange("w", 1, [], ODD_NAMES)
        assert {name: shared.generation for name, shared in records.items()} == dict.fromkeys(
            ODD_NAMES, 1
        )

    def test_there_may_be_ten_thousand_breakers(self, store: Store) -> None:
        names = [f"GET /things/{number}" for number in range(10_000)]
        started = time.monotonic()
        records = store.exchange("w", 1, [report(name) for name in names], [])
        assert len(records) == 10_000
        assert self.total(records[names[-1]]).calls == 1
        for name in names[:100]:
            store.change(opening(name))
        assert sorted(store.changes(0)[1]) == sorted(names[:100])
        records = store.exchange("v", 1, [], names)
        assert sum(shared.generation for shared in records.values()) == 100
        assert time.monotonic() - started < self.patience

    def test_large_counts_are_exact(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=10**12)], [])
        shared = store.exchange("w", 2, [report(calls=1, failures=1)], [])["payments"]
        assert self.total(shared) == Counts(10**12 + 1, 1)

    def test_store_has_a_label(self, store: Store) -> None:
        assert isinstance(store.label, str)
        assert store.label

    def test_data_outlives_the_processes(self, stores: Callable[[], Store]) -> None:
        one = stores()
        one.change(opening())
        one.exchange("w", 1, [report(calls=4, generation=1)], [])
        one.close()
        one.close()
        shared = self.ask(stores())
        assert (shared.generation, shared.state, self.total(shared).calls) == (1, OPEN, 4)

    def test_unused_breakers_in_manual_states_are_kept(self, store: Store) -> None:
        days = 12 if self.advances else 0  # a store whose clock can't be moved has its own tests
        by_hand = [FORCED_OPEN, DISABLED, METRICS_ONLY]
        for state in by_hand:
            store.change(to(state, state.value))
        store.change(opening())
        self.advance(min(days, 1) * 86_400)
        assert self.ask(store).state is OPEN
        for number in range(days):
            self.advance(86_400)
            store.exchange("w", number, [report("used")], [])
        assert {state: self.ask(store, state.value).state for state in by_hand} == {
            state: state for state in by_hand
        }
        assert {state.value for state in by_hand} <= set(store.changes(0)[1])

    def test_closed_store_opens_again_when_used(self, store: Store) -> None:
        store.change(opening())
        uses: list[Callable[[], object]] = [
            lambda: self.ask(store),
            lambda: store.changes(0),
            lambda: store.wait(0, 0.1),
            lambda: store.publish("w", "1", 60),
            store.published,
            lambda: store.claim("w", "payments", 1, 1, 60),
            lambda: store.settle("payments", 1, "no lease", None),
            lambda: store.change(to(CLOSED, expected=1)),
        ]
        for use in uses:
            store.close()
            use()
        assert (self.ask(store).generation, store.published()) == (2, {"w": "1"})

    def test_store_agrees_with_the_memory_store(self, stores: Callable[[], Store]) -> None:
        from breaker_asgi.testing.model import run_against  # noqa: PLC0415 (hypothesis)

        run_against(stores(), self.advance if self.advances else None)
