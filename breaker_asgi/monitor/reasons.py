"""Reasons of changes for readers without details."""

from __future__ import annotations

import re

_LIMIT = re.compile(r", limit \d+%")


def without_limits(reason: str) -> str:
    """Return a reason without the limit that was reached: what was measured is a figure."""
    return _LIMIT.sub("", reason)
