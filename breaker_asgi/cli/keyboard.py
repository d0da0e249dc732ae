"""The keys that are pressed in a terminal."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDED = "\x04"
"""The key that stands for a terminal that is gone."""
READS_KEYS = find_spec("termios") is not None
"""False on Windows."""
QUITS = "q" if READS_KEYS else "Ctrl-C"
"""The key that ends the table."""

_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|.", re.DOTALL)
_NAMES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\r": "enter",
    "\n": "enter",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\b": "backspace",
}


def keys_of(text: str) -> list[str]:
    """Return the keys of what a terminal has sent: characters, and names such as `page up`."""
    sequences: list[str] = _SEQUENCE.findall(text)
    keys = [_NAMES.get(sequence, sequence) for sequence in sequences]
    return [key for key in keys if not key.startswith("\x1b")]


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return ""


@contextmanager
def keyboard() -> Iterator[Callable[[float], str]]:
    """Yield a function that waits some seconds for keys, and returns what was sent."""
    if not (READS_KEYS and sys.stdin and sys.stdin.isatty()):
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
