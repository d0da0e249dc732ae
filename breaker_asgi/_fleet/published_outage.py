"""A running outage as a worker publishes it: no moment crosses, only ages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 300
"""Characters of a text that is published."""


def ago(moment: datetime) -> float:
    """Return the seconds since a moment."""
    return round(max(0.0, (datetime.now(UTC) - moment).total_seconds()), 1)


def outage_as_json(outage: Outage | None) -> dict[str, Any] | None:
    """Return an outage as it is published; None if it has ended."""
    if outage is None or outage.ended_at is not None:
        return None
    content = {
        "began_ago": ago(outage.began_at),
        "probed_ago": outage.last_probe_at and ago(outage.last_probe_at),
        "reason": outage.reason[:LONGEST],
        "failure_type": outage.failure_type and outage.failure_type[:LONGEST],
        "by_hand": outage.by_hand,
        "calls": outage.calls,
        "failure_rate": outage.failure_rate,
        "slow_call_rate": outage.slow_call_rate,
        "consecutive_failures": outage.consecutive_failures,
        "probes_failed": outage.probes_failed,
        "rejected": outage.rejected,
    }
    return {field: value for field, value in content.items() if value}


def without_ages(outage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a published outage without what time alone changes."""
    if outage is None:
        return None
    return {field: value for field, value in outage.items() if not field.endswith("_ago")}


def read_outage(content: Any) -> dict[str, Any]:
    """Check an outage that another worker has published. Raises `ValueError` and others."""
    return {
        field: str(content[field])[:LONGEST] if field in _TEXTS else number(content[field])
        for field in _FIELDS
        if content.get(field)
    }


def outage_of(published: Mapping[str, Any], age: float) -> Outage:
    """Return an outage that was published `age` seconds ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    probed, count = published.get("probed_ago"), published.get

    def moment(seconds: float) -> datetime:
        return now - timedelta(seconds=round(min(seconds + age, _LONGEST_AGO)))

    return Outage(
        began_at=moment(published.get("began_ago", 0.0)),
        ended_at=None,
        reason=published.get("reason", ""),
        failure_type=published.get("failure_type"),
        by_hand=bool(published.get("by_hand")),
        who=None,
        calls=int(count("calls", 0)),
        failure_rate=published.get("failure_rate"),
        slow_call_rate=published.get("slow_call_rate"),
        consecutive_failures=int(count("consecutive_failures", 0)),
        probes_failed=int(count("probes_failed", 0)),
        last_probe_at=None if probed is None else moment(probed),
        rejected=int(count("rejected", 0)),
    )


def number(value: Any) -> float:
    """Return a number of another worker. Raises `ValueError` unless it is finite."""
    finite = float(value)
    if not isfinite(finite):
        raise ValueError(value)
    return max(0.0, finite)


_LONGEST_AGO = 1e9
_TEXTS = {"reason", "failure_type"}
_FIELDS = (
    "began_ago",
    "probed_ago",
    "reason",
    "failure_type",
    "by_hand",
    "calls",
    "failure_rate",
    "slow_call_rate",
    "consecutive_failures",
    "probes_failed",
    "rejected",
)
