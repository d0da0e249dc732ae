"""Keys, as they are pressed."""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import termios
    import tty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDED = "q"
"""What a terminal that is gone gives."""


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""


@contextmanager
def keyboard() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for keys, and gives those that were pressed."""
    if sys.platform == "win32" or not (sys.stdin and sys.stdin.isatty()):
        yield _wait
        return
    terminal = sys.stdin.fileno()

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([terminal], [], [], seconds)
        return os.read(terminal, 1024).decode(errors="replace") or ENDED if ready else ""

    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
