"""The table of the breakers and the log, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.state import WORST_FIRST
from breaker_asgi.monitor.html.wording import (
    STATES,
    Json,
    address_of,
    chart,
    clock,
    fields,
    levels,
    moment,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ROW = """
<tr role="row" class="row" data-name="%(name)s" data-state="%(state)s">
<td role="cell" class="c-state"><span class="state"><svg class="icon" aria-hidden="true"><use \
href="#i-%(state)s"/></svg> <span data-f="words">%(words)s</span></span> \
<span class="since">for <time data-f="since" datetime="%(changed_at)s">%(since)s</time></span> \
<span class="next" data-f="next">%(next)s</span></td>
<th role="rowheader" scope="row" class="c-name"><a href="%(href)s" data-f="name">%(name)s</a> \
<span class="alone" data-f="alone">%(alone)s</span> \
<span class="reason" data-f="reason">%(reason)s</span></th>
<td role="cell" class="c-failing" data-levels="failing" data-level="%(failing)s" \
data-label="Failures">\
<span class="figure" data-f="failure_rate">%(failure_rate)s</span> \
<span class="of" data-f="failure_limit">%(failure_limit)s</span> \
<span class="of streak" data-levels="streaking" data-level="%(streaking)s" data-f="streak">\
%(streak)s</span></td>
<td role="cell" class="c-slow" data-levels="slowing" data-level="%(slowing)s" data-label="Slow">\
<span class="figure" data-f="slow_rate">%(slow_rate)s</span> \
<span class="of" data-f="slow_limit">%(slow_limit)s</span> \
<span class="of hanging" data-f="hanging">%(hanging)s</span></td>
<td role="cell" class="c-rate" data-label="Calls/s">\
<span class="figure" data-f="rate">%(rate)s</span></td>
<td role="cell" class="c-times" data-label="p50 / p95"><span class="figure" data-f="p50">%(p50)s\
</span> <span class="of"><span data-f="p95">%(p95)s</span></span></td>
<td role="cell" class="c-rejected" data-label="Rejected">\
<span class="figure" data-f="rejected">%(rejected)s</span></td>
<td role="cell" class="c-chart">%(chart)s</td>
</tr>"""

_EVENT = """
<li data-id="%(id)s" data-kind="%(kind)s" data-state="%(to)s">\
<time datetime="%(at)s">%(time)s</time> \
<svg class="icon" aria-hidden="true"><use href="#i-%(to)s"/></svg> \
<p><a href="%(href)s">%(breaker)s</a> <span class="what">%(what)s</span> \
<span class="reason">%(reason)s</span></p></li>"""

CANVAS = '<canvas role="img" aria-label="No calls in the last minute"></canvas>'


class Blank(dict[str, str]):
    """Empty values for a template that the script fills in."""

    def __missing__(self, name: str) -> str:
        return ""


def escaped(texts: Mapping[str, object]) -> dict[str, str]:
    """Escape all values of a template: names and reasons are data."""
    return {name: escape(str(text)) for name, text in texts.items()}


def by_urgency(breaker: Json) -> tuple[int, float, str]:
    """Return the sort key: the worst state first, then the latest change; closed ones by name."""
    state = breaker["state"]
    since = 0.0 if state == "closed" else -moment(breaker["changed_at"])
    return WORST_FIRST.index(state), since, breaker["name"]


def rows(breakers: Iterable[Json], base: str, now: float) -> str:
    return "".join(_row(breaker, base, now) for breaker in sorted(breakers, key=by_urgency))


def _row(breaker: Json, base: str, now: float) -> str:
    texts: dict[str, Any] = fields(breaker, now) | levels(breaker)
    texts["href"] = address_of(base, breaker["name"])
    bars = chart(breaker["history"]) if "history" in breaker else ""
    more = {"state": breaker["state"], "changed_at": breaker["changed_at"], "chart": bars}
    return _ROW % escaped(texts | more)


def blank_row() -> str:
    """Render the template that the script fills in for a new breaker."""
    return _ROW % Blank(chart=CANVAS)


def blank_event() -> str:
    return _EVENT % Blank()


def log(stories: Iterable[Json], base: str) -> str:
    return "".join(_entry(story, base) for story in stories)


def _entry(story: Json, base: str) -> str:
    what, reason, state = _texts_of(story)
    return _EVENT % escaped(
        {
            "id": story["id"],
            "kind": story["kind"],
            "to": state,
            "at": story["at"],
            "time": clock(story["at"]),
            "href": address_of(base, story["breaker"]),
            "breaker": story["breaker"],
            "what": what,
            "reason": reason,
        }
    )


def _texts_of(story: Json) -> tuple[str, str, str]:
    who = f", by {story['who']}" if story["who"] else ""
    if story["kind"] == "outage":
        end = f"until {clock(story['ended_at'])}" if story["ended_at"] else "goes on"
        costs = f"{story['rejected']:,} rejected, {story['probes_failed']:,} probes failed"
        return f"outage, {end}: {costs}", story["reason"] + who, story["state"]
    before, after = story["from"], story["to"]
    what = f"{STATES[before]} → {STATES[after]}"
    if before == after:
        was_reset = story["reason"].startswith("reset by hand")
        what = "was reset" if was_reset else f"stays {STATES[after]}"
    return what, story["reason"] + who, after
