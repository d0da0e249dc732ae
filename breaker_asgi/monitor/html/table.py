"""The table of the breakers, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from breaker_asgi.monitor.html.breaker_wording import began, levels, quiet, row_fields
from breaker_asgi.monitor.html.wording import Json, address_of, chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEADS = (
    ("State", "urgency"),
    ("Breaker", "name"),
    ("Rejected/s", "rejected"),
    ("Calls/s", "calls"),
    ("Failures", "failing"),
    ("Slow", ""),
    ("p50 / p95", "p95"),
    ("Last minute", ""),
)
"""The columns, and the order of the rows that a click on their heading chooses."""

_ROW = """
<tr role="row" class="row" data-name="%(name)s" data-state="%(state)s">
<td role="cell" class="c-state"><span class="state"><svg class="icon" aria-hidden="true"><use \
href="#i-%(state)s"/></svg> <span data-f="words">%(words)s</span></span> \
<time class="since" data-f="since" datetime="%(began)s">%(since)s</time> \
<span class="next" data-f="next">%(next)s</span></td>
<th role="rowheader" scope="row" class="c-name"><a href="%(href)s" title="%(name)s">\
<bdi data-f="name">%(name)s</bdi></a> \
<span class="alone" data-f="alone">%(alone)s</span> \
<span class="reason" data-f="reason" title="%(reason)s">%(reason)s</span></th>
<td role="cell" class="c-rejected" data-some="%(some)s" data-label="Rejected/s">\
<span class="figure" data-f="rejected_rate">%(rejected_rate)s</span> \
<span class="of" data-f="rejected_share">%(rejected_share)s</span></td>
<td role="cell" class="c-rate" data-label="Calls/s">\
<span class="figure" data-f="rate">%(rate)s</span></td>
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
<td role="cell" class="c-times" data-label="p50 / p95"><span class="figure" data-f="p50">%(p50)s\
</span> <span class="of" data-f="p95">%(p95)s</span></td>
<td role="cell" class="c-chart">%(chart)s</td>
</tr>"""

_FOLD = """
<tr role="row" class="row fold"><td role="cell"><a href="%(href)s" id="quiet" \
aria-expanded="%(open)s"><svg class="icon" aria-hidden="true"><use href="#i-closed"/></svg> \
<span data-f="quiet">%(quiet)s</span></a></td></tr>"""

CANVAS = '<canvas role="img" aria-label="No calls in the last minute"></canvas>'


class Blank(dict[str, str]):
    """Empty values for a template that the script fills in."""

    def __missing__(self, name: str) -> str:
        return ""


def escaped(texts: Mapping[str, object]) -> dict[str, str]:
    """Escape all values of a template: names and reasons are data."""
    return {name: escape(str(text)) for name, text in texts.items()}


def heads() -> str:
    """Render the headings; the script makes those with an order to buttons."""
    return "".join(
        f'<th role="columnheader" scope="col" data-order="{order}">{title}</th>'
        for title, order in _HEADS
    )


def rows(breakers: Iterable[Json], base: str, now: float) -> str:
    """Render a row for each breaker, in the given order."""
    return "".join(_row(breaker, base, now) for breaker in breakers)


def _row(breaker: Json, base: str, now: float) -> str:
    texts: dict[str, Any] = row_fields(breaker, now) | levels(breaker)
    texts["href"] = address_of(base, breaker["name"])
    bars = chart(breaker["history"]) if "history" in breaker else ""
    some = "yes" if breaker.get("rejected_per_second") else ""
    more = {"state": breaker["state"], "began": began(breaker) or "", "chart": bars, "some": some}
    return _ROW % escaped(texts | more)


def blank_row() -> str:
    """Render the template that the script fills in for a new breaker."""
    return _ROW % Blank(chart=CANVAS)


def fold(number: int, href: str) -> str:
    """Render the line in place of the quiet breakers, with a link to their rows."""
    return _FOLD % escaped({"quiet": quiet(number), "href": href, "open": "false"})


def blank_fold() -> str:
    return _FOLD % Blank(href="#rows")
