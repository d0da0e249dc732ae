"""Processes over a Redis that fails over, is full, or a replica; and over a Cluster that is cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.integration.stores.conftest import Server, eventually, running_cluster
from tests.integration.stores.worker_pool import FAILED, REJECTED, WorkerPool, worker_pool
from tests.integration.stores.worker_process import FAIL_MAX

PASSWORD = "s3cret"


class Guarded(Server):
    """A server with a password, alone or a replica of another one."""

    def __init__(self, folder: Path, of: Server | None = None) -> None:
        login = "--requirepass", PASSWORD, "--masterauth", PASSWORD
        super().__init__(folder, *login, "--repl-diskless-sync-delay", "0")
        if of is not None:
            self._command += ["--replicaof", "127.0.0.1", str(of.port)]

    def client(self) -> Any:
        return Redis(port=self.port, password=PASSWORD, socket_timeout=5)

    def has(self, role: str, **fields: str) -> bool:
        with self.client() as client:
            info: Any = client.info("replication")
        return {"role": role, **fields}.items() <= dict(info).items()


class Watched:
    """A primary, its replica, and a Sentinel that has a password of its own."""

    def __init__(self, folder: Path) -> None:
        self.primary = Guarded(folder / "one")
        self.replica = Guarded(folder / "other", of=self.primary)
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"requirepass {PASSWORD}\n"
            f"sentinel monitor main 127.0.0.1 {self.primary.port} 1\n"
            f"sentinel auth-pass main {PASSWORD}\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 2000\n"
        )
        self.sentinel = Guarded.__new__(Guarded)
        Server.__init__(self.sentinel, folder, configuration=configuration)
        place = f"127.0.0.1:{self.sentinel.port}/main?sentinel_password={PASSWORD}"
        self.url = f"redis+sentinel://:{PASSWORD}@{place}"

    def start(self, stack: ExitStack) -> None:
        for server in (self.primary, self.replica):
            server.start()
            stack.callback(server.kill)
        eventually(lambda: self.replica.has("slave", master_link_status="up"))
        self.sentinel.start()
        stack.callback(self.sentinel.kill)
        eventually(self._is_known)

    def _is_known(self) -> bool:
        with self.sentinel.client() as client:
            (main,) = client.sentinel_masters().values()
        return bool(main["num-slaves"] == 1)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        watched = Watched(tmp_path)
        watched.start(stack)
        yield watched


def agree(pool: WorkerPool, name: str) -> None:
    """Trip one worker, and check that all workers reject."""
    assert [pool[0].ask("call", name, "fail") for _ in range(FAIL_MAX)] == [FAILED] * FAIL_MAX
    pool.all_are(name, "open")
    assert pool.ask("call", name) == [REJECTED] * len(pool)


def test_after_a_failover_all_workers_agree_again(watched: Watched, tmp_path: Path) -> None:
    with worker_pool(3, watched.url, tmp_path) as pool:
        agree(pool, "before-60")
        pool[0].ask("force_open", "forced-60", "ann")
        pool.all_are("forced-60", "forced_open")
        watched.primary.kill()
        pool.call_unaffected("well-60")
        pool.all_find_the_store(out=True)
        pool.decide_alone("alone-60")
        assert pool[0].ask("force_open", "meanwhile-60", "ann") == "forced_open"
        eventually(lambda: watched.replica.has("master"))
        pool.all_find_the_store(out=False)
        for name in ("forced-60", "meanwhile-60"):
            pool.all_are(name, "forced_open")
        for name in ("before-60", "alone-60"):
            pool.all_are(name, "open")
        agree(pool, "after-60")
        with watched.replica.client() as client:
            assert client.exists("{breaker-asgi:after-60}:1", "{breaker-asgi:meanwhile-60}:1") == 2


def test_workers_leave_a_primary_that_becomes_a_replica(watched: Watched, tmp_path: Path) -> None:
    with worker_pool(3, watched.url, tmp_path) as pool:
        agree(pool, "before-60")
        with watched.sentinel.client() as client:
            client.execute_command("SENTINEL", "FAILOVER", "main")
        eventually(lambda: watched.replica.has("master"))
        with watched.primary.client() as client:  # the Sentinel would do so, after ten seconds
            client.execute_command("REPLICAOF", "127.0.0.1", watched.replica.port)
        pool.call_unaffected("well-60")
        pool.all_find_the_store(out=False)
        assert set(pool.ask("state", "before-60")) == {"open"}
        agree(pool, "after-60")
        with watched.replica.client() as client:
            eventually(lambda: client.exists("{breaker-asgi:after-60}:1"))


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[list[Server]]:
    """A Cluster for this test alone, whose nodes soon notice one that is gone."""
    with running_cluster(tmp_path / "cluster", "--cluster-node-timeout", "500") as nodes:
        yield nodes


def test_workers_survive_a_node_of_a_cluster_that_restarts_empty(
    own_cluster: list[Server], tmp_path: Path
) -> None:
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in own_cluster)
    names = [f"forced-{number}-60" for number in range(6)]  # some on each node
    with worker_pool(3, f"redis+cluster://{hosts}", tmp_path) as pool:
        agree(pool, "before-60")
        for name in names:
            pool[0].ask("force_open", name, "ann")
            pool.all_are(name, "forced_open")
        own_cluster[0].kill()
        pool.call_unaffected("well-60")
        pool.all_find_the_store(out=True)
        pool.call_unaffected("well-60")
        pool.decide_alone("alone-60")
        own_cluster[0].start()
        pool.all_find_the_store(out=False)
        pool.all_are("alone-60", "open")
        for name in names:
            pool.all_are(name, "forced_open")
        agree(pool, "after-60")


@pytest.mark.parametrize(
    ("harm", "mend"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["full", "a replica"],
)
def test_a_server_that_refuses_writes_affects_no_call_and_all_agree_afterwards(
    server: Server, tmp_path: Path, harm: tuple[str, ...], mend: tuple[str, ...]
) -> None:
    with worker_pool(3, server.url, tmp_path) as pool, server.client() as client:
        agree(pool, "before-60")
        client.execute_command(*harm)
        pool.call_unaffected("well-60")
        pool.all_find_the_store(out=True)
        pool.call_unaffected("well-60")
        pool.decide_alone("alone-60")
        pool[0].ask("force_open", "meanwhile-60", "ann")
        assert pool.ask("call", "before-60") == [REJECTED] * 3
        client.execute_command(*mend)
        pool.all_find_the_store(out=False)
        pool.all_are("meanwhile-60", "forced_open")
        pool.all_are("alone-60", "open")
        agree(pool, "after-60")
        pool.have_logged_the_outage_once()
