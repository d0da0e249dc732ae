"""The texts of the page. `static/words.js` makes the same in the browser."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from breaker_asgi._core.state import WORST_FIRST, CircuitBreakerState

if TYPE_CHECKING:
    from collections.abc import Mapping

Json: TypeAlias = dict[str, Any]

STATES = {state.value: state.words for state in CircuitBreakerState}
NOTHING = "\N{EN DASH}"

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def count(number: float) -> str:
    """Format a count, short: `1,234`, `56k`, `7.8M`."""
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if number >= size:
            scaled = number / (1_000 if unit == "k" else size)
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:,.0f}{unit}"  # noqa: PLR2004
    return f"{number:,.0f}"


def percent(share: float | None) -> str:
    if share is None:
        return NOTHING
    return "<1%" if 0 < share < 0.01 else f"{int(share * 100 + 0.5)}%"  # noqa: PLR2004


def per_second(number: float) -> str:
    return f"{number:.1f}" if 0 < number < 10 else count(number)  # noqa: PLR2004


def duration(seconds: float | None) -> str:
    """Format the duration of a call: `230 ms`, `1.2 s`."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return "<1 ms" if seconds < 0.001 else f"{int(seconds * 1000 + 0.5)} ms"  # noqa: PLR2004
    return f"{seconds:.1f} s"


def span(seconds: float) -> str:
    """Format a span of time in its two largest units: `3 h 5 min`."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def moment(text: str | None) -> float:
    """Convert an ISO-8601 time to seconds since 1970."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def clock(text: str) -> str:
    """Return the time of day of an ISO-8601 time."""
    return datetime.fromisoformat(text).strftime("%H:%M:%S")


def day(at: float) -> str:
    """Return the date of a moment: `29 Nov`."""
    date = datetime.fromtimestamp(at, UTC)
    return f"{date.day} {_MONTHS[date.month - 1]}"


def last_minute(history: list[list[int]]) -> dict[str, int]:
    """Sum the calls of the last minute by outcome."""
    kinds = ("ok", "failed", "slow", "rejected")
    return {kind: sum(second[place] for second in history) for place, kind in enumerate(kinds, 1)}


def chart(history: list[list[int]]) -> str:
    """Describe the chart."""
    if not history:
        return "No calls in the last minute"
    sums = last_minute(history)
    return "Last minute: " + ", ".join(f"{number:,} {kind}" for kind, number in sums.items())


def sharing(store: Json | None) -> str:
    """Describe what the workers share."""
    if store is None:
        return "each worker counts for itself."
    if not store["works"]:
        return f"the store {store['label']} does not work."
    number = store["workers"]
    among = "" if number is None else " by 1 worker" if number == 1 else f" by {number:,} workers"
    return f"states and figures are shared{among} through {store['label']}."


def member_name(member: Json) -> str:
    """Return the name of a worker that the reader may choose: its host and process."""
    return f"{member['host'] or 'worker'} {member['pid']}"


def all_workers(number: int) -> str:
    """Return the choice of all workers."""
    return f"all {number:,} workers"


def alarm(store: Json | None) -> str:
    """Return the warning at the top while the store does not work, or only in part."""
    if store is None or (store["works"] and not store["problem"]):
        return ""
    if store["works"]:
        return f"The store {store['label']} works only in part: {store['problem']}."
    why = f" {store['problem']}" if store["problem"] else ""
    return f"The store {store['label']} does not work: each worker decides alone.{why}"


def workers_title(store: Json | None) -> str:
    """Return the title of the table of workers."""
    return "In each worker" if store is None or store["works"] else "In the workers, as last heard"


def worker_cells(worker: Json, *, here: bool) -> list[str]:
    """Return a worker's row: its identity, and its figures of the breaker."""
    host = f"{worker['host']} " if worker["host"] else ""
    return [
        f"{host}{worker['pid']}" + (", this one" if here else ""),
        capital(STATES[worker["state"]])
        + (", here only" if worker["alone"] else "")
        + (f", {count(slow)} slow running" if (slow := worker["slow_calls_under_way"]) else ""),
        per_second(worker["calls_per_second"]),
        *(count(worker[name]) for name in ("successes", "failures", "slow_calls", "rejected")),
    ]


def headline(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures over all breakers, by their `data-f`."""
    workers = summary.get("workers") or 1
    return {
        "all_calls": _rate(summary, "calls_per_second"),
        "all_failing": percent(summary.get("failing_share")),
        "all_rejected": _rate(summary, "rejected_per_second"),
        "all_workers": f"{workers:,}",
        "workers_word": "worker" if workers == 1 else "workers",
    }


def _rate(summary: Mapping[str, Any], name: str) -> str:
    rate = summary.get(name)
    return NOTHING if rate is None else per_second(rate)


def verdict(summary: Mapping[str, int]) -> str:
    """Summarize all breakers in one line, the worst first."""
    total = summary["total"]
    if not total:
        return "No breakers yet"
    if summary["closed"] == total:
        return "The breaker is closed" if total == 1 else f"All {total:,} are closed"
    troubled = any(summary[state] for state in WORST_FIRST[:3])
    states = WORST_FIRST[:3] if troubled else WORST_FIRST[3:-1]
    return ", ".join(f"{summary[state]:,} {STATES[state]}" for state in states if summary[state])


def total(summary: Mapping[str, int]) -> str:
    """Return the number of all breakers that follows the verdict."""
    every = summary["total"]
    return "" if summary["closed"] == every else f"of {every:,}"


def worst(summary: Mapping[str, int]) -> str:
    return next((state for state in WORST_FIRST if summary[state]), "closed")


def title(summary: Mapping[str, int]) -> str:
    """Return the title of the browser's tab: `(2 open) Breakers`."""
    state = worst(summary)
    return "Breakers" if state == "closed" else f"({summary[state]:,} {STATES[state]}) Breakers"


def address(base: str, *segments: str) -> str:
    """Return a URL below the monitor, encoded as by `encodeURIComponent`."""
    segments = tuple(quote(segment, safe="!'()*", errors="replace") for segment in segments)
    return "/".join((base, *segments)) or "/"


def own_path(base: str, *segments: str) -> str:
    """Return a URL of the monitor itself, apart from those of breakers."""
    return address(base, "-", *segments)


def address_of(base: str, name: str, *action: str) -> str:
    """Return the URL of a breaker: `~` precedes a name that begins like the monitor's own paths."""
    is_path = name in {".", ".."} or name.startswith(("-/", "~"))
    return address(base, f"~{name}" if is_path else name, *action)


def unlisted(number: int) -> str:
    """Return the footer's text about breakers that the monitor does not show."""
    if not number:
        return ""
    live = "1 breaker lives" if number == 1 else f"{number:,} breakers live"
    return f"; {live} in the default registry, which is not shown here"
