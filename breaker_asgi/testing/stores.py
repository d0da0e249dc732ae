"""What every store has to do, as tests: a store's own tests subclass `StoreContract`.

    class TestShelf(StoreContract):
        @pytest.fixture(autouse=True)
        def shelf(self, tmp_path):
            self.path = tmp_path / "shelf"

        def open(self):
            return ShelfStore(self.path)

Needs pytest, and hypothesis for one of the tests. Failures say more after
`pytest.register_assert_rewrite("breaker_asgi.testing.stores")`.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from breaker_asgi.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi.stores.protocol import Change, Counts, Report, Second, Shared, total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breaker_asgi.state import CircuitBreakerState
    from breaker_asgi.stores.protocol import Store

ODD_NAMES = [
    "",
    " ",
    "GET /orders/{id}/../lines",
    "{",
    "}{",
    "{}",
    "a\nb\r\n",
    "\0",
    "a\0b",
    "💥 Zahlungen",
    "\udc80",
    "'; drop table breakers; --",
    '\\"%s*?[]',
    "x" * 10_000,
]


def report(
    name: str = "payments",
    calls: int = 1,
    failures: int = 0,
    *,
    generation: int = 0,
    slow_calls: int = 0,
    streak: int = 0,
    unbroken: bool = False,
    keep: int = 60,
    age: int = 0,
) -> Report:
    """What a worker has seen: one good call of a breaker of its first generation."""
    return Report(
        name=name,
        generation=generation,
        seconds=(Second(age, Counts(calls, failures, slow_calls)),),
        streak=streak,
        unbroken=unbroken,
        keep=keep,
    )


def opening(name: str = "payments", expected: int = 0, reason: str = "5 failures") -> Change:
    """That a breaker opens for a minute."""
    return Change(name=name, expected=expected, state=OPEN, reason=reason, lasts=60, openings=1)


def to(state: CircuitBreakerState, name: str = "payments", expected: int = 0) -> Change:
    """That a breaker goes to another state."""
    return Change(name=name, expected=expected, state=state, reason="by hand", who="ada")


def win(store: Store, worker: int) -> list[int]:
    """Make thirty changes that others make too: those that were made are one's own."""
    won = []
    for expected in range(30):
        reason = f"{worker} from {expected}"
        if store.change(opening(expected=expected, reason=reason)).reason == reason:
            won.append(expected)
    return won


