"""What the fleets of a process do when it forks, and when it ends."""

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
"""Seconds for a last word to all stores."""


def name_of_this_process() -> str:
    """A name that no other worker has, nor had."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


running: WeakSet[Running] = WeakSet()
"""Those that share in this process."""


def _start_anew() -> None:
    for fleet in list(running):
        fleet.start_anew()


def stop(fleets: Iterable[Running] = running) -> None:
    """Have them tell what is left to tell, and end."""
    until = time.monotonic() + AT_MOST
    # Listeners are joined too: at its end Python stops threads that go on, with their locks held.
    threads = [thread for fleet in list(fleets) for thread in fleet.begin_to_stop()]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _tell_all() -> None:
    until = time.monotonic() + AT_MOST
    for told in [each.flush_soon() for each in list(running)]:
        if told is not None:
            told.wait(max(0.0, until - time.monotonic()))


at_shutdown(_tell_all)
at_fork(in_child=_start_anew)
atexit.register(stop)
