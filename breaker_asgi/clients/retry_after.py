"""The time for which a response asks its caller to wait."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MILLISECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


def seconds_to_wait(retry_after: str | None) -> float:
    """Return the seconds of a `Retry-After` (RFC 9110, 10.2.3); 0 if it can't be read."""
    if retry_after is None:
        return 0.0
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def time_asked_for(headers: Mapping[str, str]) -> float:
    """Return the seconds that a response asks to wait, by the more precise of its headers.

    `retry-after-ms` is of OpenAI's and Anthropic's, in milliseconds.
    """
    milliseconds = (headers.get("retry-after-ms") or "").strip()
    if _MILLISECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    return seconds_to_wait(headers.get("Retry-After"))
