"""The page: complete as the server renders it, and updated live by `static/page.js`.

Everything is served from here: no request leaves the origin, and nothing runs inline.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from breaker_asgi._core.state import WORST_FIRST
from breaker_asgi.monitor.html.assets import style_sheets
from breaker_asgi.monitor.html.controls import dialog
from breaker_asgi.monitor.html.detail import blank_detail, detail
from breaker_asgi.monitor.html.empty import empty
from breaker_asgi.monitor.html.icons import sprite
from breaker_asgi.monitor.html.outage_wording import running_outages
from breaker_asgi.monitor.html.outages import blank_outage, blank_story, log, outages
from breaker_asgi.monitor.html.shown_rows import ShownRows
from breaker_asgi.monitor.html.table import blank_fold, blank_row, heads, rows
from breaker_asgi.monitor.html.wording import (
    STATES,
    Json,
    address,
    alarm,
    all_workers,
    capital,
    clock,
    headline,
    member_name,
    moment,
    own_path,
    sharing,
    title,
    total,
    unlisted,
    verdict,
    worst,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi.asgi.headers import Headers

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE_HEADERS: Headers = [(b"content-security-policy", _POLICY.encode())]

PANEL = 8
"""Breakers that are shown as cards with large charts."""
ORDERS = {
    "urgency": "urgency",
    "rejected": "rejected/s",
    "calls": "calls/s",
    "failing": "failing share",
    "p95": "p95",
    "name": "name",
}
_HEADLINE = (
    ("all_rejected", "rejected/s"),
    ("all_failing", "failing"),
    ("all_calls", "calls/s"),
)

_PAGE = """\
<!doctype html>
<html lang="en" data-base="%(base)s">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>%(title)s</title>
<link rel="icon" type="image/svg+xml" href="%(static)s/icon.svg?state=%(worst)s">
%(styles)s<script type="module" src="%(static)s/page.js"></script>
<body data-view="%(view)s" data-density="%(density)s" data-controls="%(controls)s">
%(sprite)s
<a class="skip" href="#breakers">Skip to the breakers</a>
<header class="top">
<h1><a href="%(home)s">Breakers</a></h1>
<p class="link" id="link" data-link="still"><span id="status" role="status">as of %(clock)s UTC\
</span> <span id="age">reload for newer figures</span></p>
</header>
<section id="headline" aria-label="Now">
<p class="verdict" id="verdict" data-state="%(worst)s"><svg class="icon" aria-hidden="true">\
<use href="#i-%(worst)s"/></svg> <span>%(verdict)s</span> <small>%(total)s</small></p>
<dl class="now" id="now" data-rejecting="%(rejecting)s"%(without)s>%(now)s</dl>
<p class="stale" id="stale" role="status"></p>
</section>
<p class="alarm" id="alarm" role="status">%(alarm)s</p>
<section id="outages" aria-labelledby="outages-title"%(calm)s>
<h2 id="outages-title">Outages now<span class="zone">, times in UTC</span></h2>
%(outages)s
</section>
<section id="traffic" aria-label="Traffic" hidden></section>
<section id="timeline" aria-label="Timeline of outages" hidden></section>
<form class="filters" id="filters" role="search" method="get" action="%(home)s">
<label class="search"><span class="hidden">Name of a breaker</span>\
<input type="search" id="search" name="name" \
value="%(pattern)s" placeholder="Name, or pay*" autocomplete="off" \
spellcheck="false" autocapitalize="off"><kbd aria-hidden="true">/</kbd></label>
<button class="go">Show</button>
<div class="chips" role="group" aria-label="Filter by state">%(chips)s</div>
<p class="found" id="found" role="status"></p>
<p class="held" id="held"></p>
<label class="scope" id="scope"%(alone)s><span>Figures of</span> <select name="worker">%(members)s\
</select></label>
<button type="button" class="as" id="as" hidden></button>
<label class="order"><span>Order</span> <select id="order">%(orders)s</select></label>
</form>
<div class="panes">
<main id="breakers" tabindex="-1">
%(elsewhere)s<section id="panel" aria-label="Breakers" hidden></section>
<table role="table" aria-label="Breakers" id="table"%(none)s>
<thead role="rowgroup"><tr role="row">%(heads)s</tr></thead>
<tbody role="rowgroup" id="rows">%(rows)s</tbody></table>
<div class="empty" id="empty"%(empty)s>%(nothing)s</div>
%(more)s</main>
<div id="detail" role="complementary" aria-label="Details">%(detail)s</div>
<section class="log" aria-labelledby="log-title">
<header><h2 id="log-title">What changed<span class="zone">, times in UTC</span></h2>
<label class="kind"><span class="hidden">Kind of change</span><select id="kind">\
<option value="">all</option><option value="outage">outages</option>\
<option value="by_hand">by hand</option><option value="change">others</option></select></label>
</header><ol class="events" id="log">%(log)s</ol>
<p class="older"><button type="button" id="older" hidden>Older</button></p></section>
</div>
<footer><p>Worker <span id="worker">%(pid)s, started %(started)s UTC</span>; \
<span id="sharing">%(sharing)s</span>%(unlisted)s</p>
<p class="keys"><kbd>/</kbd> search <kbd>j</kbd> <kbd>k</kbd> move <kbd>Enter</kbd> open \
<span class="key-x"><kbd>x</kbd> select</span> <kbd>Esc</kbd> close \
<label><input type="checkbox" id="shortcuts" checked> single letters</label></p>
</footer>
<p class="hidden" id="news" role="status"></p>
%(dialog)s
<template id="row-template"><table><tbody>%(blank_row)s%(blank_fold)s</tbody></table></template>
<template id="outage-template">%(blank_outage)s</template>
<template id="event-template">%(blank_story)s</template>
<template id="detail-template">%(blank_detail)s</template>
</html>
"""


def page(
    listing: Json,
    stories: list[Json],
    base: str,
    name: str | None = None,
    query: Mapping[str, list[str]] | None = None,
) -> bytes:
    """Render the whole document. `query` holds the list's parameters, repeated in its form."""
    base, query = _rooted(base), query or {}
    summary, now = listing["summary"], moment(listing["now"])
    breaker = listing.get("detail") if name is not None else None
    control = listing["controls"]
    view = ShownRows(listing, query)
    lasting = running_outages(listing["breakers"])
    texts: dict[str, object] = {
        "base": base,
        "static": own_path(base, "static"),
        "home": address(base, ""),
        "title": title(summary) if breaker is None else f"{title(summary)} \N{EN DASH} {name}",
        "worst": worst(summary),
        "verdict": verdict(summary),
        "total": total(summary),
        "view": "list" if breaker is None else "detail",
        "density": density(summary["total"]),
        "controls": "yes" if control else "",
        "clock": clock(listing["now"]),
        "pattern": query.get("name", [""])[-1],
        "pid": listing["worker"]["pid"],
        "alarm": alarm(listing["store"]),
        "sharing": sharing(listing["store"]),
        "unlisted": unlisted(listing["unlisted"]),
        "started": listing["worker"]["started_at"][:16].replace("T", " "),
    }
    parts = {
        "styles": style_sheets(own_path(base, "static")),
        "sprite": sprite(),
        "now": _headline(summary),
        "rejecting": "yes" if summary.get("rejected_per_second") else "",
        "without": "" if summary["total"] else " hidden",
        "calm": "" if lasting else " hidden",
        "outages": outages(lasting, summary.get("likely_cause"), base, now),
        "chips": _chips(summary, query.get("state", [])),
        "alone": "" if len(_members_of(listing)) > 1 else " hidden",
        "members": _choices(listing),
        "orders": "".join(f'<option value="{key}">{text}</option>' for key, text in ORDERS.items()),
        "heads": heads(),
        "rows": rows(view.breakers, base, now) + view.fold(base),
        "elsewhere": _elsewhere(listing, query),
        "none": "" if listing["breakers"] else " hidden",
        "empty": " hidden" if listing["breakers"] else "",
        "nothing": empty(listing, base, query),
        "more": view.more(base),
        "detail": detail(breaker, listing, stories, base) if breaker else "",
        "log": log(stories[:100], base, now),
        "blank_row": blank_row(),
        "blank_fold": blank_fold(),
        "blank_outage": blank_outage(),
        "blank_story": blank_story(),
        "blank_detail": blank_detail(base, control=control),
        "dialog": dialog() if control else "",
    }
    values = {key: escape(str(text)) for key, text in texts.items()} | parts
    return (_PAGE % values).encode(errors="replace")


