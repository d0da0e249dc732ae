"""Callbacks of a process's fleets at a fork, at shutdown and at exit."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import time
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from breaker_asgi._core.process import at_fork, at_shutdown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from threading import Event, Thread


class Running(Protocol):
    """A fleet, as far as forks and the end of the process concern it."""

    def start_anew(self) -> None: ...

    def begin_to_stop(self) -> list[Thread]: ...

    def flush_soon(self) -> Event | None: ...


AT_MOST = 0.5
"""Seconds for the last flush to all stores."""


def name_of_this_process() -> str:
    """Return a unique name for this worker."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


running: WeakSet[Running] = WeakSet()
"""Fleets that have been started in this process."""


def _start_anew() -> None:
    for fleet in list(running):
        fleet.start_anew()


def stop(fleets: Iterable[Running] = running) -> None:
    """Flush and end the fleets."""
    until = time.monotonic() + AT_MOST
    # Listeners are joined too: at its end Python stops threads that go on, with their locks held.
    threads = [thread for fleet in list(fleets) for thread in fleet.begin_to_stop()]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _flush_all() -> None:
    until = time.monotonic() + AT_MOST
    for event in [fleet.flush_soon() for fleet in list(running)]:
        if event is not None:
            event.wait(max(0.0, until - time.monotonic()))


at_shutdown(_flush_all)
at_fork(in_child=_start_anew)
atexit.register(stop)
