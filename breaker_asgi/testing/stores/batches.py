"""Tests of batches: the order within an entry, cursors, repeats, and unreadable records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, OPEN
from breaker_asgi.stores.protocol import Claim, Counts, Entry, Settled
from breaker_asgi.testing.stores.fixtures import (
    Base,
    ask,
    changes,
    claim,
    opening,
    report,
    send,
    shows_figures,
    sync,
    to,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from breaker_asgi.stores.protocol import Store


class BatchesTests(Base):
    """Batches of entries, and their answers."""

    def test_all_entries_of_a_batch_are_answered(self, store: Store) -> None:
        batch = report("a", calls=2), opening("b"), Entry(name="c")
        answer = sync(store, *batch)
        assert list(answer.replies) == ["a", "b", "c"]
        assert [reply.shared.generation for reply in answer.replies.values()] == [0, 1, 0]
        assert answer.replies["a"].shared.counts.calls == 2

    def test_an_empty_batch_is_answered_by_the_changes(self, store: Store) -> None:
        send(store, opening("a"))
        answer = sync(store)
        assert (answer.replies, list(answer.changed)) == ({}, ["a"])

    # The order within an entry

    def test_a_breaker_becomes_half_open_and_lends_a_probe_in_one_batch(self, store: Store) -> None:
        reply = sync(store, replace(to(HALF_OPEN), claims=(Claim(1, 60),))).replies["payments"]
        assert (reply.shared.generation, reply.shared.state) == (1, HALF_OPEN)
        assert (len(reply.leases), reply.shared.probes) == (1, 1)

    def test_a_report_counts_in_the_generation_before_the_change(self, store: Store) -> None:
        sent = replace(report(failures=1), change=opening().change)
        shared = send(store, sent)
        assert (shared.generation, shared.counts, shared.witnesses) == (1, Counts(), 0)

    def test_a_probe_settles_before_the_change_and_makes_room_for_another(
        self, half_open: Store
    ) -> None:
        lease = claim(half_open)
        assert lease
        refunded = Settled(lease, 1, None)
        entry = Entry(name="payments", settled=(refunded,), claims=(Claim(1, 60),))
        reply = sync(half_open, entry).replies["payments"]
        assert (len(reply.leases), reply.shared.probes) == (1, 1)
        settled = Settled(reply.leases[0], 1, Counts(1))
        closing = replace(to(CLOSED, generation=1), settled=(settled,))
        shared = send(half_open, closing)
        assert (shared.state, shared.settled) == (CLOSED, Counts()), "of the generation before"

    def test_a_change_that_is_not_made_leaves_the_rest_of_its_entry(self, half_open: Store) -> None:
        entry = replace(to(CLOSED, generation=5), claims=(Claim(1, 60),))
        reply = sync(half_open, entry).replies["payments"]
        assert (reply.shared.state, len(reply.leases)) == (HALF_OPEN, 1)

    # Cursors

    def test_changes_after_a_cursor_are_named(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        send(one, opening("z"))
        first, _ = changes(one)
        send(one, opening("a"))
        second, names = changes(other, first)
        assert (second > first, names) == (True, ["a"])
        send(other, opening("b"))
        send(other, to(CLOSED, "a", generation=1))
        third, names = changes(one, second)
        assert (third > second, sorted(names)) == (True, ["a", "b"])
        assert changes(one, third) == (third, [])

    def test_changes_after_zero_are_all_that_are_not_closed(self, store: Store) -> None:
        for name, state in (("a", OPEN), ("b", DISABLED), ("c", CLOSED), ("d", HALF_OPEN)):
            send(store, to(state, name))
        send(store, report("e", failures=1))
        send(store, to(CLOSED, "d", generation=1))
        assert sorted(changes(store)[1]) == ["a", "b"]

    def test_changes_after_a_lost_cursor_are_all_that_are_not_closed(self, store: Store) -> None:
        send(store, opening("a"))
        send(store, to(CLOSED, "b"))
        send(store, to(CLOSED, "c"))
        point, _ = changes(store)
        later, names = changes(store, point + 1_000_000)
        assert (later, "a" in names) == (point, True), "the point is of a store that was lost"

    def test_the_breakers_of_the_batch_are_not_among_the_changed(self, store: Store) -> None:
        send(store, opening("a"))
        cursor, _ = changes(store)
        send(store, opening("b"))
        send(store, opening("c"))
        assert list(sync(store, Entry(name="b"), cursor=cursor).changed) == ["c"]
        assert sorted(sync(store, report("b"), cursor=0).changed) == ["a", "c"]

    def test_the_cursor_covers_the_changes_of_the_batch(self, store: Store) -> None:
        before, _ = changes(store)
        answer = sync(store, opening("a"), opening("b"), cursor=before)
        assert answer.cursor > before
        assert changes(store, answer.cursor) == (answer.cursor, [])

    def test_counts_and_probes_are_no_changes(self, half_open: Store) -> None:
        point, _ = changes(half_open)
        send(half_open, report(failures=1, generation=1))
        claim(half_open)
        assert changes(half_open, point) == (point, [])

    # Repeats

    def test_a_repeated_batch_adds_nothing(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        send(one, to(HALF_OPEN, "third"))
        lease = claim(one, "third")
        assert lease
        batch = (
            report(calls=2, failures=2, streak=2, unbroken=True),
            replace(report("other"), change=opening().change),
            Entry(name="third", settled=(Settled(lease, 1, Counts(1)),)),
        )
        sync(one, *batch, number=10**6)
        for _ in range(2):
            replies = sync(other, *batch, number=10**6).replies
            payments, changed, settled = (reply.shared for reply in replies.values())
            assert (payments.counts, payments.streak) == (Counts(2, 2), 2)
            assert payments.witnesses == 1
            assert (changed.generation, changed.counts) == (1, Counts())
            assert (settled.settled, settled.probes) == (Counts(1), 0)
        assert send(one, report(), "w", 10**6 + 1).counts.calls == 3
        assert send(one, report(), "v", 10**6).counts.calls == 4

    # Workers

    def test_workers_that_have_used_the_store_of_late_are_counted(self, store: Any) -> None:
        def use(worker: str) -> int:
            if shows_figures(store):
                store.publish(worker, "1", 60)
            return sync(store, report(), worker=worker).workers

        assert [use("w"), use("v"), use("u"), use("v")] == [1, 2, 3, 3]
        if self.advances:
            self.advance(29)
            assert use("w") == 3
            self.advance(2)
            assert use("v") == 2

    # Records that can't be read

    def test_an_unreadable_record_concerns_one_breaker(self, store: Store) -> None:
        send(store, to(FORCED_OPEN, "bad"))
        self.damage(store, "bad")
        for calls in (1, 2):
            answer = sync(store, report("good"), Entry(name="bad"), opening(f"other {calls}"))
            assert list(answer.replies) == ["good", f"other {calls}"]
            assert list(answer.unreadable) == ["bad"]
            assert answer.unreadable["bad"].strip()
            assert answer.replies["good"].shared.counts.calls == calls

    def test_an_unreadable_record_is_not_written_to(self, store: Store) -> None:
        send(store, to(HALF_OPEN, "bad"))
        lease = claim(store, "bad")
        assert lease
        self.damage(store, "bad")
        cursor, _ = changes(store)
        settled = (Settled(lease, 1, Counts(1)),)
        entries = (
            Entry(name="bad", settled=settled),
            report("bad", generation=1),
            to(CLOSED, "bad", generation=1),
            to(CLOSED, "bad", generation=0),
            Entry(name="bad", claims=(Claim(9, 60),)),
        )
        reasons = {sync(store, entry).unreadable["bad"] for entry in entries}
        assert reasons == {sync(store, Entry(name="bad")).unreadable["bad"]}
        assert changes(store, cursor) == (cursor, [])
        assert ask(store, "good").generation == 0
