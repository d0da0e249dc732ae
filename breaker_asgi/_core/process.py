"""The process: its lock, and callbacks at its forks and when an application in it is shut down."""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING

from breaker_asgi._core.logs import log_once, writing

if TYPE_CHECKING:
    from collections.abc import Callable


process = 0
"""The number of forks between the first process and this one."""
offset = 0
"""Added to numbers that must not be taken for those of another process."""
lock = RLock()
"""The lock of all breakers, held for a few assignments; no listener is called meanwhile.

No `Lock`: a collected generator may settle its probe at any line.
"""


def _nothing() -> None:
    pass


def at_fork(
    *,
    before: Callable[[], object] = _nothing,
    in_parent: Callable[[], object] = _nothing,
    in_child: Callable[[], object] = _nothing,
) -> None:
    """Have these called at each fork; on systems without any they never are."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def _begin_in_child() -> None:
    global process, offset, lock  # noqa: PLW0603
    process += 1
    offset = process << 64
    lock = RLock()  # another thread of the parent may have held the old one


at_fork(in_child=_begin_in_child)
at_fork(before=writing.before, in_parent=writing.in_parent, in_child=writing.in_child)


_at_shutdown: list[Callable[[], None]] = []


def at_shutdown(function: Callable[[], None]) -> None:
    """Have `function` called when an application has shut down. The process may go on.

    A server that was ended by a signal ends itself by it once it has shut down, as uvicorn does:
    then nothing that is registered with `atexit` runs.
    """
    _at_shutdown.append(function)


def run_shutdown_callbacks() -> None:
    """Call what `at_shutdown` was given. An exception is logged once and holds up nothing."""
    for function in _at_shutdown:
        try:
            function()
        except Exception as error:  # noqa: BLE001
            log_once(function, "the shutdown", error)
