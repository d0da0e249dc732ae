"""Processes whose Redis goes back to a snapshot, or holds a record that can't be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from breaker_asgi.stores.redis import RedisStore
from tests.integration.stores.conftest import Server
from tests.integration.stores.processes import until
from tests.integration.stores.worker_pool import FAILED, WorkerPool, worker_pool
from tests.integration.stores.worker_process import FAIL_MAX
from tests.stores.place import record_in

WORKERS = 3
NAME = "bank-0.5"


@pytest.fixture
def saving(tmp_path: Path) -> Iterator[Server]:
    """A Redis that comes back from its last snapshot."""
    server = Server(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


def restart(server: Server) -> None:
    server.kill()
    server.start()


def trip_and_recover(pool: WorkerPool) -> None:
    assert [pool[0].ask("call", NAME, "fail") for _ in range(FAIL_MAX)] == [FAILED] * FAIL_MAX
    pool.all_are(NAME, "open")
    until(lambda: "ok" in pool.ask("call", NAME), "a worker probes")
    pool.all_are(NAME, "closed")


@pytest.mark.parametrize("since", ["a trip", "a restart of the workers"])
def test_a_lifted_force_open_does_not_come_back_with_a_snapshot(
    saving: Server, tmp_path: Path, since: str
) -> None:
    with ExitStack() as stack:
        pool = stack.enter_context(worker_pool(WORKERS, saving.url, tmp_path))
        pool[0].ask("force_open", NAME, "anna")
        pool.all_are(NAME, "forced_open")
        with saving.client() as client:
            client.save()
        pool[1].ask("close", NAME, "anna")
        pool.all_are(NAME, "closed")
        if since == "a trip":
            trip_and_recover(pool)
        else:
            later = stack.enter_context(worker_pool(WORKERS, saving.url, tmp_path))
            later.all_are(NAME, "closed")
            for worker in pool:
                worker.kill()
            pool = later
        restart(saving)
        with closing(RedisStore(saving.url)) as store:
            until(lambda: record_in(store, NAME).state == "closed", "the later command holds")
        pool.all_are(NAME, "closed")
        with worker_pool(1, saving.url, tmp_path) as newcomer:
            newcomer.all_are(NAME, "closed")
            assert newcomer.ask("call", NAME) == ["ok"]


def test_a_record_that_can_not_be_read_puts_one_breaker_out_and_no_other(
    saving: Server, tmp_path: Path
) -> None:
    with (
        worker_pool(WORKERS, saving.url, tmp_path) as pool,
        saving.client() as client,
    ):
        pool.ask("call", "spoiled-60")
        pool[0].ask("force_open", "spoiled-60", "anna")
        pool.all_are("spoiled-60", "forced_open")
        client.hset("{breaker-asgi:spoiled-60}:1", "state", "ajar")
        pool.wait_until_logged("has a record of breaker 'spoiled-60' that can't be read")
        pool.all_find_the_store(out=False)
        pool[0].ask("force_open", "bank-60", "bert")
        pool.all_are("bank-60", "forced_open")
        with worker_pool(1, saving.url, tmp_path) as newcomer:
            newcomer.all_are("bank-60", "forced_open")
        client.delete("{breaker-asgi:spoiled-60}:1")
        pool.wait_until_logged("that can be read again")
        pool.all_are("spoiled-60", "forced_open")