class StoreContract:
    """Tests that every store has to pass. A subclass says how its store is opened."""

    advances = False
    """Whether `advance` moves a clock that stands still otherwise."""
    patience = 30.0
    """Seconds that 10,000 breakers may take."""

    def open(self) -> Store:
        """Open the store anew: all that are opened in one test share what they keep."""
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        """Let the time of the store pass."""
        time.sleep(seconds)

    @pytest.fixture
    def stores(self) -> Iterator[Callable[[], Store]]:
        """Opens stores, and closes them after the test."""
        opened = []

        def one_more() -> Store:
            opened.append(self.open())
            return opened[-1]

        yield one_more
        for each in opened:
            each.close()

    @pytest.fixture
    def store(self, stores: Callable[[], Store]) -> Store:
        """One that nobody has used yet."""
        return stores()

    def at_once(self, stores: Callable[[], Store], workers: int, do: Callable[..., Any]) -> Any:
        """What several threads get that do the same at the same moment, each with its store."""
        start = Barrier(workers)

        def one(worker: int) -> Any:
            store = stores()
            store.changes(0)
            start.wait(30)
            return do(store, worker)

        with ThreadPoolExecutor(workers) as threads:
            return list(threads.map(one, range(workers)))

    def ask(self, store: Store, name: str = "payments") -> Shared:
        """What is known of one breaker."""
        return store.exchange("asking", 0, [], [name])[name]

    # Changes

    def test_nothing_is_known_of_a_breaker_that_nobody_has_changed(self, store: Store) -> None:
        assert store.exchange("w", 1, [], ["payments"]) == {"payments": Shared()}
        assert store.changes(0)[1] == []

    def test_a_change_is_seen_by_all(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        changed = one.change(opening())
        assert (changed.generation, changed.state, changed.reason) == (1, OPEN, "5 failures")
        assert (changed.who, changed.lasts, changed.openings) == (None, 60, 1)
        seen = self.ask(other)
        assert (seen.generation, seen.state, seen.reason) == (1, OPEN, "5 failures")
        assert (seen.who, seen.lasts, seen.openings) == (None, 60, 1)
        assert 0 <= changed.age <= seen.age < 5

    @pytest.mark.parametrize(
        "state", [CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED, METRICS_ONLY]
    )
    def test_every_state_is_kept(self, store: Store, state: CircuitBreakerState) -> None:
        change = Change(
            name="payments", expected=0, state=state, reason="so", who="ada", worker="w", lasts=2.5
        )
        assert store.change(change).state is state
        seen = self.ask(store)
        assert (seen.state, seen.who, seen.worker) == (state, "ada", "w")
        assert (seen.lasts, seen.openings) == (2.5, 0)

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

    def test_of_two_that_change_at_once_one_wins(self, stores: Callable[[], Store]) -> None:
        won = self.at_once(stores, 2, win)
        assert sorted(won[0] + won[1]) == list(range(30))
        assert self.ask(stores()).generation == 30

    def test_a_change_drops_all_that_was_counted_and_lent(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=3, failures=3, streak=3, unbroken=True)], [])
        lease = store.claim("w", "payments", 0, 2, 60).lease
        assert lease
        store.settle("payments", 0, lease, Counts(1))
        store.claim("w", "payments", 0, 2, 60)
        seen = store.change(opening())
        assert (seen.seconds, seen.streak, seen.witnesses) == ((), 0, 0)
        assert (seen.probes, seen.settled) == (0, Counts())

    # Counts

    def test_counts_of_all_workers_add_up(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        one.exchange("w", 1, [report(calls=5, failures=2, slow_calls=1)], [])
        seen = other.exchange("v", 1, [report(calls=7, failures=1, slow_calls=3)], [])
        assert self.total(seen["payments"]) == Counts(12, 3, 4)
        assert self.total(self.ask(one)) == Counts(12, 3, 4)

    def total(self, shared: Shared) -> Counts:
        """The calls of all seconds."""
        return total(each.counts for each in shared.seconds)

    def test_counts_are_kept_by_second_the_newest_first(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=1)], [])
        self.advance(2)
        seen = store.exchange("w", 2, [report(calls=2), report("other")], [])["payments"]
        assert [each.counts.calls for each in seen.seconds] == [2, 1]
        ages = [each.age for each in seen.seconds]
        if self.advances:
            assert ages == [0, 2]
        assert ages == sorted(ages)
        self.advance(1)
        assert [s.age for s in self.ask(store).seconds] > ages

    def test_calls_are_forgotten_when_they_do_not_matter_any_more(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=1, keep=1)], [])
        self.advance(1.01)
        assert self.ask(store).seconds == ()
        seen = store.exchange("w", 2, [report(calls=2, keep=1)], [])["payments"]
        assert [s.counts.calls for s in seen.seconds] in ([2], [])
        seen = store.exchange("w", 3, [report(calls=4, keep=60)], [])["payments"]
        assert self.total(seen).calls in {4, 6}

    def test_calls_that_are_reported_late_count_for_the_time_when_they_were_made(
        self, store: Store
    ) -> None:
        seen = Report(
            name="payments",
            generation=0,
            seconds=(Second(0, Counts(1)), Second(7, Counts(2, 2)), Second(60, Counts(4, 4))),
            streak=6,
            unbroken=False,
            keep=60,
        )
        shared = store.exchange("w", 1, [seen, report("b", age=8)], [])["payments"]
        assert shared.seconds == (Second(0, Counts(1)), Second(7, Counts(2, 2)))
        assert (shared.streak, shared.witnesses) == (6, 1)

    def test_a_failure_of_long_ago_is_no_witness(self, store: Store) -> None:
        seen = store.exchange("w", 1, [report(failures=1, age=61)], [])["payments"]
        assert seen.witnesses == 0
        for number, age in ((2, 3), (3, 50)):
            seen = store.exchange("w", number, [report(failures=1, age=age)], [])["payments"]
        assert seen.witnesses == 1
        if self.advances:
            self.advance(40)
            assert self.ask(store).witnesses == 1, "the youngest failure counts"

    def test_calls_that_do_not_matter_are_not_kept(self, store: Store) -> None:
        reports = [report(calls=4, failures=4, streak=4, unbroken=True, keep=0)]
        seen = store.exchange("w", 1, reports, [])["payments"]
        assert (seen.seconds, seen.streak, seen.witnesses) == ((), 4, 1)

    def test_counts_of_another_generation_are_dropped(self, store: Store) -> None:
        store.change(opening())
        for number, generation in ((1, 0), (2, 2)):
            stale = report(calls=4, failures=4, streak=4, unbroken=True, generation=generation)
            seen = store.exchange("w", number, [stale], [])["payments"]
            assert (seen.generation, seen.seconds, seen.streak, seen.witnesses) == (1, (), 0, 0)
        seen = store.exchange("w", 3, [report(calls=4, generation=1)], [])["payments"]
        assert self.total(seen).calls == 4

    def test_a_streak_goes_on_over_workers_until_a_success(self, store: Store) -> None:
        def streak(worker: str, number: int, failures: int, streak: int, unbroken: bool) -> int:
            seen = report(calls=9, failures=failures, streak=streak, unbroken=unbroken)
            return store.exchange(worker, number, [seen], [])["payments"].streak

        assert streak("w", 1, 2, 2, True) == 2
        assert streak("v", 1, 3, 3, True) == 5
        assert streak("w", 2, 1, 3, True) == 6
        assert streak("v", 2, 4, 1, False) == 1
        assert streak("w", 3, 0, 0, False) == 0

    def test_workers_that_saw_a_failure_are_counted_once(self, store: Store) -> None:
        def witnesses(worker: str, number: int, failures: int) -> int:
            seen = store.exchange(worker, number, [report(calls=2, failures=failures)], [])
            return seen["payments"].witnesses

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

    def test_an_exchange_that_is_repeated_adds_nothing(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        seen = [report(calls=2, failures=2, streak=2, unbroken=True), report("other")]
        first = one.exchange("w", 7, seen, ["third"])
        assert list(first) == ["payments", "other", "third"]
        for _ in range(2):
            again = other.exchange("w", 7, seen, [])
            assert self.total(again["payments"]) == Counts(2, 2)
            assert self.total(again["other"]) == Counts(1)
            assert (again["payments"].streak, again["payments"].witnesses) == (2, 1)
        assert self.total(one.exchange("w", 8, [report()], [])["payments"]).calls == 3
        assert self.total(one.exchange("v", 7, [report()], [])["payments"]).calls == 4

    def test_no_count_is_lost_where_many_report_at_once(self, stores: Callable[[], Store]) -> None:
        def exchange(store: Store, worker: int) -> None:
            for number in range(1, 21):
                seen = report(failures=1, streak=1, unbroken=True)
                store.exchange(f"{worker}", number, [seen, report("b")], [])

        self.at_once(stores, 4, exchange)
        seen = self.ask(stores())
        assert (self.total(seen), seen.streak, seen.witnesses) == (Counts(80, 80), 80, 4)

    # Probes

    def test_probes_are_lent_up_to_the_most(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        first, second = one.claim("w", "b", 0, 2, 60), other.claim("w", "b", 0, 2, 60)
        assert first.lease and second.lease and first.lease != second.lease
        assert (first.shared.probes, second.shared.probes) == (1, 2)
        assert one.claim("v", "b", 0, 2, 60) == (None, self.ask(one, "b"))
        assert one.claim("v", "b", 0, 3, 60).lease

    def test_many_that_claim_at_once_get_no_more_than_the_most(
        self, stores: Callable[[], Store]
    ) -> None:
        def claim(store: Store, worker: int) -> list[str | None]:
            return [store.claim(f"{worker}", "b", 0, 5, 60).lease for _ in range(4)]

        given = [lease for each in self.at_once(stores, 6, claim) for lease in each if lease]
        assert len(given) == len(set(given)) == 5

    def test_a_probe_that_has_settled_is_not_lent_again(self, store: Store) -> None:
        lease = store.claim("w", "b", 0, 1, 60).lease
        assert lease
        seen = store.settle("b", 0, lease, Counts(1, 1))
        assert (seen.probes, seen.settled) == (0, Counts(1, 1))
        assert store.claim("w", "b", 0, 1, 60).lease is None
        assert (seen.seconds, seen.streak, seen.witnesses) == ((), 0, 0)

    def test_a_probe_that_is_refunded_is_lent_again(self, store: Store) -> None:
        lease = store.claim("w", "b", 0, 1, 60).lease
        assert lease
        seen = store.settle("b", 0, lease, None)
        assert (seen.probes, seen.settled) == (0, Counts())
        again = store.claim("w", "b", 0, 1, 60).lease
        assert again and again != lease, "or who has the old one settles the new one"

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

    def test_what_settles_after_its_lease_has_expired_counts_for_nothing(
        self, store: Store
    ) -> None:
        lost = store.claim("w", "b", 0, 1, 1).lease
        assert lost
        self.advance(1.01)
        seen = store.settle("b", 0, lost, Counts(1, 1))
        assert (seen.probes, seen.settled) == (0, Counts())
        assert store.claim("w", "b", 0, 1, 60).lease
        seen = store.settle("b", 0, lost, Counts(1, 1))
        assert (seen.probes, seen.settled) == (1, Counts())

    def test_what_settles_twice_counts_once(self, store: Store) -> None:
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

    def test_a_claim_that_allows_none_is_refused(self, store: Store) -> None:
        assert store.claim("w", "b", 0, 0, 60) == (None, Shared())

    # What has changed

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

    def test_since_the_beginning_those_are_named_that_are_not_closed(self, store: Store) -> None:
        for name, state in (("a", OPEN), ("b", DISABLED), ("c", CLOSED), ("d", HALF_OPEN)):
            store.change(to(state, name))
        store.exchange("w", 1, [report("e", failures=1)], [])
        store.change(to(CLOSED, "d", expected=1))
        assert sorted(store.changes(0)[1]) == ["a", "b"]

    def test_counts_and_probes_are_no_changes(self, store: Store) -> None:
        store.change(opening())
        point, _ = store.changes(0)
        store.exchange("w", 1, [report(failures=1, generation=1)], [])
        store.claim("w", "payments", 1, 1, 60)
        assert store.changes(point) == (point, [])

    def test_a_wait_ends_with_a_change_of_somebody_else(self, stores: Callable[[], Store]) -> None:
        waiting, other = stores(), stores()
        point, _ = waiting.changes(0)
        for expected in range(3):
            with ThreadPoolExecutor(1) as thread:
                wait = thread.submit(waiting.wait, point, 20)
                time.sleep(0.2)
                assert not wait.done()
                other.change(opening(expected=expected))
                wait.result(5)
            point, names = waiting.changes(point)
            assert names == ["payments"]

    def test_a_wait_ends_at_once_where_something_has_changed(self, store: Store) -> None:
        point, _ = store.changes(0)
        store.wait(point, 0)
        store.change(opening())
        started = time.monotonic()
        store.wait(point, 20)
        assert time.monotonic() - started < 5

    def test_a_wait_ends_after_its_time(self, store: Store) -> None:
        store.change(opening())
        point, _ = store.changes(0)
        for seconds in (0, 0.2, 0.2):
            started = time.monotonic()
            store.wait(point, seconds)
            assert seconds * 0.9 <= time.monotonic() - started < seconds + 5

    # Figures of the workers

    def test_what_a_worker_publishes_is_seen_by_all(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        assert one.published() == {}
        one.publish("w", "10 calls", 60)
        other.publish("v", "", 60)
        assert one.published() == other.published() == {"w": "10 calls", "v": ""}

    def test_of_each_worker_the_latest_is_kept(self, store: Store) -> None:
        store.publish("w", "10 calls", 60)
        store.publish("w", "11 calls", 60)
        assert store.published() == {"w": "11 calls"}

    def test_what_is_published_expires(self, store: Store) -> None:
        store.publish("silent", "1", 1)
        store.publish("shorter", "2", 60)
        store.publish("shorter", "2", 1)
        store.publish("lives", "3", 60)
        store.publish("again", "4", 1)
        self.advance(0.6)
        store.publish("again", "4", 1)
        self.advance(0.5)
        assert store.published() == {"lives": "3", "again": "4"}
        store.publish("silent", "5", 60)
        assert store.published()["silent"] == "5"

    def test_what_is_published_is_no_change(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        one.change(opening())
        point, _ = one.changes(0)
        started = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            wait = thread.submit(other.wait, point, 0.5)
            one.publish("w", "1", 60)
            wait.result(20)
        assert time.monotonic() - started > 0.45
        assert one.changes(point) == (point, [])
        assert one.changes(0)[1] == ["payments"]

    def test_any_text_may_be_published_by_any_worker(self, store: Store) -> None:
        figures = {name: f"{name} \n{name}" for name in ODD_NAMES}
        for worker, text in figures.items():
            store.publish(worker, text, 60)
        assert store.published() == figures

    def test_many_workers_may_publish_much_at_once(self, stores: Callable[[], Store]) -> None:
        def publish(store: Store, worker: int) -> None:
            for each in range(20):
                store.publish(f"{worker}-{each}", f"{each}" * 20_000, 60)

        self.at_once(stores, 4, publish)
        found = stores().published()
        assert len(found) == 80
        assert found["3-7"] == "7" * 20_000

    # Names, numbers, and what is left

    @pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
    def test_a_breaker_may_have_any_name(self, store: Store, name: str) -> None:
        seen = report(name, calls=3, failures=1)
        assert self.total(store.exchange(name, 1, [seen], [])[name]).calls == 3
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
        seen = store.exchange("w", 1, [], ODD_NAMES)
        assert {name: shared.generation for name, shared in seen.items()} == dict.fromkeys(
            ODD_NAMES, 1
        )

    def test_there_may_be_ten_thousand_breakers(self, store: Store) -> None:
        names = [f"GET /things/{each}" for each in range(10_000)]
        started = time.monotonic()
        seen = store.exchange("w", 1, [report(name) for name in names], [])
        assert len(seen) == 10_000
        assert self.total(seen[names[-1]]).calls == 1
        for name in names[:100]:
            store.change(opening(name))
        assert sorted(store.changes(0)[1]) == sorted(names[:100])
        seen = store.exchange("v", 1, [], names)
        assert sum(shared.generation for shared in seen.values()) == 100
        assert time.monotonic() - started < self.patience

    def test_large_counts_are_exact(self, store: Store) -> None:
        store.exchange("w", 1, [report(calls=10**12)], [])
        seen = store.exchange("w", 2, [report(calls=1, failures=1)], [])["payments"]
        assert self.total(seen) == Counts(10**12 + 1, 1)

    def test_a_store_has_a_name_for_people(self, store: Store) -> None:
        assert isinstance(store.label, str)
        assert store.label

    def test_what_is_known_outlives_those_who_know_it(self, stores: Callable[[], Store]) -> None:
        one = stores()
        one.change(opening())
        one.exchange("w", 1, [report(calls=4, generation=1)], [])
        one.close()
        one.close()
        seen = self.ask(stores())
        assert (seen.generation, seen.state, self.total(seen).calls) == (1, OPEN, 4)

    def test_it_does_as_the_store_in_memory_does(self, stores: Callable[[], Store]) -> None:
        from breaker_asgi.testing.model import run_against  # noqa: PLC0415 (hypothesis)

        run_against(stores(), self.advance if self.advances else None)
