"""A PostgreSQL of the tests' own, which can be stopped and started."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest


def _program(name: str) -> str:
    """Return the path of a program of PostgreSQL's, of the newest version that is installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(installed[-1]) if installed else shutil.which(name)
    return path or pytest.skip("no PostgreSQL: what needs one was not tested")


class Postgres:
    """A cluster in a folder that its own user may enter, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        folder.chmod(0o777)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._run(_program("initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "app", "-N")
        self.place = f"app:secret@127.0.0.1:{self.port}/postgres"
        self.url = f"postgresql://{self.place}"
        self.name = f"postgresql://127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -k {self._folder} -c fsync=off"
        self._control("-w", "-l", f"{self._folder}/log", "-o", options, "start")

    def stop(self) -> None:
        self._control("-w", "-m", "immediate", "stop")

    def _control(self, *options: str) -> None:
        self._run(_program("pg_ctl"), "-D", f"{self._folder}/data", *options)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [*self._as, *command], stdout=subprocess.DEVNULL, check=False, cwd="/", timeout=60
        )
        assert done.returncode == 0, command
