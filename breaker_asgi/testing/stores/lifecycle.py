"""Tests of the life of a store, and of odd names and large numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi._core.state import (
    CLOSED,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    METRICS_ONLY,
    OPEN,
)
from breaker_asgi.stores.protocol import Change, Command, Counts, Entry
from breaker_asgi.testing.stores.fixtures import (
    ODD_NAMES,
    Base,
    ask,
    changes,
    claim,
    opening,
    report,
    send,
    settle,
    shows_figures,
    sync,
    to,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store


class LifecycleTests(Base):
    """Names of breakers, and stores that are closed and opened again."""

    @pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
    def test_any_text_may_be_a_name(self, store: Store, name: str) -> None:
        assert send(store, report(name, calls=3, failures=1), name).counts.calls == 3
        change = Change(
            id=name, state=HALF_OPEN, reason=name, who=name, worker=name, command=Command(name, 0)
        )
        send(store, Entry(name=name, change=change))
        shared = ask(store, name)
        assert (shared.reason, shared.who, shared.worker) == (name, name, name)
        assert changes(store)[1] == [name]
        lease = claim(store, name, worker=name)
        assert lease
        assert settle(store, lease, Counts(1), name).settled == Counts(1)

    def test_any_text_may_be_an_identity(self, store: Store) -> None:
        for generation, identity in enumerate(ODD_NAMES[1:]):
            change = Change(id=identity, state=OPEN, reason="", command=Command(identity, 0))
            send(store, Entry(name="payments", generation=generation, change=change))
            shared = ask(store)
            assert (shared.id, shared.command and shared.command.id) == (identity, identity)

    def test_odd_names_are_not_mixed_up(self, store: Store) -> None:
        for name in ODD_NAMES:
            send(store, to(OPEN, name))
        assert sorted(changes(store)[1]) == sorted(ODD_NAMES)
        replies = sync(store, *(Entry(name=name) for name in ODD_NAMES)).replies
        generations = {name: reply.shared.generation for name, reply in replies.items()}
        assert generations == dict.fromkeys(ODD_NAMES, 1)

    def test_there_may_be_ten_thousand_breakers(self, store: Store) -> None:
        names = [f"GET /things/{number}" for number in range(10_000)]
        replies = sync(store, *map(report, names), worker="w").replies
        assert len(replies) == 10_000
        assert replies[names[-1]].shared.counts.calls == 1
        for name in names[:100]:
            send(store, opening(name))
        assert sorted(changes(store)[1]) == sorted(names[:100])
        replies = sync(store, *(Entry(name=name) for name in names[:1_000]), worker="v").replies
        assert sum(reply.shared.generation for reply in replies.values()) == 100

    def test_large_counts_are_exact(self, store: Store) -> None:
        send(store, report(calls=10**12))
        assert send(store, report(calls=1, failures=1)).counts == Counts(10**12 + 1, 1)

    def test_store_has_a_label(self, store: Store) -> None:
        assert isinstance(store.label, str)
        assert store.label

    def test_data_outlives_the_processes(self, stores: Callable[[], Store]) -> None:
        one = stores()
        send(one, opening(identity="w:7"))
        send(one, report(calls=4, generation=1))
        one.close()
        one.close()
        shared = ask(stores())
        assert (shared.generation, shared.id, shared.state) == (1, "w:7", OPEN)
        assert shared.counts.calls == 4

    def test_unused_breakers_in_manual_states_are_kept(self, store: Store) -> None:
        days = 12 if self.advances else 0  # a store whose clock can't be moved has its own tests
        by_hand = [FORCED_OPEN, DISABLED, METRICS_ONLY]
        for state in by_hand:
            send(store, to(state, state.value))
        send(store, opening())
        self.advance(min(days, 1) * 86_400)
        assert ask(store).state is OPEN
        for _ in range(days):
            self.advance(86_400)
            send(store, report("used"))
        assert [ask(store, state.value).state for state in by_hand] == by_hand
        assert {state.value for state in by_hand} <= set(changes(store)[1])

    def test_closed_store_opens_again_when_used(self, store: Any) -> None:
        send(store, opening())
        uses: list[Callable[[], object]] = [
            lambda: ask(store),
            lambda: changes(store),
            lambda: store.wait(0, 0.1),
            lambda: send(store, report(generation=1)),
            lambda: send(store, to(CLOSED, generation=1)),
        ]
        if shows_figures(store):
            uses += [lambda: store.publish("w", "1", 60), store.published]
        for use in uses:
            store.close()
            use()
        assert ask(store).generation == 2

    def test_store_agrees_with_the_memory_store(self, stores: Callable[[], Store]) -> None:
        from breaker_asgi.testing.model import run_against  # noqa: PLC0415 (hypothesis)

        advance = self.advance if self.advances else None
        run_against(stores(), advance, keeps_outages=self.keeps_outages)
