"""Detection of a server's shutdown, by its signal handlers.

A server that waits for open responses before lifespan shutdown would wait for event streams for
ever. uvicorn's signal handler belongs to an object with a flag. Other servers' handlers have none;
so while there are streams, a signal tap is installed before them.
"""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LASTS = 60.0
"""Seconds after a signal in which a server counts as shutting down; it may have ignored it."""


class _SignalTap:
    """A signal handler that records the signal, and calls the handler installed before it."""

    def __init__(self, number: int, before: Callable[[int, Any], object]) -> None:
        self.number = number
        self.before = before

    def __call__(self, number: int, frame: Any) -> None:
        _taps.signalled_at = time.monotonic()
        self.before(number, frame)


class _SignalTaps:
    """The installed taps: none without streams, or outside the main thread."""

    def __init__(self) -> None:
        self.signalled_at: float | None = None
        self._lock = RLock()
        self._users = 0
        self._open: list[_SignalTap] = []

    def begin(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._open += [tap for number in _SIGNALS if (tap := _tap(number))]

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            while self._open and not self._users:
                tap = self._open.pop()
                now: object = signal.getsignal(tap.number)
                if now is tap:
                    with suppress(ValueError):  # another thread: the tap keeps passing signals on
                        signal.signal(tap.number, tap.before)


def _tap(number: int) -> _SignalTap | None:
    """Wrap the installed signal handler, unless it is uvicorn's or no function of a server."""
    before = signal.getsignal(number)
    if (
        not callable(before)
        or isinstance(before, _SignalTap)
        or before is signal.default_int_handler
    ):
        return None
    if hasattr(getattr(before, "__self__", None), "should_exit"):
        return None
    tap = _SignalTap(number, before)
    try:
        signal.signal(number, tap)
    except ValueError:  # only the main thread may install one
        return None
    return tap


_taps = _SignalTaps()
begin_to_listen = _taps.begin
stop_listening = _taps.end


def server_is_ending() -> bool:
    """Return True if the server has been told to end."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if getattr(server, "should_exit", False):
        return True
    signalled_at = _taps.signalled_at
    return signalled_at is not None and time.monotonic() - signalled_at < _LASTS
