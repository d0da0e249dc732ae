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
from breaker_asgi.stores.protocol import Change, Counts, Report, Second, Shared, total
from breaker_asgi.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store

NAMES = st.sampled_from(["a", "b"])
WORKERS = st.sampled_from(["v", "w"])
GENERATIONS = st.integers(0, 3)
SMALL = st.integers(0, 4)
COUNTS = st.builds(Counts, SMALL, SMALL, SMALL)
REPORTED = st.lists(st.builds(Second, SMALL, COUNTS), min_size=1, max_size=3).map(tuple)
SECONDS = st.sampled_from([1.5, 2.5, 600.5])


def run_against(store: Store, advance: Callable[[float], None] | None) -> None:
    """Use both in the same way, and compare results; time passes if there is `advance`."""
    clock = FakeClock(1_000_000)
    model = MemoryStore(clock=clock)
    examples = count()

    class Both(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.example = next(examples)
            self.points = store.changes(0)[0], model.changes(0)[0]
            self.numbers = {"v": 0, "w": 0}
            self.leases: list[tuple[str, str]] = []

        def named(self, name: str) -> str:
            return f"{self.example}/{name}"

        def agree(self, one: Shared, other: Shared) -> None:
            assert _plain(one, advance) == _plain(other, advance)
            assert abs(one.age - other.age) < (0.01 if advance else 60)

        @rule(
            worker=WORKERS,
            names=st.lists(NAMES, unique=True),
            ask=st.lists(NAMES),
            generation=GENERATIONS,
            seconds=REPORTED,
            streak=SMALL,
            unbroken=st.booleans(),
            keep=st.sampled_from([0, 2, 60]),
            step=st.sampled_from([0, 1, 1]),
        )
        def exchange(
            self,
            worker: str,
            names: list[str],
            ask: list[str],
            generation: int,
            seconds: tuple[Second, ...],
            streak: int,
            unbroken: bool,
            keep: int,
            step: int,
        ) -> None:
            self.numbers[worker] += step
            reports = [
                Report(
                    name=self.named(name),
                    generation=generation,
                    seconds=seconds,
                    streak=streak,
                    unbroken=unbroken,
                    keep=keep if advance or not keep else 600,
                )
                for name in names
            ]
            args = worker, self.numbers[worker], reports, [self.named(name) for name in ask]
            one, other = store.exchange(*args), model.exchange(*args)
            assert one.keys() == other.keys()
            for name, shared in one.items():
                self.agree(shared, other[name])

        @rule(
            name=NAMES,
            expected=GENERATIONS,
            state=st.sampled_from(CircuitBreakerState),
            who=st.sampled_from([None, "ada"]),
            lasts=st.none() | SECONDS,
            openings=SMALL,
        )
        def change(
            self,
            name: str,
            expected: int,
            state: CircuitBreakerState,
            who: str | None,
            lasts: float | None,
            openings: int,
        ) -> None:
            change = Change(
                name=self.named(name),
                expected=expected,
                state=state,
                reason=f"{state} {who}",
                who=who,
                worker=who and f"{who}:1",
                lasts=lasts,
                openings=openings,
            )
            self.agree(store.change(change), model.change(change))

        @rule(worker=WORKERS, name=NAMES, generation=GENERATIONS, most=SMALL, seconds=SECONDS)
        def claim(self, worker: str, name: str, generation: int, most: int, seconds: float) -> None:
            seconds = seconds if advance else 600
            args = worker, self.named(name), generation, most, seconds
            one, other = store.claim(*args), model.claim(*args)
            self.agree(one.shared, other.shared)
            assert (one.lease is None) == (other.lease is None)
            if one.lease and other.lease:
                self.leases.append((one.lease, other.lease))

        @precondition(lambda self: self.leases)
        @rule(data=st.data(), name=NAMES, generation=GENERATIONS, counts=st.none() | COUNTS)
        def settle(
            self, data: st.DataObject, name: str, generation: int, counts: Counts | None
        ) -> None:
            one, other = data.draw(st.sampled_from(self.leases))
            self.agree(
                store.settle(self.named(name), generation, one, counts),
                model.settle(self.named(name), generation, other, counts),
            )

        @rule()
        def changes(self) -> None:
            one, other = self.points
            point, names = store.changes(one)
            expected_point, expected = model.changes(other)
            assert sorted(names) == sorted(expected)
            self.points = point, expected_point

        @rule()
        def begin_anew(self) -> None:
            _, names = store.changes(0)
            _, expected = model.changes(0)
            assert sorted(names) == sorted(expected)

        @precondition(lambda _: advance is not None)
        @rule(seconds=st.integers(1, 3))
        def advance(self, seconds: int) -> None:
            assert advance
            clock.advance(seconds)
            advance(seconds)

    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


def _plain(shared: Shared, advance: object) -> Shared:
    """Return the record without values that differ from clock to clock."""
    seconds = shared.seconds
    if not advance and seconds:
        seconds = (Second(0, total(second.counts for second in seconds)),)
    return replace(shared, age=0.0, seconds=seconds)
