"""A real PostgreSQL, and a real Redis."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stores.conftest import Server, common, free_port, server

__all__ = ["common", "server"]


def postgres_program(name: str) -> str:
    """Return a program of PostgreSQL's: on the PATH, or where Debian keeps it."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if program := shutil.which(name) or (str(found[-1]) if found else None):
        return program
    return pytest.skip("no postgres: what needs a PostgreSQL was not tested")


class Postgres:
    """A PostgreSQL that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self.port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:  # it does not run as root
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "--auth=trust", "--username=tester", "--no-sync", "--encoding=UTF8")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run("pg_ctl", "--wait", "-o", f"{options} -c fsync=off", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "--mode=immediate", "--wait", "stop")

    def _run(self, program: str, *options: str) -> None:
        subprocess.run(
            [postgres_program(program), "-D", str(self._data), *options],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user and self._user.pw_uid,
            group=self._user and self._user.pw_gid,
            cwd="/",
            timeout=120,
        )


def made_in(folder: str) -> Iterator[Postgres]:
    postgres = Postgres(Path(folder))
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.stop()


@pytest.fixture(scope="session")
def common_postgres() -> Iterator[Postgres]:
    """One that no test harms."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        yield from made_in(folder)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """One that tests stop, and start again."""
    with tempfile.TemporaryDirectory() as folder:
        yield from made_in(folder)


@pytest.fixture
def replica(common: Server, tmp_path: Path) -> Iterator[Server]:
    """A Redis that can't reach the one that it copies."""
    copy = Server(tmp_path / "replica")
    copy.start()
    yield copy
    copy.kill()
