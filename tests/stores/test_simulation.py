"""Invariants of fleets under random faults. See simulation/."""

from __future__ import annotations

import os

import pytest

from tests.stores.simulation import events
from tests.stores.simulation.runs import run
from tests.stores.simulation.scenarios import (
    admitted_after_a_prober_has_died,
    with_one_sick_worker,
)
from tests.stores.simulation.snapshots import (
    SINCE,
    after_a_lifted_force_open,
    after_a_snapshot,
    when_one_record_is_unreadable,
)
from tests.stores.simulation.terms import LEASE
from tests.stores.simulation.world import World

PACK = 3
"""Seeds in one test: these take a third of a second."""
FIRST = 1000
LAST = FIRST + int(os.environ.get("SIMULATIONS", "100"))
"""Many seeds beside the first ones; before a release: SIMULATIONS=10000 make test."""
SEEDS = [*range(0, 150, PACK), *range(FIRST, LAST, PACK)]


@pytest.mark.parametrize("first", SEEDS)
def test_invariants_hold_under_random_faults(first: int) -> None:
    for seed in range(first, first + PACK):
        run(seed)


def test_seed_is_reproducible() -> None:
    assert run(7).history == run(7).history


@pytest.mark.parametrize("seed", range(20))
def test_after_a_prober_has_died_the_next_call_is_admitted_within_the_lease_and_a_second(
    seed: int,
) -> None:
    assert admitted_after_a_prober_has_died(seed) <= LEASE + 1


@pytest.mark.parametrize("seed", range(10))
def test_with_a_quorum_one_sick_worker_opens_for_itself_only(seed: int) -> None:
    assert with_one_sick_worker(seed).happened["open"] > 100


@pytest.mark.parametrize("seed", range(5))
def test_a_snapshot_from_before_a_trip_closes_nothing(seed: int) -> None:
    after_a_snapshot(seed)


@pytest.mark.parametrize("since", SINCE)
def test_a_snapshot_brings_back_no_force_open_that_was_lifted_last(since: str) -> None:
    for seed in range(5):
        after_a_lifted_force_open(seed, since)


@pytest.mark.parametrize("seed", range(5))
def test_one_unreadable_record_leaves_all_other_breakers_in_step(seed: int) -> None:
    when_one_record_is_unreadable(seed)


def test_every_fault_occurs() -> None:
    happened = sum((run(seed).happened for seed in (109, 451)), run(1269).happened)
    for event in (
        events.kill,
        events.pause,
        events.cut,
        events.cancel,
        events.by_hand,
        events.restart_all,
        events.go_out,
        events.forget,
        events.forget_one,
        events.toggle_worker,
        events.slow_down,
        events.go_back,
        events.spoil,
        World.meanwhile,
    ):
        assert happened[event.__name__] > 2


def test_every_kind_of_probe_occurs() -> None:
    happened = sum((run(seed).happened for seed in (1254, 1262)), run(1269).happened)
    for kind in ("probes", "probes alone", "overdue", "overdue probes"):
        assert happened[kind] > 2
