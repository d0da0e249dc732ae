"""One breaker in detail, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from breaker_asgi.monitor.html.breaker_wording import began, levels
from breaker_asgi.monitor.html.controls import controls
from breaker_asgi.monitor.html.detail_wording import STORY, detail_fields
from breaker_asgi.monitor.html.outages import log
from breaker_asgi.monitor.html.table import Blank, escaped
from breaker_asgi.monitor.html.wording import Json, address, chart, moment
from breaker_asgi.monitor.html.workers_table import workers_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FIGURES = (
    ("Calls in the window", "calls", False),
    ("Calls under way", "under_way", False),
    ("Succeeded since the start", "successes", True),
    ("Slow since the start", "slow_calls", True),
    ("Failed since the start", "failures", True),
    ("Rejected since the start", "rejected", True),
    ("Ignored since the start", "ignored", False),
    ("Excluded exceptions", "excluded", False),
    ("Last failure", "last_failure", False),
)
"""Titles and names; the figures of the third kind are in the table of workers, too."""
_LIMITS = """
<dl class="limits"><div data-level="%(failing)s" data-levels="failing"><dt>Failures</dt><dd>\
<span class="figure" data-f="failure_rate">%(failure_rate)s</span> \
<span class="of" data-f="failure_limit">%(failure_limit)s</span> \
<span class="of streak" data-levels="streaking" data-level="%(streaking)s" data-f="streak">\
%(streak)s</span></dd></div>
<div data-level="%(slowing)s" data-levels="slowing"><dt>Slow calls</dt><dd>\
<span class="figure" data-f="slow_rate">%(slow_rate)s</span> \
<span class="of" data-f="slow_limit">%(slow_limit)s</span> \
<span class="of hanging" data-f="hanging">%(hanging)s</span></dd></div>
<div><dt>Calls per second</dt><dd><span class="figure" data-f="rate">%(rate)s</span></dd></div>
<div><dt>p50, p95, p99</dt><dd class="quantiles"><span class="figure" data-f="p50">%(p50)s</span> \
<span class="of" data-f="p95">%(p95)s</span> <span class="of" data-f="p99">%(p99)s</span></dd></div>
</dl>"""

_DETAIL = """
<article class="detail" data-state="%(state)s" data-total="%(has_total)s" \
aria-labelledby="detail-name">
<header><h2 id="detail-name" tabindex="-1"><bdi data-f="name">%(name)s</bdi></h2>
<a class="close" href="%(home)s" aria-label="Close the details, back to all breakers" \
title="Close (Esc)">✕</a>
<p class="state"><svg class="icon" aria-hidden="true"><use href="#i-%(state)s"/></svg> \
<b data-f="words">%(words)s</b> <span class="since"><span data-f="lasts">%(lasts)s</span> \
<time data-f="since_at" datetime="%(began)s" title="%(began)s">%(since_at)s</time></span></p>
<p class="next" data-f="next">%(next)s</p>
<p class="alone" data-f="alone">%(alone)s</p>
<p class="reason" data-f="reason">%(reason)s</p></header>
<section class="story"><h3><span data-f="story_title">%(story_title)s</span>\
<span class="zone">, times in UTC</span></h3>
<dl class="pairs">%(story)s</dl></section>
<p class="advice" data-f="advice">%(advice)s</p>
<p class="about"><bdi class="owner" data-f="owner">%(owner)s</bdi> \
<a class="runbook" data-f="runbook"%(runbook_url)s target="_blank" rel="noopener noreferrer">\
%(runbook)s</a> <bdi class="description" data-f="description">%(description)s</bdi></p>
<p class="note" data-part="note"></p>
<div class="hints" data-part="hints">%(hints)s</div>
%(controls)s
<section class="big-chart"><h3>Last minute</h3>
<p>%(chart)s</p></section>
<section><h3>Against its limits</h3>%(limits)s</section>
<section data-part="workers">%(workers)s</section>
<section data-part="failure_types">%(failure_types)s</section>
<section><h3>Figures</h3><dl class="pairs">%(figures)s</dl>
<pre class="message" data-f="last_failure_message">%(last_failure_message)s</pre></section>
<section><h3>What changed<span class="zone">, times in UTC</span></h3>\
<ol class="events" data-part="events">%(events)s</ol></section>
<section data-part="settings">%(settings)s</section>
</article>"""


def detail(breaker: Json, listing: Json, events: Iterable[Json], base: str) -> str:
    """Render a breaker as part of the page with a listing."""
    now, control = moment(listing["now"]), listing["controls"]
    texts = detail_fields(breaker, now)
    values = texts | levels(breaker)
    values |= {"state": breaker["state"], "began": began(breaker) or ""}
    values |= {"home": address(base, ""), "has_total": "yes" if breaker.get("total") else ""}
    url = breaker.get("runbook")
    parts = {
        "runbook_url": f' href="{escape(url)}"' if url else "",
        "story": _story(texts),
        "limits": _LIMITS % escaped(values),
        "chart": escape(chart(breaker["history"])),
        "figures": _figures(texts),
        "hints": "".join(map(_hint, breaker.get("hints") or ())),
        "workers": workers_table(breaker, listing["store"]),
        "failure_types": _listed("Failures by type since the start", breaker.get("failure_types")),
        "settings": _listed("Settings in force", breaker.get("settings")),
        "events": log(events, base, now),
        "controls": controls(base, breaker["name"]) if control else "",
    }
    return _DETAIL % (escaped(values) | parts)


def blank_detail(base: str, *, control: bool) -> str:
    """Render the template that the script fills in when a breaker is opened."""
    return _DETAIL % Blank(
        home=escape(address(base, "")),
        story=_story(Blank()),
        limits=_LIMITS % Blank(),
        figures=_figures(Blank()),
        controls=controls(base, "") if control else "",
    )


def _story(texts: Mapping[str, str]) -> str:
    return "".join(_pair(title, key, texts[key]) for title, key in STORY)


def _figures(texts: Mapping[str, str]) -> str:
    return "".join(
        _pair(title, key, texts[key], ' class="summed"' if summed else "")
        for title, key, summed in _FIGURES
    )


def _pair(title: str, key: str, text: str, attributes: str = "") -> str:
    value = f'<dd data-f="{escape(key)}">{escape(text)}</dd>'
    return f"<div{attributes}><dt>{escape(title)}</dt>{value}</div>"


def _hint(hint: Json) -> str:
    setting, text, remedy = (escape(hint[key]) for key in ("setting", "hint", "remedy"))
    return f"<p><code>{setting}</code> {text} <strong>{remedy}</strong></p>"


def _listed(title: str, values: Json | None) -> str:
    if not values:
        return ""
    pairs = "".join(
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in values.items()
    )
    return f'<h3>{title}</h3><dl class="pairs">{pairs}</dl>'
