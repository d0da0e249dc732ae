"""Callbacks around `os.fork`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


process = 0
"""The number of forks between the first process and this one."""
offset = 0
"""Added to numbers that must not be taken for those of another process."""


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


def _count_process() -> None:
    global process, offset  # noqa: PLW0603
    process += 1
    offset = process << 64


at_fork(in_child=_count_process)
