"""The outages of a breaker, from its events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.monitor.event_log import Event


@dataclass(slots=True)
class Outage:
    """One outage, from the first opening to the close."""

    opened_at: float
    """In seconds since 1970, as all times here."""
    openings: int = 1
    """Openings in a row: one, and one more for each probe that failed."""
    probed_at: float | None = None
    """When the first probe began."""
    closed_at: float | None = None
    """None while the outage lasts."""
    rejected: int = 0
    """Calls rejected, as far as the events are kept."""


def outages(events: Iterable[Event]) -> list[Outage]:
    """Return the latest outages in a row that no operator had a part in, the oldest first.

    `events` are those of one breaker, the newest first.
    """
    found: list[Outage] = []
    for event in reversed(list(events)):
        if event["kind"] == "rejections":
            if found:
                found[-1].rejected += event["count"]
        elif _is_by_hand(event) or not _follow(found, event):
            found.clear()
    return found


def _follow(found: list[Outage], event: Event) -> bool:
    """Add a change. Return False if it is none of an outage whose beginning is known."""
    before, after = event["from"], event["to"]
    at = datetime.fromisoformat(event["at"]).timestamp()
    last = found[-1] if found and found[-1].closed_at is None else None
    if before == CLOSED and after == OPEN:
        found.append(Outage(at))
        return True
    if last is None:
        return False
    if last.probed_at is None:  # a worker that follows another one may have missed the probe
        last.probed_at = at
    if after == OPEN:
        last.openings += 1
    elif after == CLOSED:
        last.closed_at = at
    return after in {OPEN, HALF_OPEN, CLOSED}


def _is_by_hand(event: Event) -> bool:
    return event["who"] is not None or " by hand" in event["reason"]
