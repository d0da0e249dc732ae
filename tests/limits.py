"""Limits of a logic test: it starts no process, binds no port, and takes seconds at most.

A pytest plugin. Tests that start a server, a browser or a process belong to tests/integration.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic  # the real one: tests replace the clocks
from typing import Any, cast

import pytest

_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
LONGEST = 5 * max(1.0, _WORKERS / (os.cpu_count() or 1))
"""Seconds that the call of a logic test may take, without its waits for a processor and the
collections of garbage.

It should take less than one, but a slow machine needs several times as long. The limit is higher
where several workers share a processor: threads that a test starts wait, too. While coverage is
measured (pytest-cov) there is no limit: tracing takes longer than some tests.
"""

_PROCESS = "multiprocessing.Process.start"
_STARTS = {
    _PROCESS: "starts a process",
    "os.exec": "replaces the process",
    "os.fork": "forks",
    "os.forkpty": "forks",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "socket.bind": "binds a port",
    "subprocess.Popen": "starts a process",
}
_SCHEDULER = Path("/proc/thread-self/schedstat")

_started: list[str] = []
"""Audit events of the running test, and of the fixtures that it uses first."""


def _notice(event: str, arguments: tuple[object, ...]) -> None:
    if event in _STARTS and not (event == "socket.bind" and isinstance(arguments[1], str | bytes)):
        _started.append(event)


def _noticed(start: Callable[[BaseProcess], None]) -> Callable[[BaseProcess], None]:
    """Have `start` raise an audit event: Python has none for processes that are spawned."""

    def started(process: BaseProcess) -> None:
        sys.audit(_PROCESS)
        start(process)

    return started


cast("Any", BaseProcess).start = _noticed(BaseProcess.start)
with suppress(ImportError):  # it binds a port while it is imported, to look for IPv6
    import_module("urllib3.util.connection")
sys.addaudithook(_notice)


def _waited() -> float:
    """Return the seconds for which this thread has waited for a processor."""
    try:
        return int(_SCHEDULER.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):  # not Linux: a busy machine counts as slow
        return 0.0


class _Collections:
    """The seconds that garbage collections have taken: they grow with all tests before."""

    def __init__(self) -> None:
        self.seconds = self._began = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._began = monotonic()
        else:
            self.seconds += monotonic() - self._began


_collections = _Collections()


def is_logic(item: pytest.Item) -> bool:
    """Return True if a test has to keep to the limits."""
    return item.get_closest_marker("integration") is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Forget the events of the tests before."""
    _started.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a logic test that has started something, or has taken too long."""
    begun, waited, collected = monotonic(), _waited(), _collections.seconds
    yield
    took = monotonic() - begun - (_waited() - waited) - (_collections.seconds - collected)
    if is_logic(item):
        if _started:
            event = _started[0]
            pytest.fail(
                f"a logic test {_STARTS[event]} ({event}): move it to tests/integration",
                pytrace=False,
            )
        if took > LONGEST and not item.config.getoption("cov_source", None):
            pytest.fail(
                f"a logic test took {took:.1f} s, and may take {LONGEST:g}: make it smaller, or "
                "move it to tests/integration",
                pytrace=False,
            )
