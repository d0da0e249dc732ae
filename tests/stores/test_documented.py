"""Statements of `docs/shared-state.md` and `docs/stores.md` that no other test covers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import breaker_asgi
from breaker_asgi import BreakerConfigError, BreakerRegistry, CircuitBreakerError
from breaker_asgi._fleet.fleet import PATIENCE, Fleet
from breaker_asgi.stores import Answer, Entry, MemoryStore, store_of
from breaker_asgi.testing import FakeClock
from tests.stores.place import record_in


class World:
    """A clock, a store, and workers whose threads are run by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_000)
        self.store = MemoryStore(clock=self.clock)
        self.fleets: list[Fleet] = []

    def worker(self, quorum: int = 1, **settings: Any) -> breaker_asgi.CircuitBreaker:
        """A worker's breaker, called bank."""
        name = f"worker {len(self.fleets)}"
        fleet = Fleet(self.store, worker=name, patience=0, clock=self.clock, quorum=quorum)
        self.fleets.append(fleet)
        registry = BreakerRegistry()
        registry.fleet = fleet
        fleet.step()
        return registry.get("bank", clock=self.clock, **settings)

    def settle_down(self) -> None:
        for _ in range(4):
            for fleet in self.fleets:
                fleet.step()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle_down()


@pytest.fixture
def world() -> World:
    return World()


def fail(breaker: breaker_asgi.CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().failure()


def test_failures_in_a_row_add_up_over_workers(world: World) -> None:
    workers = [world.worker(fail_max=5) for _ in range(5)]
    world.settle_down()
    for worker in workers:
        fail(worker)
    world.pass_time(1.1)
    assert {worker.state for worker in workers} == {"open"}


def test_a_rate_over_a_time_window_counts_the_calls_of_all(world: World) -> None:
    window = breaker_asgi.TimeWindow(30)
    workers = [world.worker(failure_rate=0.5, window=window, minimum_calls=20) for _ in range(8)]
    world.settle_down()
    for worker in workers:
        fail(worker, 3)
    assert {worker.state for worker in workers} == {"closed"}
    world.pass_time(1.1)
    assert {worker.state for worker in workers} == {"open"}


def test_a_rate_over_a_count_window_counts_the_last_calls_of_all(world: World) -> None:
    window = breaker_asgi.CountWindow(100)
    workers = [world.worker(failure_rate=0.5, window=window, minimum_calls=20) for _ in range(8)]
    world.settle_down()
    for worker in workers:
        fail(worker, 3)
    assert {worker.state for worker in workers} == {"closed"}
    world.pass_time(1.1)
    assert {worker.state for worker in workers} == {"open"}


def test_a_call_of_a_count_window_is_too_old_after_ten_minutes(world: World) -> None:
    workers = [world.worker(failure_rate=0.5, minimum_calls=20) for _ in range(2)]
    world.settle_down()
    fail(workers[0], 19)
    world.pass_time(1.1)
    world.pass_time(600)
    fail(workers[1], 19)
    world.pass_time(1.1)
    assert {worker.state for worker in workers} == {"closed"}


def test_below_the_quorum_a_worker_opens_alone_and_closes_by_itself(world: World) -> None:
    sick, well = (world.worker(2, fail_max=3, timeout_duration=5) for _ in range(2))
    world.settle_down()
    fail(sick, 3)
    world.settle_down()
    assert (sick.state, well.state) == ("open", "closed")
    world.pass_time(6)
    sick.acquire().success()
    world.settle_down()
    assert (sick.state, well.state) == ("closed", "closed")


def test_manual_change_needs_no_quorum_and_has_operator_and_reason(world: World) -> None:
    here, there = (world.worker(3) for _ in range(2))
    world.settle_down()
    here.force_open(for_=600, who="ann", why="migration")
    world.settle_down()
    assert there.snapshot().reason == "forced open by hand: migration"
    assert there._generation.transition.who == "ann"
    world.pass_time(601)
    there.acquire().success()
    world.settle_down()
    assert (here.state, there.state) == ("closed", "closed")


def test_starting_worker_takes_over_the_remaining_open_time(world: World) -> None:
    early = world.worker()
    early.open(30)
    world.settle_down()
    world.pass_time(10)
    late = world.worker()
    world.settle_down()
    assert late.state == "open"
    assert late.snapshot().retry_after == pytest.approx(20)


async def test_plain_call_on_the_event_loop_leaves_the_probe_to_the_next(world: World) -> None:
    breaker = world.worker(fail_max=1, timeout_duration=5)
    world.settle_down()
    fail(breaker)
    world.pass_time(6)
    with pytest.raises(CircuitBreakerError) as rejected:
        breaker.call(len, "on the loop")
    assert rejected.value.retry_after <= 1
    world.settle_down()
    assert breaker.call(len, "four") == 4
    world.settle_down()
    assert breaker.state == "closed"


async def test_a_call_that_can_wait_is_the_probe_itself() -> None:
    registry = BreakerRegistry(store=MemoryStore())
    breaker = registry.get("bank")
    try:
        breaker.open(0.05)
        await asyncio.sleep(0.1)
        async with asyncio.timeout(PATIENCE + 5), breaker:
            pass
        assert (breaker.successes, breaker.rejected) == (1, 0)
    finally:
        assert registry.fleet
        registry.fleet.stop()


def test_a_registry_has_one_store() -> None:
    registry = BreakerRegistry(store=MemoryStore())
    try:
        with pytest.raises(BreakerConfigError, match="memory already"):
            registry.share(MemoryStore())
    finally:
        assert registry.fleet
        registry.fleet.stop()


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("sqlite:////run/breakers.db", lambda: "sqlite:/run/breakers.db"),
        ("sqlite:///breakers.db", lambda: f"sqlite:{Path.cwd() / 'breakers.db'}"),
        ("redis://:s3cret@redis.internal:6379/0", lambda: "redis://redis.internal:6379/0"),
    ],
)
def test_url_leads_to_the_documented_store(url: str, label: Callable[[], str]) -> None:
    assert store_of(url).label == label()


