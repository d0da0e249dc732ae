"""The lock of a SQLite file's folder, and how long locks are waited for."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY = 1.0
"""Seconds that a transaction waits for other processes."""
STEP = 0.02
"""Seconds that SQLite itself waits for other processes: forks wait as long."""
HAS_LOCKS = find_spec("fcntl") is not None
"""True where a folder can be locked, as on all systems but Windows."""


@contextmanager
def locked(folder: Path, *, alone: bool = False) -> Iterator[bool]:
    """Lock a folder, where that is possible: no process opens a file while one is put aside.

    Otherwise it would make a log for the old file, and SQLite would apply it to the new one.
    """
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:  # as on Windows, for any folder
        yield False
        return
    try:
        yield HAS_LOCKS and _is_locked(opened, alone=alone)
    finally:
        os.close(opened)


def _is_locked(opened: int, *, alone: bool) -> bool:
    import fcntl  # noqa: PLC0415 (Windows has none)

    mode = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    until = time.monotonic() + BUSY
    while True:
        try:
            fcntl.flock(opened, mode | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > until:
                return False
            time.sleep(STEP)
        else:
            return True
