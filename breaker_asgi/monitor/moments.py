"""Moments and outages as JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from breaker_asgi.monitor.reasons import without_limits

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


def outage_json(outage: Outage | None, rejected: float, *, details: bool) -> dict[str, Any] | None:
    """Return an outage, with the calls that are rejected per second while it lasts.

    Its author is a detail.
    """
    if outage is None:
        return None
    content = asdict(outage)
    for moment in ("began_at", "ended_at", "last_probe_at"):
        content[moment] = content[moment] and text_of(content[moment])
    content["rejected_per_second"] = rejected if outage.ended_at is None else None
    return content if details else outage_without_details(content)


def outage_without_details(outage: dict[str, Any]) -> dict[str, Any]:
    """Return an outage as JSON, without the fields that are details."""
    return {**outage, "who": None, "reason": without_limits(outage["reason"])}