def test_failures_in_two_workers_reach_a_quorum_of_two(world: World) -> None:
    first, second, third = (world.worker(2, fail_max=3) for _ in range(3))
    world.settle_down()
    fail(first, 3)
    world.settle_down()
    assert [worker.state for worker in (first, second, third)] == ["open", "closed", "closed"]
    fail(second, 3)
    world.settle_down()
    assert [worker.state for worker in (first, second, third)] == ["open", "open", "open"]


def test_emptied_store_is_restored_within_ten_seconds(world: World) -> None:
    breakers = [world.worker() for _ in range(2)]
    world.settle_down()
    breakers[0].force_open(why="migration")
    world.settle_down()
    vars(world.store).update(vars(MemoryStore(clock=world.clock)))
    world.pass_time(10)
    assert {breaker.state for breaker in breakers} == {"forced_open"}
    record = record_in(world.store, "bank")
    assert (record.state, record.reason) == ("forced_open", "forced open by hand: migration")


async def test_a_guarded_async_generator_waits_for_its_probe(world: World) -> None:
    breaker = world.worker(fail_max=1, timeout_duration=5)

    @breaker
    async def entries() -> AsyncIterator[int]:
        yield 1

    world.settle_down()
    fail(breaker)
    world.pass_time(6)
    with pytest.raises(CircuitBreakerError):
        [entry async for entry in entries()]
    world.settle_down()
    assert [entry async for entry in entries()] == [1]


def test_old_failure_makes_no_witness(world: World) -> None:
    settings = {"failure_rate": 0.5, "window": breaker_asgi.TimeWindow(30), "minimum_calls": 10}
    sick, well = (world.worker(2, **settings) for _ in range(2))
    world.settle_down()
    fail(well)
    world.pass_time(1.1)
    world.pass_time(61)
    fail(sick, 10)
    world.settle_down()
    assert (sick.state, well.state) == ("open", "closed")


def test_a_worker_asks_for_a_probe_at_most_twenty_times_a_second(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker = world.worker(fail_max=1, timeout_duration=5)
    other = world.worker(fail_max=1, timeout_duration=5)
    world.settle_down()
    fail(breaker)
    world.pass_time(6)
    claims = Counter[str]()
    sync = world.store.sync

    def counted(worker: str, number: int, cursor: int, batch: Sequence[Entry]) -> Answer:
        claims[worker] += sum(bool(entry.claims) for entry in batch)
        return sync(worker, number, cursor, batch)

    monkeypatch.setattr(world.store, "sync", counted)
    lent = None
    for _ in range(1000):
        for caller in (breaker, other):
            with contextlib.suppress(CircuitBreakerError):
                lent = caller.acquire()
        world.pass_time(0.001)
    assert lent is not None
    assert max(claims.values()) <= 21
