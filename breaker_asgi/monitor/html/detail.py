"""One breaker in detail, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi.monitor.controls import LONGEST_TEXT, LONGEST_TIME
from breaker_asgi.monitor.html.breaker_wording import fields, levels
from breaker_asgi.monitor.html.outages import log
from breaker_asgi.monitor.html.table import Blank, escaped
from breaker_asgi.monitor.html.wording import (
    Json,
    address,
    address_of,
    capital,
    chart,
    moment,
    worker_cells,
    workers_title,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Action(NamedTuple):
    """An action of an operator, and its effect."""

    path: str
    title: str
    effect: str
    hurts: bool
    unless: str = ""
    """The duration if no time is given; empty if the action takes none."""


ACTIONS = (
    Action("close", "Close", "Calls are admitted again and watched.", hurts=False),
    Action(
        "half-open", "Half-open", "A few calls are admitted to find out how it is.", hurts=False
    ),
    Action("reset", "Reset", "It is closed as if new, with an empty window.", hurts=False),
    Action(
        "metrics-only",
        "Metrics only",
        "Calls are admitted and watched, it never trips.",
        hurts=True,
        unless="until changed by hand",
    ),
    Action(
        "open",
        "Open",
        "Every call is rejected until the open time has passed.",
        hurts=True,
        unless="its open time",
    ),
    Action(
        "force-open",
        "Force open",
        "Every call is rejected until changed by hand, or for a time that you give.",
        hurts=True,
        unless="until changed by hand",
    ),
    Action(
        "disable",
        "Disable",
        "Every call is admitted and none is watched: nothing protects the dependency.",
        hurts=True,
        unless="until changed by hand",
    ),
)

_CONTROL = """
<details name="control" data-action="%(path)s" data-hurts="%(hurts)s"><summary>%(title)s</summary>
<form method="post" action="%(url)s"><p>%(effect)s</p>%(fields)s\
<button>%(title)s now</button></form>
</details>"""
_WHY = f"""
<label>Why <input name="why" maxlength="{LONGEST_TEXT}" autocomplete="off" \
placeholder="for the log"></label>"""
_FOR = f"""
<label>For how long (seconds) <input type="number" name="for" min="1" max="{LONGEST_TIME}" \
step="any" autocomplete="off" placeholder="%s"></label>"""

_FIGURES = (
    ("Calls per second", "rate"),
    ("Half of the calls within (p50)", "p50"),
    ("95% of the calls within (p95)", "p95"),
    ("Calls in the window", "calls"),
    ("Calls under way", "under_way"),
    ("Succeeded since the start", "successes"),
    ("Slow since the start", "slow_calls"),
    ("Failed since the start", "failures"),
    ("Rejected since the start", "rejected"),
    ("Ignored since the start", "ignored"),
    ("Excluded exceptions", "excluded"),
    ("Changes of state", "generation"),
    ("Last failure", "last_failure"),
)

_DETAIL = """
<article class="detail" data-state="%(state)s" aria-labelledby="detail-name">
<header><p class="state"><svg class="icon" aria-hidden="true"><use href="#i-%(state)s"/></svg> \
<span data-f="words">%(words)s</span> \
<span class="since">for <span data-f="since">%(since)s</span></span></p>
<a class="close" href="%(home)s" aria-label="Close the details, back to all breakers" \
title="Close (Esc)">✕</a>
<h2 id="detail-name" tabindex="-1"><bdi data-f="name">%(name)s</bdi></h2>
<p class="alone" data-f="alone">%(alone)s</p>
<p class="reason" data-f="reason">%(reason)s</p>
<p class="next" data-f="next">%(next)s</p></header>
<p class="note" data-part="note"></p>
<div class="hints" data-part="hints">%(hints)s</div>
%(controls)s
<section class="big-chart"><h3>Last minute</h3>
<p>%(chart)s</p></section>
<section><h3>Against its limits</h3>
<dl class="limits"><div data-level="%(failing)s" data-levels="failing"><dt>Failures</dt><dd>\
<span class="figure" data-f="failure_rate">%(failure_rate)s</span> \
<span class="of" data-f="failure_limit">%(failure_limit)s</span> \
<span class="of streak" data-levels="streaking" data-level="%(streaking)s" data-f="streak">\
%(streak)s</span></dd></div>
<div data-level="%(slowing)s" data-levels="slowing"><dt>Slow calls</dt><dd>\
<span class="figure" data-f="slow_rate">%(slow_rate)s</span> \
<span class="of" data-f="slow_limit">%(slow_limit)s</span> \
<span class="of hanging" data-f="hanging">%(hanging)s</span></dd></div></dl></section>
<section data-part="workers">%(workers)s</section>
<section><h3>Figures</h3><dl class="pairs">%(figures)s</dl>
<pre class="message" data-f="last_failure_message">%(last_failure_message)s</pre></section>
<section data-part="failure_types">%(failure_types)s</section>
<section><h3>What changed<span class="zone">, times in UTC</span></h3>\
<ol class="events" data-part="events">%(events)s</ol></section>
<section data-part="settings">%(settings)s</section>
</article>"""


def detail(breaker: Json, listing: Json, events: Iterable[Json], base: str) -> str:
    """Render a breaker as part of the page with a listing."""
    now, control = moment(listing["now"]), listing["controls"]
    name = breaker["name"]
    texts = fields(breaker, now)
    values = texts | levels(breaker) | {"state": breaker["state"], "home": address(base, "")}
    return _DETAIL % (
        escaped(values)
        | {
            "chart": escape(chart(breaker["history"])),
            "figures": _figures(texts),
            "hints": "".join(map(_hint, breaker.get("hints", ()))),
            "workers": _workers(breaker["workers"], workers_title(listing["store"])),
            "failure_types": _listed(
                "Failures by type since the start", breaker.get("failure_types")
            ),
            "settings": _listed("Settings in force", breaker.get("settings")),
            "events": log(events, base, now),
            "controls": controls(base, name) if control else "",
        }
    )


def blank_detail(base: str, *, control: bool) -> str:
    """Render the template that the script fills in when a breaker is opened."""
    return _DETAIL % Blank(
        home=escape(address(base, "")),
        figures=_figures(Blank()),
        controls=controls(base, "") if control else "",
    )


def controls(base: str, name: str) -> str:
    """Render a form for each action, folded behind a summary with its effect."""
    forms = "".join(_control(action, address_of(base, name, action.path)) for action in ACTIONS)
    return f'<section class="controls"><h3>Controls</h3>{forms}\n</section>'


def _control(action: Action, url: str) -> str:
    fields = _WHY + (_FOR % escape(action.unless) if action.unless else "")
    return _CONTROL % (escaped(action._asdict() | {"url": url}) | {"fields": fields})


def _figures(texts: Mapping[str, str]) -> str:
    return "".join(_pair(title, key, texts[key]) for title, key in _FIGURES)


def _pair(title: str, key: str, text: str, attributes: str = "") -> str:
    value = f'<dd data-f="{escape(key)}">{escape(text)}</dd>'
    return f"<div{attributes}><dt>{escape(title)}</dt>{value}</div>"


_OF_A_WORKER = ("worker", "state", "calls/s", "OK", "failed", "slow", "rejected")


def _workers(workers: list[Json], title: str) -> str:
    """Render the table of workers that have the breaker, as `detail.js` does."""
    if not workers:
        return ""
    heads = "".join(
        f'<th role="columnheader" scope="col">{capital(title)}</th>' for title in _OF_A_WORKER
    )
    own, *others = workers
    rows = _worker(own, here=True) + "".join(_worker(other, here=False) for other in others)
    return (
        f'<h3>{title}</h3><div class="wide" role="region" tabindex="0" '
        'aria-label="Workers"><table role="table" class="workers">'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table></div>'
    )


def _worker(worker: Json, *, here: bool) -> str:
    name, *figures = map(escape, worker_cells(worker, here=here))
    head = f'<th role="rowheader" scope="row">{name}</th>'
    cells = "".join(f'<td role="cell">{figure}</td>' for figure in figures)
    return f'<tr role="row" data-state="{escape(worker["state"])}">{head}{cells}</tr>'


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
