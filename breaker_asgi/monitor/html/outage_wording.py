"""The texts of outages and stories. `static/outagewords.js` makes the same in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi.monitor.html.breaker_wording import next_step, running
from breaker_asgi.monitor.html.wording import (
    STATES,
    Json,
    capital,
    clock,
    day,
    moment,
    per_second,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SHOWN = 5
"""Outages that are not folded."""

ADVICE = {
    "closed": "Sleep.",
    "open": "Mend the dependency. The breaker is not the fault, and closes by itself.",
    "half_open": "Wait a moment. If that lasts, its probes hang.",
    "closing": "Wait until it is over.",
    "forced_open": "An operator wanted that: the log has the reason, and the author if one was "
    "given. Ask before you reset it.",
    "disabled": "Nothing protects it, and nothing is counted. If it is sick too, Reset or Force "
    "open the breaker.",
    "metrics_only": "Nothing protects it, but failures are counted: the page shows how it is.",
}
"""The advice of docs/operations.md to a person on call, by the state."""


def outage_fields(breaker: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return the texts of a breaker's running outage, by their `data-f`."""
    outage: Json = running(breaker) or {}
    kind = outage["failure_type"] or ""
    named = kind.rpartition(".")[2] in outage["reason"]
    return {
        "name": breaker["name"],
        "words": capital(STATES[breaker["state"]]),
        "began": since(outage["began_at"], now),
        "lasts": span(now - moment(outage["began_at"])),
        "reason": outage["reason"],
        "type": f"mostly {kind}" if kind and not named else "",
        "by": f"by {outage['who']}" if outage.get("who") else "",
        "probes": probes(outage),
        "away": f"{outage['rejected']:,} so far",
        "away_rate": f"{per_second(breaker.get('rejected_per_second') or 0.0)}/s",
        "next": next_step(breaker),
        "advice": ADVICE[breaker["state"]],
        "owner": breaker.get("owner") or "",
        "runbook": "runbook" if breaker.get("runbook") else "",
        "description": breaker.get("description") or "",
    }


def since(at: str, now: float) -> str:
    """Return the time of day, with the date if it is not that of today."""
    return clock(at) if day(moment(at)) == day(now) else f"{day(moment(at))}, {clock(at)}"


def probes(outage: Mapping[str, Any]) -> str:
    """Describe the probes of an outage so far."""
    number, last = outage["probes_failed"], outage["last_probe_at"]
    at = f", last {clock(last)}" if last else ""
    if not number:
        if outage["by_hand"] and not last:
            return ""
        return f"first probe {clock(last)}" if last else "no probe yet"
    return f"{number:,} {'probe' if number == 1 else 'probes'} failed{at}"


def running_outages(breakers: Iterable[Json]) -> list[Json]:
    """Return the breakers whose outage lasts, in the order in which these began."""
    lasting = (breaker for breaker in breakers if running(breaker) is not None)
    return sorted(lasting, key=lambda breaker: (breaker["outage"]["began_at"], breaker["name"]))


def more(number: int) -> str:
    """Return the title of the outages that are folded."""
    return f"and {number:,} more"


# Stories


def story_fields(story: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return the texts of an entry of the log, by their `data-f`."""
    if story["kind"] == "outage":
        what, reason = _outage(story, now)
    else:
        what, reason = _change(story), story["reason"]
    who = f", by {story['who']}" if story.get("who") else ""
    return {
        "time": clock(story["at"]),
        "breaker": story["breaker"],
        "what": what,
        "reason": reason + who,
        "cost": cost(story) if story["kind"] == "outage" else "",
    }


def story_state(story: Mapping[str, Any]) -> str:
    """Return the state whose symbol an entry has."""
    state: str = story["state"] if story["kind"] == "outage" else story["to"]
    return state


def _outage(story: Mapping[str, Any], now: float) -> tuple[str, str]:
    ended, began = story["ended_at"], moment(story["began_at"])
    if ended is None:
        return f"{STATES[story['state']]} for {span(now - began)}", story["reason"]
    return f"was out for {span(moment(ended) - began)}, until {clock(ended)}", story["reason"]


def cost(story: Mapping[str, Any]) -> str:
    """Describe what an outage cost so far."""
    failed, away = story["probes_failed"], story["rejected"]
    counts = [f"{away:,} {'call' if away == 1 else 'calls'} rejected"] if away else []
    if failed:
        counts.append(f"{failed:,} {'probe' if failed == 1 else 'probes'} failed")
    return ", ".join(counts)


def _change(story: Mapping[str, Any]) -> str:
    before, after = story["from"], story["to"]
    if before != after:
        return f"{STATES[before]} → {STATES[after]}"
    if story["reason"].startswith("reset by hand"):
        return "was reset"
    return f"stays {STATES[after]}"
