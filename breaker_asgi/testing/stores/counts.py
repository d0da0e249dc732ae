"""Tests of the counts of workers, and of their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi.stores.protocol import Counts, Report, Second
from breaker_asgi.testing.stores.fixtures import Base, opening, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store


class CountsTests(Base):
    """Counts, streaks and witnesses."""

    def test_counts_of_all_workers_add_up(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        one.exchange("w", 1, [report(calls=5, failures=2, slow_calls=1)], [])
        records = other.exchange("v", 1, [report(calls=7, failures=1, slow_calls=3)], [])
        assert self.total(records["payments"]) == Counts(12, 3, 4)
        assert self.total(self.ask(one)) == Counts(12, 3, 4)

    def test_counts_are_kept_by_second_the_newest_first(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=1)], [])
        self.advance(2)
        shared = store.exchange("w", 2, [report(calls=2), report("other")], [])["payments"]
        assert [second.counts.calls for second in shared.seconds] == [2, 1]
        ages = [second.age for second in shared.seconds]
        if self.advances:
            assert ages == [0, 2]
        assert ages == sorted(ages)
        self.advance(1)
        assert [s.age for s in self.ask(store).seconds] > ages

    def test_calls_expire_when_they_do_not_matter_any_more(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=1, keep=1)], [])
        self.advance(1.01)
        assert self.ask(store).seconds == ()
        shared = store.exchange("w", 2, [report(calls=2, keep=1)], [])["payments"]
        assert [s.counts.calls for s in shared.seconds] in ([2], [])
        shared = store.exchange("w", 3, [report(calls=4, keep=60)], [])["payments"]
        assert self.total(shared).calls in {4, 6}

    def test_longest_window_of_all_workers_counts(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=4, keep=60)], [])
        for number, keep in ((1, 0), (2, 1)):
            store.exchange("v", number, [report(keep=keep)], [])
        assert self.total(self.ask(store)).calls == 6
        if self.advances:
            self.advance(30)
            store.exchange("w", 2, [report(keep=60)], [])
            self.advance(59)
            shared = store.exchange("v", 3, [report(keep=1)], [])["payments"]
            assert self.total(shared).calls == 2
            self.advance(1)
            shared = store.exchange("v", 4, [report(keep=1)], [])["payments"]
            assert self.total(shared).calls == 1, "no worker has the longer window any more"

    def test_late_reports_count_at_the_time_of_the_calls(self, store: Store) -> None:
        late = Report(
            name="payments",
            generation=0,
            seconds=(Second(0, Counts(1)), Second(7, Counts(2, 2)), Second(60, Counts(4, 4))),
            streak=6,
            unbroken=False,
            keep=60,
        )
        shared = store.exchange("w", 1, [late, report("b", age=8)], [])["payments"]
        assert shared.seconds == (Second(0, Counts(1)), Second(7, Counts(2, 2)))
        assert (shared.streak, shared.witnesses) == (6, 1)

    def test_old_failure_makes_no_witness(self, store: Store) -> None:
        shared = store.exchange("w", 1, [report(failures=1, age=61)], [])["payments"]
        assert shared.witnesses == 0
        for number, age in ((2, 3), (3, 50)):
            shared = store.exchange("w", number, [report(failures=1, age=age)], [])["payments"]
        assert shared.witnesses == 1
        if self.advances:
            self.advance(40)
            assert self.ask(store).witnesses == 1, "the youngest failure counts"

    def test_failure_makes_a_witness_for_as_long_as_calls_matter(self, store: Store) -> None:
        for number, (age, witnesses) in enumerate(((600, 0), (500, 1)), 1):
            records = store.exchange("w", number, [report(failures=1, age=age, keep=600)], [])
            assert records["payments"].witnesses == witnesses
        if self.advances:
            self.advance(99)
            assert self.ask(store).witnesses == 1
            self.advance(1)
            assert self.ask(store).witnesses == 0

    def test_calls_that_do_not_matter_are_not_kept(self, store: Store) -> None:
        reports = [report(calls=4, failures=4, streak=4, unbroken=True, keep=0)]
        shared = store.exchange("w", 1, reports, [])["payments"]
        assert (shared.seconds, shared.streak, shared.witnesses) == ((), 4, 1)

    def test_counts_of_another_generation_are_dropped(self, store: Store) -> None:
        store.change(opening())
        for number, generation in ((1, 0), (2, 2)):
            stale = report(calls=4, failures=4, streak=4, unbroken=True, generation=generation)
            shared = store.exchange("w", number, [stale], [])["payments"]
            assert (shared.generation, shared.seconds) == (1, ())
            assert (shared.streak, shared.witnesses) == (0, 0)
        shared = store.exchange("w", 3, [report(calls=4, generation=1)], [])["payments"]
        assert self.total(shared).calls == 4

    def test_streak_continues_across_workers_until_a_success(self, store: Store) -> None:
        def streak(worker: str, number: int, failures: int, streak: int, unbroken: bool) -> int:
            sent = report(calls=9, failures=failures, streak=streak, unbroken=unbroken)
            return store.exchange(worker, number, [sent], [])["payments"].streak

        assert streak("w", 1, 2, 2, True) == 2
        assert streak("v", 1, 3, 3, True) == 5
        assert streak("w", 2, 1, 3, True) == 6
        assert streak("v", 2, 4, 1, False) == 1
        assert streak("w", 3, 0, 0, False) == 0

    def test_each_worker_with_a_failure_is_one_witness(self, store: Store) -> None:
        def witnesses(worker: str, number: int, failures: int) -> int:
            records = store.exchange(worker, number, [report(calls=2, failures=failures)], [])
            return records["payments"].witnesses

        assert witnesses("w", 1, 0) == 0
        assert witnesses("w", 2, 1) == 1
        assert witnesses("w", 3, 2) == 1
        assert witnesses("v", 1, 1) == 2
        assert witnesses("u", 1, 0) == 2
        if self.advances:
            self.advance(59)
            assert witnesses("w", 4, 1) == 2
            self.advance(2)
            assert witnesses("w", 5, 0) == 1

    def test_repeated_exchange_adds_nothing(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        reports = [report(calls=2, failures=2, streak=2, unbroken=True), report("other")]
        first = one.exchange("w", 7, reports, ["third"])
        assert list(first) == ["payments", "other", "third"]
        for _ in range(2):
            again = other.exchange("w", 7, reports, [])
            assert self.total(again["payments"]) == Counts(2, 2)
            assert self.total(again["other"]) == Counts(1)
            assert (again["payments"].streak, again["payments"].witnesses) == (2, 1)
        assert self.total(one.exchange("w", 8, [report()], [])["payments"]).calls == 3
        assert self.total(one.exchange("v", 7, [report()], [])["payments"]).calls == 4

    def test_concurrent_reports_lose_no_count(self, stores: Callable[[], Store]) -> None:
        def exchange(store: Store, worker: int) -> None:
            for number in range(1, 21):
                sent = report(failures=1, streak=1, unbroken=True)
                store.exchange(f"{worker}", number, [sent, report("b")], [])

        self.at_once(stores, 4, exchange)
        shared = self.ask(stores())
        assert (self.total(shared), shared.streak, shared.witnesses) == (Counts(80, 80), 80, 4)
