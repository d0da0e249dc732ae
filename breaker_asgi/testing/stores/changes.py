"""Tests of changes of state, and of their notification."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi.stores.protocol import Change, Counts, Shared
from breaker_asgi.testing.stores.fixtures import Base, opening, report, to, win

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.stores.protocol import Store


class ChangesTests(Base):
    """Compare and set, points, and waits."""

    def test_unchanged_breaker_has_an_empty_record(self, store: Store) -> None:
        assert store.exchange("w", 1, [], ["payments"]) == {"payments": Shared()}
        assert store.changes(0)[1] == []

    def test_change_is_visible_in_all_workers(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        changed = one.change(opening())
        assert (changed.generation, changed.state, changed.reason) == (1, OPEN, "5 failures")
        assert (changed.who, changed.lasts, changed.openings) == (None, 60, 1)
        shared = self.ask(other)
        assert (shared.generation, shared.state, shared.reason) == (1, OPEN, "5 failures")
        assert (shared.who, shared.lasts, shared.openings) == (None, 60, 1)
        assert 0 <= changed.age <= shared.age < 5

    @pytest.mark.parametrize(
        "state", [CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED, METRICS_ONLY]
    )
    def test_every_state_is_kept(self, store: Store, state: CircuitBreakerState) -> None:
        change = Change(
            name="payments", expected=0, state=state, reason="so", who="ada", worker="w", lasts=2.5
        )
        assert store.change(change).state is state
        shared = self.ask(store)
        assert (shared.state, shared.who, shared.worker) == (state, "ada", "w")
        assert (shared.lasts, shared.openings) == (2.5, 0)

    @pytest.mark.parametrize("by_hand", [False, True])
    def test_manual_changes_are_marked(self, store: Store, by_hand: bool) -> None:
        change = Change(name="payments", expected=0, state=OPEN, reason="so", by_hand=by_hand)
        assert store.change(change).by_hand is by_hand
        assert self.ask(store).by_hand is by_hand

    def test_late_change_keeps_its_age(self, store: Store) -> None:
        change = Change(name="payments", expected=0, state=OPEN, reason="so", age=90.25, lasts=100)
        assert 90.25 <= store.change(change).age < 95
        shared = self.ask(store)
        assert shared.lasts == 100
        assert 90.25 <= shared.age < 95

    def test_the_age_of_a_change_is_measured(self, store: Store) -> None:
        store.change(opening())
        before = self.ask(store).age
        self.advance(0.5)
        assert 0.499 <= self.ask(store).age - before < 5

    def test_a_change_from_another_generation_changes_nothing(self, store: Store) -> None:
        store.change(opening())
        point, _ = store.changes(0)
        for expected in (0, 2):
            answer = store.change(to(FORCED_OPEN, expected=expected))
            assert (answer.generation, answer.state, answer.reason) == (1, OPEN, "5 failures")
        assert store.changes(point) == (point, [])
        assert store.change(to(CLOSED, expected=1)).generation == 2

    def test_one_of_two_concurrent_changes_wins(self, stores: Callable[[], Store]) -> None:
        won = self.at_once(stores, 2, win)
        assert sorted(won[0] + won[1]) == list(range(30))
        assert self.ask(stores()).generation == 30

    def test_change_drops_counts_and_leases(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=3, failures=3, streak=3, unbroken=True)], [])
        lease = store.claim("w", "payments", 0, 2, 60).lease
        assert lease
        store.settle("payments", 0, lease, Counts(1))
        store.claim("w", "payments", 0, 2, 60)
        shared = store.change(opening())
        assert (shared.seconds, shared.streak, shared.witnesses) == ((), 0, 0)
        assert (shared.probes, shared.settled) == (0, Counts())

    def test_changes_since_a_point_are_named(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        first, _ = one.changes(0)
        one.change(opening("a"))
        second, names = other.changes(first)
        assert (second > first, names) == (True, ["a"])
        other.change(opening("b"))
        other.change(to(CLOSED, "a", expected=1))
        third, names = one.changes(second)
        assert (third > second, sorted(names)) == (True, ["a", "b"])
        assert one.changes(third) == (third, [])

    def test_changes_since_zero_name_all_that_are_not_closed(self, store: Store) -> None:
        for name, state in (("a", OPEN), ("b", DISABLED), ("c", CLOSED), ("d", HALF_OPEN)):
            store.change(to(state, name))
        store.exchange("w", 1, [report("e", failures=1)], [])
        store.change(to(CLOSED, "d", expected=1))
        assert sorted(store.changes(0)[1]) == ["a", "b"]

    def test_changes_since_a_future_point_name_all_that_are_not_closed(self, store: Store) -> None:
        store.change(opening("a"))
        store.change(to(CLOSED, "b"))
        store.change(to(CLOSED, "c"))
        point, _ = store.changes(0)
        later, names = store.changes(point + 1_000_000)
        assert (later, "a" in names) == (point, True), "the point is of a store that was lost"

    def test_counts_and_probes_are_no_changes(self, store: Store) -> None:
        store.change(opening())
        point, _ = store.changes(0)
        store.exchange("w", 1, [report(failures=1, generation=1)], [])
        store.claim("w", "payments", 1, 1, 60)
        assert store.changes(point) == (point, [])

    def test_wait_ends_with_a_change_of_another_worker(self, stores: Callable[[], Store]) -> None:
        waiting, other = stores(), stores()
        point, _ = waiting.changes(0)
        for expected in range(3):
            with ThreadPoolExecutor(1) as thread:
                wait = thread.submit(waiting.wait, point, 20)
                time.sleep(0.1)
                assert not wait.done()
                other.change(opening(expected=expected))
                wait.result(5)
            point, names = waiting.changes(point)
            assert names == ["payments"]

    def test_wait_does_not_block_other_operations_of_the_store(self, store: Store) -> None:
        store.change(opening())
        point, _ = store.changes(0)
        with ThreadPoolExecutor(1) as thread:
            wait = thread.submit(store.wait, point, 6)
            time.sleep(0.2)
            started = time.monotonic()
            store.exchange("w", 1, [report(generation=1)], ["other"])
            store.claim("w", "payments", 1, 1, 60)
            store.settle("payments", 1, "no lease", None)
            store.publish("w", "1", 60)
            assert store.published() == {"w": "1"}
            assert store.changes(point) == (point, [])
            store.change(to(CLOSED, expected=1))
            assert time.monotonic() - started < 4
            wait.result(30)

    def test_wait_ends_at_once_after_a_change(self, store: Store) -> None:
        point, _ = store.changes(0)
        store.wait(point, 0)
        store.change(opening())
        started = time.monotonic()
        store.wait(point, 20)
        assert time.monotonic() - started < 5

    def test_wait_ends_after_its_timeout(self, store: Store) -> None:
        store.change(opening())
        point, _ = store.changes(0)
        for seconds in (0, 0.2, 0.2):
            started = time.monotonic()
            store.wait(point, seconds)
            assert seconds * 0.9 <= time.monotonic() - started < seconds + 5
