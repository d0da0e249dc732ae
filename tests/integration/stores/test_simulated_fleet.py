"""A fleet of a thousand workers in one process, stepped by hand. See tests/stores/simulation/."""

from __future__ import annotations

from tests.stores.simulation.snapshots import after_a_lifted_force_open, after_a_snapshot

SIZE = 1000


def test_a_thousand_workers_agree_after_a_trip_and_after_a_snapshot() -> None:
    world = after_a_snapshot(1, SIZE)

    assert len(world.workers) == SIZE


def test_a_snapshot_brings_a_thousand_workers_back_no_force_open_that_was_lifted_last() -> None:
    after_a_lifted_force_open(1, "nothing", SIZE)
