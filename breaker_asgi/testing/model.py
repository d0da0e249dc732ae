"""Random use of a store, compared with the same use of a `MemoryStore`."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "hypothesis"):
    from hypothesis import HealthCheck, settings
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        RuleBasedStateMachine,
        precondition,
        rule,
        run_state_machine_as_test,
    )

from breaker_asgi._core.state import CircuitBreakerState
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import (
    Change,
    Claim,
    Command,
    Counts,
    Entry,
    Report,
    Second,
    Settled,
    Shared,
    SharedOutage,
)
from breaker_asgi.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Answer, Store

NAMES = ["a", "b"]
WORKERS = ["v", "w"]
LATEST = -1
"""The generation of a draft that is replaced by the latest one of the breaker."""
SMALL = st.integers(0, 4)
COUNTS = st.builds(Counts, SMALL, SMALL, SMALL)
DURATIONS = st.sampled_from([1.5, 2.5, 600.5])
IDS = st.sampled_from(["v:1", "w:1", "w:2"])
SETTLED = st.builds(Settled, st.integers(0, 9).map(str), st.integers(0, 3), st.none() | COUNTS)
"""Probes of drafts, which have the number of a lease in the place of its name."""
AGES = st.sampled_from([0.0, 1.25, 90.5])
OUTAGES = st.builds(
    SharedOutage,
    age=AGES,
    ended=st.none() | AGES,
    reason=st.sampled_from(["", "5 failures"]),
    failure_type=st.none() | st.just("OSError"),
    by_hand=st.booleans(),
    who=st.none() | st.just("ada"),
    counts=COUNTS,
    streak=SMALL,
    probes_failed=SMALL,
    last_probe=st.none() | AGES,
    rejected=SMALL,
)
REPORTS = st.builds(
    Report,
    seconds=st.lists(st.builds(Second, SMALL, COUNTS), max_size=3).map(tuple),
    streak=SMALL,
    unbroken=st.booleans(),
    tripped=st.booleans(),
    rejected=SMALL,
)
CHANGES = st.builds(
    Change,
    id=IDS,
    state=st.sampled_from([state for state in CircuitBreakerState if state != "closing"]),
    reason=st.sampled_from(["", "5 failures"]),
    by_hand=st.booleans(),
    who=st.none() | st.just("ada"),
    worker=st.none() | st.sampled_from(WORKERS),
    age=st.sampled_from([0.0, 1.25]),
    lasts=st.none() | DURATIONS,
    openings=SMALL,
    command=st.none() | st.builds(Command, IDS, st.sampled_from([0.0, 60.5])),
    outage=st.none() | OUTAGES,
)


def run_against(
    store: Store, advance: Callable[[float], None] | None, *, keeps_outages: bool = True
) -> None:
    """Use both in the same way, and compare answers; time passes if there is `advance`."""
    clock = FakeClock(1_000_000)
    model = MemoryStore(clock=clock)
    examples = count()
    drafts = st.builds(
        Entry,
        name=st.sampled_from(NAMES),
        generation=st.sampled_from([LATEST, LATEST, LATEST, 0, 1]),
        window=st.sampled_from([0, 2, 60] if advance else [0, 600]),
        settled=st.lists(SETTLED, max_size=2).map(tuple),
        report=st.none() | REPORTS,
        change=st.none() | CHANGES,
        claims=st.lists(
            st.builds(Claim, SMALL, DURATIONS if advance else st.just(600.0)), max_size=2
        ).map(tuple),
    )

    class Both(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.example = next(examples)
            self.cursors = store.sync("v", 0, 0, []).cursor, model.sync("v", 0, 0, []).cursor
            self.numbers = dict.fromkeys(WORKERS, 0)
            self.generations = dict.fromkeys(NAMES, 0)
            self.leases: list[tuple[str, str]] = []

        @rule(
            worker=st.sampled_from(WORKERS),
            drafts=st.lists(drafts, max_size=2, unique_by=lambda draft: draft.name),
            step=st.sampled_from([0, 1, 1]),
            anew=st.sampled_from([False, False, True]),
        )
        def sync(self, worker: str, drafts: list[Entry], step: int, anew: bool) -> None:
            self.numbers[worker] += step
            number = self.numbers[worker]
            one, other = (0, 0) if anew else self.cursors
            self.compare(
                store.sync(worker, number, one, [self.entry(draft, 0) for draft in drafts]),
                model.sync(worker, number, other, [self.entry(draft, 1) for draft in drafts]),
            )

        def entry(self, draft: Entry, side: int) -> Entry:
            """Return the entry of a draft for one of the two, which name their leases."""
            generation = self.generations[draft.name] if draft.generation < 0 else draft.generation
            leases = [pair[side] for pair in self.leases] or ["no lease"]
            settled = tuple(
                ended._replace(lease=leases[int(ended.lease) % len(leases)])
                for ended in draft.settled
            )
            name = f"{self.example}/{draft.name}"
            return replace(draft, name=name, generation=generation, settled=settled)

        def compare(self, one: Answer, other: Answer) -> None:
            assert list(one.replies) == list(other.replies)
            assert sorted(one.changed) == sorted(other.changed)
            assert one.unreadable == {}
            for name, (shared, leases) in one.replies.items():
                expected, as_many = other.replies[name]
                if not keeps_outages:
                    expected = replace(expected, outage=None)
                assert _plain(shared) == _plain(expected)
                for seconds, of_model in zip(_ages(shared), _ages(expected), strict=True):
                    assert abs(seconds - of_model) < (0.01 if advance else 60)
                assert len(leases) == len(set(leases))
                self.leases += zip(leases, as_many, strict=True)
                self.generations[name.rpartition("/")[2]] = shared.generation
            self.cursors = one.cursor, other.cursor

        @precondition(lambda _: advance is not None)
        @rule(seconds=st.integers(1, 3))
        def advance(self, seconds: int) -> None:
            assert advance
            clock.advance(seconds)
            advance(seconds)

    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


def _plain(shared: Shared) -> Shared:
    """Return the record without values that differ from clock to clock."""
    command = shared.command and shared.command._replace(age=0.0)
    outage = shared.outage and shared.outage._replace(
        age=0.0,
        ended=None if shared.outage.ended is None else 0.0,
        last_probe=None if shared.outage.last_probe is None else 0.0,
    )
    return replace(shared, age=0.0, command=command, outage=outage)


def _ages(shared: Shared) -> tuple[float, ...]:
    outage = shared.outage or SharedOutage(0.0)
    of_outage = outage.age, outage.ended or 0.0, outage.last_probe or 0.0
    return shared.age, shared.command.age if shared.command else 0.0, *of_outage
