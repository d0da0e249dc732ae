"""Real servers whose workers can be called one by one, and their dependency."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent.parent
DEADLINE = 120.0
HEALTHCHECK = 60.0
"""Seconds for which uvicorn waits for a worker's health check, even if it was killed meanwhile."""
WORKERS = 4
_MOMENT = 0.5


def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """Wait until `condition` is true, and return its result."""
    end = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        if time.monotonic() > end:
            return pytest.fail(f"waited {seconds} s: {what}")
        time.sleep(0.02)


class Worker:
    """One process of a server, on a connection that stays open."""

    def __init__(self, url: str) -> None:
        limits = httpx.Limits(keepalive_expiry=None)  # a new one may reach another worker
        self._client = httpx.Client(base_url=url, timeout=_MOMENT, trust_env=False, limits=limits)
        try:
            self.pid = int(self._client.get("/state/nobody-1").json()["pid"])
        except httpx.TimeoutException:
            self._client.close()
            raise
        self._client.timeout = httpx.Timeout(DEADLINE)

    def get(self, path: str) -> Any:
        return self._of(self._client.get(path))

    def post(self, path: str) -> Any:
        return self._of(self._client.post(path))

    def call(self, name: str) -> str:
        return str(self.post(f"/call/{name}")["outcome"])

    def state(self, name: str) -> str:
        return str(self.get(f"/state/{name}")["state"])

    def changes(self, name: str) -> list[dict[str, Any]]:
        """Return the transitions in its event log, the oldest first."""
        events = self.get(f"/breakers/{name}/events?limit=500")["events"]
        chosen = [event for event in events if event["kind"] == "transition"]
        return sorted(chosen, key=lambda event: int(event["id"]))

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def close(self) -> None:
        self._client.close()

    def _of(self, reply: httpx.Response) -> Any:
        content = reply.raise_for_status().json()
        assert content.get("pid", self.pid) == self.pid, "another worker has answered"
        return content


class Service:
    """A running server of several workers."""

    def __init__(self, url: str, pid: int, size: int) -> None:
        self.url = url
        self.pid = pid
        """The process that starts the workers."""
        self.workers: list[Worker] = []
        self._size = size

    def listens(self) -> bool:
        try:
            return httpx.get(f"{self.url}/state/nobody-1", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def find_workers(self) -> list[Worker]:
        """Connect to each worker."""
        until(self._finds_all, f"{self._size} workers answer", HEALTHCHECK + DEADLINE)
        assert len({worker.pid for worker in self.workers}) == self._size
        return self.workers

    def _finds_all(self) -> bool:
        """Stop the connected workers, so that another one has to answer, if it has started.

        They stop for a moment only: servers end workers that do not answer.
        """
        if len(self.workers) == self._size:
            return True
        for worker in self.workers:
            worker.signal(signal.SIGSTOP)
        try:
            self.workers.append(Worker(self.url))
        except httpx.TimeoutException:
            return False
        finally:
            for worker in self.workers:
                worker.signal(signal.SIGCONT)
        return self._finds_all()

    def kill(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.signal(signal.SIGKILL)
        worker.close()

    def forget_workers(self) -> list[int]:
        """Forget the workers before all are replaced, and return their process ids."""
        gone, self.workers = self.workers, []
        for worker in gone:
            worker.close()
        return [worker.pid for worker in gone]

    def states(self, name: str) -> set[str]:
        return {worker.state(name) for worker in self.workers}

    def all_are(self, name: str, state: str) -> None:
        until(lambda: self.states(name) == {state}, f"{name} is {state} in all workers")


OPTIONS = (
    "--port 0 --no-access-log --timeout-keep-alive 120 "
    f"--timeout-worker-healthcheck {HEALTHCHECK:g}"
)
UVICORN = ("uvicorn", *OPTIONS.split())
"""The command of a uvicorn that does not replace a worker that stops for a while."""


@contextmanager
def running(
    log: Path,
    command: Sequence[str] = (*UVICORN, "--workers", str(WORKERS)),
    size: int = WORKERS,
    /,
    **environment: str,
) -> Iterator[Service]:
    command = [sys.executable, "-m", *command, "tests.integration.stores.fleet_app:app"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        until(lambda: _address(log), "it listens")
        service = Service(_address(log), process.pid, size)
        until(service.listens, "a worker listens")
        service.find_workers()
        try:
            yield service
        finally:
            for worker in service.workers:
                worker.close()
    finally:
        _end(process)


def _address(log: Path) -> str:
    match = re.search(r"(?:running on|Listening at:) (http://[\d.:]+)", log.read_text())
    return match[1] if match else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(DEADLINE)
        return
    process.kill()
    process.wait()
    pytest.fail("the server did not end after its signal")


class RemoteDependency:
    """The dependency, controlled from the test."""

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}"

    def make(self, way: str, name: str) -> None:
        httpx.get(f"{self.url}/{way}/{name}", trust_env=False)

    def calls(self, name: str) -> int:
        return int(httpx.get(f"{self.url}/calls/{name}", trust_env=False).text)


def trip(worker: Worker, name: str, times: int) -> None:
    outcomes: Sequence[str] = [worker.call(name) for _ in range(times)]
    assert outcomes == ["failed"] * times