def density(total: int) -> str:
    """Return the page's density: with few breakers it has a panel of large charts."""
    return "panel" if 0 < total <= PANEL else "table"


def _members_of(listing: Json) -> list[Json]:
    members: list[Json] = (listing["store"] or {}).get("members", [])
    return members


def _choices(listing: Json) -> str:
    """Render the workers whose figures the reader may choose."""
    members, scope = _members_of(listing), listing["scope"]["worker"]
    names = {"": all_workers(len(members))}
    names |= {member["worker"]: member_name(member) for member in members}
    return "".join(
        f'<option value="{escape(name)}"{" selected" * (name == (scope or ""))}>'
        f"{escape(text)}</option>"
        for name, text in names.items()
    )


def _headline(summary: Mapping[str, Any]) -> str:
    texts = headline(summary)
    figures = "".join(
        f'<div class="n-{key}"><dt>{title}</dt><dd data-f="{key}">{escape(texts[key])}</dd></div>'
        for key, title in _HEADLINE
    )
    return (
        f'{figures}<div><dt data-f="workers_word">{texts["workers_word"]}</dt>'
        f'<dd data-f="all_workers">{texts["all_workers"]}</dd></div>'
    )


def _rooted(base: str) -> str:
    """Return a path, encoded or not, as a URL that never names another host."""
    path = base.strip("/")
    return "/" + quote(path, safe="%/:@!$&'()*+,;=~", errors="replace") if path else ""


def _chips(summary: Mapping[str, int], pressed: list[str]) -> str:
    """Render a button for each state: the script filters at once, else the form is sent."""
    chips = []
    for state in WORST_FIRST:
        on = state in pressed
        send = "" if on else f' name="state" value="{state}"'
        unused = "" if on or summary[state] else " hidden"
        chips.append(
            f'<button data-state="{state}" aria-pressed="{str(on).lower()}"{send}{unused}>'
            f'<svg class="icon" aria-hidden="true"><use href="#i-{state}"/></svg> '
            f"{capital(STATES[state])} <b>{summary[state]:,}</b></button>"
        )
    return "".join(chips)


def _elsewhere(listing: Json, query: Mapping[str, list[str]]) -> str:
    """Render a note if a form has changed another worker than this one, or only this one."""
    pid, store = listing["worker"]["pid"], listing["store"]
    changed = query.get("by", [""])[-1]
    if not (changed.isascii() and changed.isdigit()):
        return ""
    broken = store is not None and not store["works"]
    if changed != str(pid):
        effect = "where nothing has changed: each worker counts for itself."
        if broken:
            effect = "where nothing has changed: the store does not work."
        elif store is not None:
            effect = "which follows within a second: reload to see it."
        note = f"The change was made in worker {changed}. This is worker {pid}, {effect}"
    elif broken:
        note = f"The change was made in worker {pid} only: the store does not work."
    else:
        return ""
    return f'<p class="note">{note}</p>\n'
