"""The outages of a dependency, by the events of its breaker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED, CLOSING, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.monitor.event_log import Event


@dataclass(slots=True)
class Outage:
    """An outage, from the first opening to the close. Times are seconds since 1970."""

    opened_at: float
    openings: int = 1
    """Openings in a row: one more for each probe that failed, and for a relapse."""
    probed_at: float | None = None
    """When the first probe was admitted."""
    closed_at: float | None = None
    """None while the outage lasts. With a ramp it ends where that begins."""
    rejected: int = 0
    """Calls rejected, as far as the events are kept."""


def outages(events: Iterable[Event]) -> list[Outage]:
    """Return the latest outages in which no operator had a part, the oldest first.

    `events` are those of one breaker, the newest first.
    """
    latest: list[Outage] = []
    for event in reversed([*events]):
        if event["kind"] == "rejections":
            if latest:
                latest[-1].rejected += event["count"]
        elif " by hand" in event["reason"] or not _follow(latest, event):
            latest.clear()
    return latest


def _follow(latest: list[Outage], event: Event) -> bool:
    """Follow a change. Return False if it belongs to no outage that is known from its start."""
    before, after = event["from"], event["to"]
    at = datetime.fromisoformat(event["at"]).timestamp()
    if (before, after) == (CLOSED, OPEN):
        latest.append(Outage(at))
        return True
    if not latest:
        return False
    outage = latest[-1]
    if outage.probed_at is None:  # the half-open state may be too short for another worker
        outage.probed_at = at
    if after == OPEN:
        outage.openings += 1
        outage.closed_at = None
    elif after in {CLOSED, CLOSING} and outage.closed_at is None:
        outage.closed_at = at
    return after in {OPEN, HALF_OPEN, CLOSING, CLOSED}
