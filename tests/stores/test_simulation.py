"""What must hold, in fleets where everything goes wrong. See simulation/."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from tests.stores.simulation import events
from tests.stores.simulation.runs import outcome, run
from tests.stores.simulation.scenarios import (
    admitted_after_a_prober_has_died,
    with_one_sick_worker,
)
from tests.stores.simulation.terms import LEASE
from tests.stores.simulation.world import World

MANY = int(os.environ.get("SIMULATIONS", "100"))
"""Seeds to run on all cores; `.ci/run` asks for more."""


@pytest.mark.parametrize("first", range(0, 150, 10))
def test_whatever_goes_wrong_all_that_must_hold_holds(first: int) -> None:
    for seed in range(first, first + 10):
        run(seed)


@pytest.mark.slow
def test_it_holds_for_many_seeds() -> None:
    with multiprocessing.get_context("spawn").Pool() as pool:
        failed = [
            f"seed {seed}: {problem}"
            for seed, problem, _ in pool.imap_unordered(outcome, range(1000, 1000 + MANY), 50)
            if problem is not None
        ]
    assert not failed, "again: python -m tests.stores.simulation --seed"


def test_a_seed_happens_in_the_same_way_again() -> None:
    assert run(7).history == run(7).history


@pytest.mark.parametrize("seed", range(20))
def test_after_a_prober_has_died_the_next_call_is_admitted_within_the_lease_and_a_second(
    seed: int,
) -> None:
    assert admitted_after_a_prober_has_died(seed) <= LEASE + 1


@pytest.mark.parametrize("seed", range(10))
def test_with_a_quorum_one_sick_worker_opens_for_itself_only(seed: int) -> None:
    assert with_one_sick_worker(seed).happened["open"] > 100


def test_everything_that_may_go_wrong_does() -> None:
    happened = sum((run(seed).happened for seed in range(300, 340)), run(299).happened)
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
        events.turn_one,
        World.meanwhile,
    ):
        assert happened[event.__name__] > 10
    assert happened["probes"] > 10
    assert happened["probes alone"] > 10
