"""The texts of one breaker. `static/breakerwords.js` makes the same in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi.monitor.html.wording import (
    NOTHING,
    STATES,
    Json,
    capital,
    count,
    duration,
    moment,
    per_second,
    percent,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEAR = 0.8
_RECENT = 3_600
"""Seconds for which a closed breaker's last outage is recalled in its row."""
_SETTLED = 300
"""Seconds after an outage in which a breaker does not count as quiet."""
_BROKEN = {"open", "half_open", "forced_open", "closing"}
_NEXT = {
    "half_open": "probing",
    "forced_open": "until changed by hand",
    "disabled": "not watched",
    "metrics_only": "never trips",
}


def running(breaker: Mapping[str, Any]) -> Json | None:
    """Return the outage that a breaker is in, if it is in one."""
    outage: Json | None = breaker.get("outage")
    return outage if outage is not None and outage["ended_at"] is None else None


def began(breaker: Mapping[str, Any]) -> str | None:
    """Return when the outage began, or without one the state."""
    outage = running(breaker)
    changed: str | None = breaker.get("changed_at")
    return outage["began_at"] if outage is not None else changed


def next_step(breaker: Mapping[str, Any]) -> str:
    """Describe the next change that time or a call will bring."""
    state, wait = breaker["state"], breaker["retry_after"]
    if state == "closing":
        share = breaker.get("admitted_share")
        return "" if share is None else f"{percent(share)} admitted"
    if state == "forced_open" and wait is not None:
        return f"closes in {span(wait + 0.999)}" if wait else "next call closes it"
    if state != "open":
        return _NEXT.get(state, "")
    return f"probe in {span(wait + 0.999)}" if wait else "next call probes"


def reason(breaker: Mapping[str, Any], now: float) -> str:
    """Describe why a breaker is in its state: in an outage by the trip, not by the last probe."""
    outage = breaker.get("outage")
    if (current := running(breaker)) is not None:
        return str(current["reason"])
    if breaker["state"] == "closed" and outage is not None:
        ended = moment(outage["ended_at"])
        if now - ended < _RECENT:
            return f"back after an outage of {span(ended - moment(outage['began_at']))}"
        return ""
    return "" if breaker["reason"] == "new" else str(breaker["reason"])


