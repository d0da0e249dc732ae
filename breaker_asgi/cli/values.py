"""Values of a JSON document, checked: any that is not of its type is unknown."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any


class UnreadableError(ValueError):
    """An answer that is not a monitor's, or not of this version."""


def document(body: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raise UnreadableError for anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableError("no JSON") from None
    if not isinstance(content, dict):
        raise UnreadableError("no JSON object")
    return content


def object_of(content: dict[str, Any], member: str) -> dict[str, Any]:
    value = content.get(member)
    return value if isinstance(value, dict) else {}


def text(content: dict[str, Any], member: str) -> str:
    value = content.get(member)
    return value if isinstance(value, str) else ""


def age(value: Any, now: datetime | None) -> float | None:
    """Return the seconds from a moment to `now`; None where either is unknown."""
    since = moment(value)
    return max(0.0, (now - since).total_seconds()) if now and since else None


def number(value: Any) -> float | None:
    """Return a finite number, or None if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def whole(value: Any) -> int:
    return int(number(value) or 0)


def moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
