"""Tests of the counts of workers, and of their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi.stores.protocol import Counts, Entry, Report, Second
from breaker_asgi.testing.stores.fixtures import Base, ask, opening, report, send, sync

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store


class CountsTests(Base):
    """Counts, streaks and witnesses."""

    def test_counts_of_all_workers_add_up(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        send(one, report(calls=5, failures=2, slow_calls=1), "w")
        shared = send(other, report(calls=7, failures=1, slow_calls=3), "v")
        assert shared.counts == Counts(12, 3, 4)
        assert ask(one).counts == Counts(12, 3, 4)

    def test_counts_are_those_of_the_window_that_is_asked_for(self, store: Store) -> None:
        send(store, report(calls=1))
        self.advance(2)
        assert send(store, report(calls=2, window=60)).counts.calls == 3
        assert send(store, report("payments", calls=4, window=1)).counts.calls in {4, 6}
        assert ask(store, window=60).counts.calls == 7
        assert ask(store, window=0).counts.calls == 0
        if self.advances:
            assert [ask(store, window=seconds).counts.calls for seconds in (1, 2, 3)] == [6, 6, 7]

    def test_calls_expire_when_they_do_not_matter_any_more(self, store: Store) -> None:
        send(store, report(calls=1, window=1))
        self.advance(1.01)
        assert ask(store, window=1).counts == Counts()
        assert send(store, report(calls=2, window=1)).counts.calls in {2, 0}
        assert send(store, report(calls=4, window=60)).counts.calls in {4, 6}

    def test_longest_window_of_all_workers_counts(self, store: Store) -> None:
        send(store, report(calls=4, window=60), "w")
        for window in (0, 1):
            send(store, report(window=window), "v")
        assert ask(store).counts.calls == 6
        if self.advances:
            self.advance(30)
            send(store, report(window=60), "w")
            self.advance(59)
            send(store, report(window=1), "v")
            assert ask(store).counts.calls == 2
            self.advance(1)
            send(store, report(window=1), "v")
            assert ask(store).counts.calls == 1, "no worker has the longer window any more"

    def test_late_reports_count_at_the_time_of_the_calls(self, store: Store) -> None:
        seconds = Second(0, Counts(1)), Second(7, Counts(2, 2)), Second(60, Counts(4, 4))
        late = Report(seconds=seconds, streak=6)
        entries = Entry(name="payments", window=60, report=late), report("b", age=8)
        shared = sync(store, *entries).replies["payments"].shared
        assert shared.counts == Counts(3, 2)
        assert (shared.streak, shared.witnesses) == (6, 1)
        if self.advances:
            assert [ask(store, window=window).counts.calls for window in (7, 8)] == [1, 3]

    def test_old_failure_makes_no_witness(self, store: Store) -> None:
        assert send(store, report(failures=1, age=61)).witnesses == 0
        for age in (3, 50):
            assert send(store, report(failures=1, age=age)).witnesses == 1
        if self.advances:
            self.advance(40)
            assert ask(store).witnesses == 1, "the youngest failure counts"

    def test_failure_makes_a_witness_for_as_long_as_calls_matter(self, store: Store) -> None:
        for age, witnesses in ((600, 0), (500, 1)):
            shared = send(store, report(failures=1, age=age, window=600))
            assert shared.witnesses == witnesses
        if self.advances:
            self.advance(99)
            assert ask(store).witnesses == 1
            self.advance(1)
            assert ask(store).witnesses == 0

    def test_calls_that_do_not_matter_are_not_kept(self, store: Store) -> None:
        send(store, report(calls=4, failures=4, streak=4, unbroken=True, window=0))
        shared = ask(store, window=600)
        assert (shared.counts, shared.streak, shared.witnesses) == (Counts(), 4, 1)

    def test_counts_of_another_generation_are_dropped(self, store: Store) -> None:
        send(store, opening())
        for generation in (0, 2):
            stale = report(calls=4, failures=4, streak=4, generation=generation, tripped=True)
            shared = send(store, stale)
            assert (shared.generation, shared.counts, shared.streak) == (1, Counts(), 0)
            assert (shared.witnesses, shared.tripped) == (0, 0)
        assert send(store, report(calls=4, generation=1)).counts.calls == 4

    def test_streak_continues_across_workers_until_a_success(self, store: Store) -> None:
        def streak(worker: str, failures: int, streak: int, unbroken: bool) -> int:
            sent = report(calls=9, failures=failures, streak=streak, unbroken=unbroken)
            return send(store, sent, worker).streak

        assert streak("w", 2, 2, True) == 2
        assert streak("v", 3, 3, True) == 5
        assert streak("w", 1, 3, True) == 6
        assert streak("v", 4, 1, False) == 1
        assert streak("w", 0, 0, False) == 0

    def test_each_worker_with_a_failure_is_one_witness(self, store: Store) -> None:
        def witnesses(worker: str, failures: int) -> int:
            return send(store, report(calls=2, failures=failures), worker).witnesses

        assert witnesses("w", 0) == 0
        assert witnesses("w", 1) == 1
        assert witnesses("w", 2) == 1
        assert witnesses("v", 1) == 2
        assert witnesses("u", 0) == 2
        if self.advances:
            self.advance(59)
            assert witnesses("w", 1) == 2
            self.advance(2)
            assert witnesses("w", 0) == 1

    def test_worker_whose_breaker_is_open_for_itself_only_bears_witness(self, store: Store) -> None:
        send(store, report(calls=3, failures=3, streak=3, unbroken=True))
        silent = report(calls=0, tripped=True)
        for _ in range(2):
            shared = send(store, silent, "w")
            assert (shared.tripped, shared.witnesses, shared.streak) == (1, 1, 3)
        assert send(store, silent, "v").tripped == 2
        if self.advances:
            self.advance(59)
            assert send(store, silent, "v").tripped == 2
            self.advance(2)
            assert (ask(store).tripped, ask(store).witnesses) == (1, 1)

    def test_worker_whose_breaker_has_closed_again_is_a_witness_only(self, store: Store) -> None:
        send(store, report(calls=0, tripped=True))
        shared = send(store, report(calls=1))
        assert (shared.tripped, shared.witnesses) == (0, 1)

    def test_concurrent_reports_lose_no_count(self, stores: Callable[[], Store]) -> None:
        def exchange(store: Store, worker: int) -> None:
            for _ in range(20):
                sent = report(failures=1, streak=1, unbroken=True)
                sync(store, sent, report("b"), worker=f"{worker}")

        self.at_once(stores, 4, exchange)
        shared = ask(stores())
        assert (shared.counts, shared.streak, shared.witnesses) == (Counts(80, 80), 80, 4)