def judged(breaker: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures to compare with the limits: in an outage those of its trip."""
    outage = running(breaker)
    return breaker if outage is None or outage["by_hand"] else {**breaker, **outage}


def streak(breaker: Mapping[str, Any]) -> str:
    """Describe the failures in a row; hide them where a rate decides, unless they have a limit."""
    number, limits = breaker["consecutive_failures"], breaker["limits"] or {}
    if (most := limits.get("fail_max")) is not None:
        return f"{number} of {most} in a row"
    rated = breaker["failure_rate"] is not None or limits.get("failure_rate") is not None
    return f"{number} in a row" if number and not rated else ""


def failure_rate(breaker: Mapping[str, Any]) -> str:
    """Format the failure rate; empty where only failures in a row are counted."""
    limits, rate = breaker["limits"] or {}, breaker["failure_rate"]
    unused = rate is None and limits.get("failure_rate") is None
    return "" if unused and limits.get("fail_max") is not None else percent(rate)


def limit(breaker: Mapping[str, Any], name: str) -> str:
    most = (breaker["limits"] or {}).get(name)
    return "" if most is None else f"of {percent(most)}"


def level(value: float | None, most: float | None) -> str:
    """Compare a figure to its limit: empty, `near` or `over`."""
    if not most or value is None or value < most * _NEAR:
        return ""
    return "over" if value >= most else "near"


def levels(breaker: Mapping[str, Any]) -> dict[str, str]:
    breaker, limits = judged(breaker), breaker["limits"] or {}
    return {
        "failing": level(breaker["failure_rate"], limits.get("failure_rate")),
        "streaking": level(breaker["consecutive_failures"], limits.get("fail_max")),
        "slowing": level(breaker["slow_call_rate"], limits.get("slow_call_rate")),
    }


def under_way(breaker: Mapping[str, Any]) -> str:
    """Describe the calls under way; unknown where durations are not measured."""
    calls, slow = breaker["calls_under_way"], breaker["slow_calls_under_way"]
    if calls is None:
        return NOTHING
    return f"{calls:,}, {slow:,} of them slow" if slow else f"{calls:,}"


def hanging(breaker: Mapping[str, Any]) -> str:
    """Describe the slow calls under way, if there are any."""
    slow = breaker["slow_calls_under_way"]
    if not slow:
        return ""
    return "1 hangs" if slow == 1 else f"{count(slow)} hang"


def last_failure(breaker: Mapping[str, Any], now: float) -> str:
    if not breaker["last_failure_type"]:
        return NOTHING
    ago = span(now - moment(breaker["last_failure_at"]))
    return f"{breaker['last_failure_type']}, {ago} ago"


def fields(breaker: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return all texts of a breaker in a row or the detail view, by their `data-f`."""
    totals = {
        name: f"{breaker[name]:,}"
        for name in ("calls", "successes", "failures", "slow_calls", "ignored", "excluded")
    }
    own = {
        "under_way": under_way(breaker),
        "rejected": count(breaker["rejected"]),
        "generation": NOTHING if breaker["generation"] is None else f"{breaker['generation']:,}",
        "last_failure": last_failure(breaker, now),
        "last_failure_message": breaker["last_failure_message"] or "",
    }
    return totals | own | row_fields(breaker, now)


def row_fields(breaker: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return the texts of a breaker's row, by their `data-f`."""
    trip = judged(breaker)
    failed = failure_rate(trip)
    at_trip = "" if trip is breaker or not failed else " at trip"
    most = limit(trip, "failure_rate")
    turned_away = breaker.get("rejected_per_second") or 0.0
    share = breaker.get("rejected_share")
    return {
        "name": breaker["name"],
        "words": capital(STATES[breaker["state"]]),
        "reason": reason(breaker, now),
        "alone": alone(breaker),
        "since": span(now - moment(began(breaker))),
        "next": next_step(breaker),
        "rejected_rate": per_second(turned_away),
        "rejected_share": f"{percent(share)} of calls" if share else "",
        "rate": per_second(breaker["calls_per_second"]),
        "failure_rate": failed,
        "failure_limit": most + at_trip if most else at_trip.strip(),
        "streak": streak(trip),
        "slow_rate": percent(trip["slow_call_rate"]),
        "slow_limit": limit(trip, "slow_call_rate"),
        "hanging": hanging(breaker),
        "p50": duration(breaker["p50"]),
        "p95": duration(breaker["p95"]),
    }


def alone(breaker: Mapping[str, Any]) -> str:
    """Describe a state that the other workers do not share."""
    state, states = breaker["state"], breaker.get("states") or {}
    every = sum(states.values())
    if len(states) > 1 and states.get(state):
        return f"{STATES[state]} in {states[state]:,} of {every:,} workers"
    return f"{STATES[state]} in this worker only" if breaker["alone"] and every <= 1 else ""


def is_quiet(breaker: Mapping[str, Any], now: float) -> bool:
    """Return True if a breaker is closed, and nothing about it is worth a look."""
    outage = breaker.get("outage")
    return not (
        breaker["state"] != "closed"
        or breaker["alone"]
        or len(breaker.get("states") or ()) > 1
        or breaker.get("rejected_per_second")
        or breaker["slow_calls_under_way"]
        or any(levels(breaker).values())
        or (outage is not None and now - moment(outage["ended_at"]) < _SETTLED)
    )


def quiet(number: int) -> str:
    """Return the line in place of the quiet breakers."""
    return f"{number:,} closed, nothing near its limit"


def by_urgency(breaker: Mapping[str, Any]) -> tuple[int, float, str]:
    """Return the sort key: broken ones by the begin of their outage, the others by name."""
    broken = running(breaker) is not None or breaker["state"] in _BROKEN
    if broken:
        outage = breaker.get("outage")
        at = outage["began_at"] if outage is not None else breaker.get("changed_at")
        return 0, moment(at), breaker["name"]
    return 2 if breaker["state"] == "closed" else 1, 0.0, breaker["name"]
