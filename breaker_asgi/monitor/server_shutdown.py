"""Whether the server has been told to end.

A server that waits for open responses before it tells an application to end would wait for event
streams for ever. uvicorn's signal handler belongs to an object that notes it. What other servers'
handlers do cannot be seen; so while there are streams, somebody listens before them.
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
"""Seconds after which a server that was told, and still runs, does not mean to end."""


class _Ear:
    """Notes a signal, and passes it on to the handler that was there before."""

    def __init__(self, number: int, before: Callable[[int, Any], object]) -> None:
        self.number = number
        self.before = before

    def __call__(self, number: int, frame: Any) -> None:
        _ears.told_at = time.monotonic()
        self.before(number, frame)


class _Ears:
    """Those that listen now: none without streams, or outside the main thread."""

    def __init__(self) -> None:
        self.told_at: float | None = None
        self._lock = RLock()
        self._users = 0
        self._open: list[_Ear] = []

    def begin(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._open += [ear for number in _SIGNALS if (ear := _listen(number))]

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            while self._open and not self._users:
                ear = self._open.pop()
                now: object = signal.getsignal(ear.number)
                if now is ear:
                    with suppress(ValueError):  # another thread: it goes on passing signals on
                        signal.signal(ear.number, ear.before)


def _listen(number: int) -> _Ear | None:
    """Put an ear before a handler, if it is a function whose end nobody can see."""
    before = signal.getsignal(number)
    if not callable(before) or isinstance(before, _Ear) or before is signal.default_int_handler:
        return None
    if hasattr(getattr(before, "__self__", None), "should_exit"):
        return None
    ear = _Ear(number, before)
    try:
        signal.signal(number, ear)
    except ValueError:  # only the main thread may
        return None
    return ear


_ears = _Ears()
begin_to_listen = _ears.begin
stop_listening = _ears.end


def server_is_ending() -> bool:
    """Whether the server has been told to end."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if getattr(server, "should_exit", False):
        return True
    told_at = _ears.told_at
    return told_at is not None and time.monotonic() - told_at < _LASTS
