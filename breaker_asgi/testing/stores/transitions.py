"""Tests of changes of state, and of commands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi.stores.protocol import Change, Command, Counts, Entry, Shared
from breaker_asgi.testing.stores.fixtures import (
    Base,
    ask,
    changes,
    claim,
    opening,
    report,
    send,
    settle,
    sync,
    to,
    win,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.stores.protocol import Store


class ChangesTests(Base):
    """Compare and set, identities, and commands."""

    def test_unchanged_breaker_has_an_empty_record(self, store: Store) -> None:
        answer = sync(store, Entry(name="payments"))
        assert answer.replies == {"payments": (Shared(), ())}
        assert (answer.changed, answer.unreadable) == ([], {})

    def test_change_is_visible_in_all_workers(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        changed = send(one, opening(identity="w:7"))
        shared = ask(other)
        for record in (changed, shared):
            assert (record.generation, record.id) == (1, "w:7")
            assert (record.state, record.reason, record.who) == (OPEN, "5 failures", None)
            assert (record.lasts, record.openings) == (60, 1)
        assert 0 <= changed.age <= shared.age < 5

    @pytest.mark.parametrize(
        "state", [CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED, METRICS_ONLY]
    )
    def test_every_state_is_kept(self, store: Store, state: CircuitBreakerState) -> None:
        change = Change(id="w:1", state=state, reason="so", who="ada", worker="w", lasts=2.5)
        assert send(store, Entry(name="payments", change=change)).state is state
        shared = ask(store)
        assert (shared.state, shared.who, shared.worker) == (state, "ada", "w")
        assert (shared.lasts, shared.openings) == (2.5, 0)

    @pytest.mark.parametrize("by_hand", [False, True])
    def test_manual_changes_are_marked(self, store: Store, by_hand: bool) -> None:
        change = Change(id="w:1", state=OPEN, reason="so", by_hand=by_hand)
        assert send(store, Entry(name="payments", change=change)).by_hand is by_hand
        assert ask(store).by_hand is by_hand

    def test_late_change_keeps_its_age(self, store: Store) -> None:
        change = Change(id="w:1", state=OPEN, reason="so", age=90.25, lasts=100)
        assert 90.25 <= send(store, Entry(name="payments", change=change)).age < 95
        shared = ask(store)
        assert shared.lasts == 100
        assert 90.25 <= shared.age < 95

    def test_the_age_of_a_change_is_measured(self, store: Store) -> None:
        send(store, opening())
        before = ask(store).age
        self.advance(0.5)
        assert 0.499 <= ask(store).age - before < 5

    def test_a_change_from_another_generation_changes_nothing(self, store: Store) -> None:
        send(store, opening())
        point, _ = changes(store)
        for generation in (0, 2):
            answer = send(store, to(FORCED_OPEN, generation=generation))
            assert (answer.generation, answer.state, answer.reason) == (1, OPEN, "5 failures")
        assert changes(store, point) == (point, [])
        assert send(store, to(CLOSED, generation=1)).generation == 2

    def test_one_of_two_concurrent_changes_wins(self, stores: Callable[[], Store]) -> None:
        won = self.at_once(stores, 2, win)
        assert sorted(won[0] + won[1]) == list(range(30))
        assert ask(stores()).generation == 30

    def test_change_drops_counts_and_leases(self, half_open: Store) -> None:
        store = half_open
        send(store, report(calls=3, failures=3, generation=1, unbroken=True, tripped=True))
        lease = claim(store, most=2)
        assert lease
        settle(store, lease, Counts(1))
        claim(store, most=2)
        shared = send(store, opening(generation=1))
        assert (shared.counts, shared.streak) == (Counts(), 0)
        assert (shared.witnesses, shared.tripped) == (0, 0)
        assert (shared.probes, shared.settled) == (0, Counts())

    def test_a_change_that_was_lost_is_made_once_more_with_its_identity(self, store: Store) -> None:
        lost = opening(identity="w:7")
        assert send(store, lost).id == "w:7"
        again = send(store, lost)
        assert (again.id, again.generation) == ("w:7", 1), "its answer was lost, it had been made"
        send(store, to(CLOSED, generation=1, identity="v:1"))
        assert send(store, lost).id == "v:1", "the fleet is further on"
        assert send(store, replace(lost, generation=2)).id == "w:7"

    # Commands

    def test_the_command_of_a_change_is_returned_with_its_age(self, store: Store) -> None:
        assert send(store, opening()).command is None
        send(store, _commanded("ada:1", age=30.5, generation=1))
        before = ask(store).command
        assert before
        assert (before.id, 30.5 <= before.age < 35) == ("ada:1", True)
        self.advance(0.5)
        after = ask(store).command
        assert after
        assert 0.499 <= after.age - before.age < 5

    def test_changes_that_give_the_last_command_keep_it(self, store: Store) -> None:
        send(store, _commanded("ada:1", age=100))
        self.advance(0.5)
        command = ask(store).command
        assert command
        change = Change(id="v:1", state=OPEN, reason="5 failures", command=command)
        shared = send(store, Entry(name="payments", generation=1, change=change))
        assert (shared.id, shared.by_hand) == ("v:1", False)
        assert shared.command
        assert (shared.command.id, shared.command.age >= 100.499) == ("ada:1", True)
        assert shared.age < 5, "the change itself is new"

    def test_change_without_a_command_drops_it(self, store: Store) -> None:
        send(store, _commanded("ada:1"))
        assert send(store, opening(generation=1)).command is None

    def test_reports_and_probes_keep_identity_and_command(self, store: Store) -> None:
        send(store, replace(_commanded("ada:1"), generation=0))
        send(store, report(failures=1, generation=1))
        shared = ask(store)
        assert (shared.id, shared.command and shared.command.id) == ("ada:1", "ada:1")


def _commanded(identity: str, generation: int = 0, age: float = 0) -> Entry:
    """Return an operator's change to half-open."""
    change = Change(
        id=identity,
        state=HALF_OPEN,
        reason="by hand",
        by_hand=True,
        age=age,
        command=Command(identity, age),
    )
    return Entry(name="payments", generation=generation, change=change)
