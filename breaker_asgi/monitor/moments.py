"""Moments and outages as JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from breaker_asgi._core.outage import Outage


def text_of(moment: datetime) -> str:
    """Return a moment as text."""
    return moment.isoformat(timespec="milliseconds")


def now() -> str:
    """Return the present time."""
    return text_of(datetime.now(UTC))


def seconds_ago(seconds: float | None) -> str | None:
    """Return the moment that many seconds ago; None if they are not known."""
    if seconds is None:
        return None
    return text_of(datetime.now(UTC) - timedelta(seconds=min(seconds, 1e9)))


def outage_json(outage: Outage | None) -> dict[str, Any] | None:
    """Return an outage, without its rate of rejections."""
    if outage is None:
        return None
    content = asdict(outage)
    for moment in ("began_at", "ended_at", "last_probe_at"):
        content[moment] = content[moment] and text_of(content[moment])
    return content | {"rejected_per_second": None}
