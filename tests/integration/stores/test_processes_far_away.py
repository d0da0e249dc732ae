"""Eight processes and a Redis, with a network in between that delays, drops, cuts and hangs."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from redis import Redis

from tests.integration.stores.conftest import Server
from tests.integration.stores.processes import until
from tests.integration.stores.proxy import Proxy
from tests.integration.stores.worker_pool import FAILED, REJECTED, WorkerPool, worker_pool
from tests.integration.stores.worker_process import FAIL_MAX

MANY = 8


@pytest.fixture(scope="module")
def proxy(common: Server) -> Iterator[tuple[Proxy, int]]:
    proxy = Proxy(common.port)
    with proxy.running() as port:
        yield proxy, port


@pytest.fixture(scope="module")
def far(
    proxy: tuple[Proxy, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Proxy, WorkerPool]]:
    folder = tmp_path_factory.mktemp("far")
    with worker_pool(MANY, f"redis://127.0.0.1:{proxy[1]}", folder) as pool:
        yield proxy[0], pool


def trip(pool: WorkerPool, name: str) -> None:
    assert [pool[0].ask("call", name, "fail") for _ in range(FAIL_MAX)] == [FAILED] * FAIL_MAX
    pool.all_are(name, "open")


def test_a_slow_network_affects_no_call_and_all_workers_agree(
    far: tuple[Proxy, WorkerPool],
) -> None:
    proxy, pool = far
    proxy.delay = 0.025  # in each direction
    try:
        pool.call_unaffected("delayed-60")
        trip(pool, "slow-60")
        assert pool.ask("call", "slow-60") == [REJECTED] * MANY
        assert pool.ask("is_out") == [False] * MANY
    finally:
        proxy.delay = 0.0


def test_over_a_slow_network_the_fleet_shares_its_probes(far: tuple[Proxy, WorkerPool]) -> None:
    proxy, pool = far
    proxy.delay = 0.025
    try:
        trip(pool, "probes-1")
        held: Counter[str] = Counter()

        def probe() -> bool:
            held.update(pool.ask("hold", "probes-1"))
            return held["held"] > 0

        until(probe, "a probe is admitted")
        held.update(pool.ask("hold", "probes-1"))
        assert set(held) == {"held", REJECTED}
        assert held["held"] == 1
    finally:
        proxy.delay = 0.0


@pytest.mark.parametrize("way", ["drop", "cut", "hang"])
def test_a_failing_network_affects_no_call_and_all_workers_agree_afterwards(
    far: tuple[Proxy, WorkerPool], way: Literal["drop", "cut", "hang"]
) -> None:
    proxy, pool = far
    trip(pool, f"before-{way}-60")
    proxy.way = way
    try:
        pool.call_unaffected(f"well-{way}-60")
        pool.all_find_the_store(out=True)
        pool.call_unaffected(f"well-{way}-60")
        pool.decide_alone(f"alone-{way}-60")
        pool[0].ask("force_open", f"forced-{way}-60", "ann")
        assert pool.ask("call", f"before-{way}-60") == [REJECTED] * MANY
    finally:
        proxy.way = "pass"
    pool.all_find_the_store(out=False)
    pool.all_are(f"alone-{way}-60", "open")
    pool.all_are(f"forced-{way}-60", "forced_open")
    trip(pool, f"after-{way}-60")


WRONG_CLOCK = """
import time
clock, monotonic = time.time, time.monotonic
time.time = lambda: clock() + {0}
time.monotonic = lambda: monotonic() + 1_000_000 + {0}
"""


def test_clocks_of_hosts_may_differ_by_hours(server: Server, tmp_path: Path) -> None:
    with ExitStack() as stack:
        pool = WorkerPool()
        for hours in (-2, 0, 3):
            folder = tmp_path / f"{hours}"
            folder.mkdir()
            (folder / "sitecustomize.py").write_text(WRONG_CLOCK.format(hours * 3600))
            through = ["env", f"PYTHONPATH={folder}:{os.environ.get('PYTHONPATH', '')}"]
            pool += stack.enter_context(worker_pool(1, server.url, folder, through))
        assert max(pool.ask("clock")) - min(pool.ask("clock")) > 4 * 3600
        for worker, name in zip(pool, ["late-1", "right-1", "early-1"], strict=True):
            assert [worker.ask("call", name, "fail") for _ in range(FAIL_MAX)] == [
                FAILED
            ] * FAIL_MAX
            pool.all_are(name, "open")
            assert pool.ask("call", name) == [REJECTED] * len(pool)
        for name in ("late-1", "right-1", "early-1"):
            until(lambda name=name: "ok" in pool.ask("call", name), "a worker probes")  # type: ignore[misc]
            pool.all_are(name, "closed")


def test_a_slow_store_is_reported_until_it_is_fast_again(
    far: tuple[Proxy, WorkerPool],
) -> None:
    proxy, pool = far
    proxy.delay = 0.3  # so that a round trip takes 0.6 s
    try:
        pool.wait_until_logged("is slow: half of the last exchanges took more than")
        assert all("it is slow" in trouble for trouble in pool.ask("trouble"))
        pool.call_unaffected("slowly-60")
    finally:
        proxy.delay = 0.0
    pool.wait_until_logged("is fast enough again")
    assert {worker.logged("is slow") for worker in pool} == {1}


def test_two_hundred_openings_over_a_slow_network_reach_all_workers_soon(
    far: tuple[Proxy, WorkerPool],
) -> None:
    proxy, pool = far
    pool.ask("count_open", OPENINGS)
    proxy.delay = 0.005
    try:
        pool[0].ask("open_many", OPENINGS)
        until(lambda: set(pool.ask("count_open", OPENINGS)) == {OPENINGS}, "all are open")
    finally:
        proxy.delay = 0.0


SECONDS = 4
OPENINGS = 200


def test_traffic_to_the_store_does_not_grow_with_the_calls(server: Server, tmp_path: Path) -> None:
    with worker_pool(2, server.url, tmp_path) as pool, server.client() as client:
        few, many = (_traffic(pool, client, rate) for rate in (10, 2_000))
    assert many.calls > 50 * few.calls
    assert many.commands < 1.5 * few.commands
    assert many.commands < 45 * len(pool)  # with those that scripts call


class Traffic(NamedTuple):
    """The calls of all workers, and the commands that the store gets, by the second."""

    calls: float
    commands: float


def _traffic(pool: WorkerPool, client: Redis, rate: int) -> Traffic:
    before, began = _commands(client), time.monotonic()
    calls = sum(pool.ask("keep_calling", "busy-60", rate, SECONDS))
    commands, seconds = _commands(client) - before, time.monotonic() - began
    return Traffic(calls / seconds, commands / seconds)


def _commands(client: Redis) -> int:
    return int(client.info("stats")["total_commands_processed"])
