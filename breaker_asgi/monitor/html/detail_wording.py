"""The texts of a breaker's details. `static/detailwords.js` makes the same in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi.monitor.html.breaker_wording import began, fields, running
from breaker_asgi.monitor.html.outage_wording import ADVICE, probes, since
from breaker_asgi.monitor.html.wording import (
    STATES,
    Json,
    capital,
    count,
    duration,
    moment,
    per_second,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

STORY = (
    ("Now", "story_now"),
    ("Began", "story_began"),
    ("Lasted", "story_lasted"),
    ("Reason", "story_reason"),
    ("Mostly", "story_type"),
    ("By", "story_by"),
    ("Rejected", "story_away"),
    ("Probes", "story_probes"),
)
"""The rows of an outage's story; one without a text is not shown."""


def detail_fields(breaker: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return the texts of a breaker's details, by their `data-f`."""
    at = began(breaker) if running(breaker) is None else None
    return (
        fields(breaker, now)
        | dict.fromkeys((key for _, key in STORY), "")
        | story(breaker, now)
        | {
            "reason": why(breaker),
            "lasts": lasts(breaker, now),
            "since_at": f"since {since(at, now)}" if at else "",
            "p99": duration(breaker.get("p99")),
            "advice": ADVICE[breaker["state"]],
            "owner": breaker.get("owner") or "",
            "runbook": "Runbook" if breaker.get("runbook") else "",
            "description": breaker.get("description") or "",
        }
    )


def why(breaker: Mapping[str, Any]) -> str:
    """Describe why a breaker is in its state: in an outage by the trip."""
    if (outage := running(breaker)) is not None:
        return str(outage["reason"])
    return "" if breaker["reason"] == "new" else str(breaker["reason"])


def lasts(breaker: Mapping[str, Any], now: float) -> str:
    """Describe for how long a breaker is in its state, or in an outage of several states."""
    time = span(now - moment(began(breaker)))
    stays = running(breaker) is None or breaker["state"] in {"open", "forced_open"}
    return f"for {time}" if stays else f"out for {time}"


def story(breaker: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return the texts of the outage that a breaker is in, or of its last one."""
    outage: Json | None = breaker.get("outage")
    if outage is None:
        return {"story_title": ""}
    kind = outage["failure_type"] or ""
    texts = {
        "story_type": "" if kind in outage["reason"] else kind,
        "story_by": outage.get("who") or ("an operator" if outage["by_hand"] else ""),
    }
    if outage["ended_at"] is None:
        return texts | _running(breaker, outage, now)
    return texts | _ended(outage, now)


def _running(breaker: Mapping[str, Any], outage: Json, now: float) -> dict[str, str]:
    forced = breaker["state"] == "forced_open"
    unprobed = forced and not outage["last_probe_at"]
    rate = per_second(breaker.get("rejected_per_second") or 0.0)
    return {
        "story_title": "This outage",
        "story_now": str(breaker["reason"]) if forced and not outage["by_hand"] else "",
        "story_began": since(outage["began_at"], now),
        "story_away": f"{outage['rejected']:,} so far, {rate}/s now",
        "story_probes": "" if unprobed else probes(outage),
    }


def _ended(outage: Json, now: float) -> dict[str, str]:
    first, last = outage["began_at"], outage["ended_at"]
    length = span(moment(last) - moment(first))
    return {
        "story_title": "Last outage",
        "story_lasted": f"{length}, {since(first, now)} to {since(last, now)}",
        "story_reason": outage["reason"],
        "story_away": f"{outage['rejected']:,}",
        "story_probes": probes(outage) if outage["last_probe_at"] else "",
    }


# Workers

OF_A_WORKER = ("worker", "state", "calls/s", "OK", "failed", "slow", "rejected")
_TOTALS = ("successes", "failures", "slow_calls", "rejected")


def total_cells(total: Json, states: Mapping[str, int], workers: int) -> list[str]:
    """Return the row of all workers together."""
    state, every = total["state"], sum(states.values())
    words = capital(STATES[state])
    if len(states) > 1 and states.get(state):
        words += f" in {states[state]:,} of {every:,}"
    who = "1 worker" if workers == 1 else f"All {workers:,} workers"
    totals = (count(total[name]) for name in _TOTALS)
    return [who, words, per_second(total["calls_per_second"]), *totals]
