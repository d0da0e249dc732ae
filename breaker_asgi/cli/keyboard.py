"""The keys that are pressed in a terminal."""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDED = "q"
"""The key that stands for a terminal that is gone."""
_READS_KEYS = find_spec("termios") is not None
"""False on Windows."""
QUITS = "q" if _READS_KEYS else "Ctrl-C"
"""The key that ends the table."""


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""


@contextmanager
def keyboard() -> Iterator[Callable[[float], str]]:
    """Yield a function that waits some seconds for keys, and returns the keys pressed."""
    if not (_READS_KEYS and sys.stdin and sys.stdin.isatty()):
        yield _wait
        return
    import termios  # noqa: PLC0415
    import tty  # noqa: PLC0415

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
