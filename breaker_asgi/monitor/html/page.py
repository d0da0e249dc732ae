"""The page: complete as the server renders it, and updated live by `static/page.js`.

Everything is served from here: no request leaves the origin, and nothing runs inline.
"""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from breaker_asgi._core.state import WORST_FIRST
from breaker_asgi.asgi.responses import Response
from breaker_asgi.monitor.html.detail import blank_detail, detail
from breaker_asgi.monitor.html.icons import ICONS, icon, sprite
from breaker_asgi.monitor.html.table import blank_event, blank_row, log, rows
from breaker_asgi.monitor.html.wording import (
    STATES,
    Json,
    address,
    alarm,
    capital,
    clock,
    moment,
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

_TYPES = {"js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8"}
_FRESH = b"private, no-cache"
_STATIC = files("breaker_asgi.monitor.html") / "static"
_HEADS = (
    "State",
    "Breaker",
    "Failures",
    "Slow",
    "Calls/s",
    "p50 / p95",
    "Rejected",
    "Last minute",
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
<link rel="stylesheet" href="%(static)s/page.css">
<link rel="stylesheet" href="%(static)s/charts.css">
<script type="module" src="%(static)s/page.js"></script>
<body data-view="%(view)s">
%(sprite)s
<a class="skip" href="#breakers">Skip to the breakers</a>
<header class="top">
<h1><a href="%(home)s">Breakers</a></h1>
<p class="verdict" id="verdict" data-state="%(worst)s"><svg class="icon" aria-hidden="true">\
<use href="#i-%(worst)s"/></svg> <span>%(verdict)s</span> <small>%(total)s</small></p>
<p class="link" id="link" data-link="still"><span id="status" role="status">as of %(clock)s UTC\
</span> <span id="age">reload for newer figures</span></p>
</header>
<p class="alarm" id="alarm" role="status">%(alarm)s</p>
<form class="filters" id="filters" role="search" method="get" action="%(home)s">
<label class="search"><span class="hidden">Name of a breaker</span>\
<input type="search" id="search" name="name" \
value="%(pattern)s" placeholder="Name, or pay*" autocomplete="off" \
spellcheck="false" autocapitalize="off"><kbd aria-hidden="true">/</kbd></label>
<button class="go">Show</button>
<div class="chips" role="group" aria-label="Filter by state">%(chips)s</div>
<p class="found" id="found" role="status"></p>
</form>
<div class="panes">
<main id="breakers" tabindex="-1">
%(elsewhere)s<table role="table" aria-label="Breakers">
<thead role="rowgroup"><tr role="row">%(heads)s</tr></thead>
<tbody role="rowgroup" id="rows">%(rows)s</tbody></table>
<p class="empty" id="empty"%(empty)s>No breaker to show.</p>
%(more)s</main>
<aside id="detail" aria-label="Details">%(detail)s</aside>
<section class="log" aria-labelledby="log-title"><h2 id="log-title">What changed</h2>
<ol class="events" id="log">%(log)s</ol></section>
</div>
<footer><p>Worker <span id="worker">%(pid)s, started %(started)s UTC</span>; \
<span id="sharing">%(sharing)s</span>%(unlisted)s</p>
<p class="keys"><kbd>/</kbd> search <kbd>j</kbd> <kbd>k</kbd> move <kbd>Enter</kbd> open \
<kbd>Esc</kbd> close \
<label><input type="checkbox" id="shortcuts" checked> single letters</label></p>
</footer>
<p class="hidden" id="news" role="status"></p>
<dialog id="ask" aria-labelledby="ask-title"><form method="dialog"><h2 id="ask-title"></h2>\
<p id="ask-effect"></p><div class="asked" id="ask-fields"></div>\
<p class="error" id="ask-error" role="alert"></p>\
<menu><button type="button" id="ask-no">Cancel</button><button type="submit" id="ask-yes"></button>\
</menu></form></dialog>
<template id="row-template"><table><tbody>%(blank_row)s</tbody></table></template>
<template id="event-template">%(blank_event)s</template>
<template id="detail-template">%(blank_detail)s</template>
</html>
"""


def page(
    listing: Json,
    events: list[Json],
    base: str,
    name: str | None = None,
    query: Mapping[str, list[str]] | None = None,
) -> bytes:
    """Render the whole document. `query` holds the list's parameters, repeated in its form."""
    base, query = _rooted(base), query or {}
    summary, now = listing["summary"], moment(listing["now"])
    breaker = listing.get("detail") if name is not None else None
    control = listing["controls"]
    texts: dict[str, object] = {
        "base": base,
        "static": address(base, "static"),
        "home": address(base, ""),
        "title": title(summary) if breaker is None else f"{title(summary)} \N{EN DASH} {name}",
        "worst": worst(summary),
        "verdict": verdict(summary),
        "total": total(summary),
        "view": "list" if breaker is None else "detail",
        "clock": clock(listing["now"]),
        "pattern": query.get("name", [""])[-1],
        "pid": listing["worker"]["pid"],
        "alarm": alarm(listing["store"]),
        "sharing": sharing(listing["store"]),
        "unlisted": unlisted(listing["unlisted"]),
        "started": listing["worker"]["started_at"][:16].replace("T", " "),
    }
    parts = {
        "sprite": sprite(),
        "chips": _chips(summary, query.get("state", [])),
        "heads": "".join(f'<th role="columnheader" scope="col">{head}</th>' for head in _HEADS),
        "rows": rows(listing["breakers"], base, now),
        "elsewhere": _elsewhere(listing, query),
        "empty": " hidden" if listing["breakers"] else "",
        "more": _more(listing["next"], base, query),
        "detail": detail(breaker, listing, events, base) if breaker else "",
        "log": log(events[:100], base),
        "blank_row": blank_row(),
        "blank_event": blank_event(),
        "blank_detail": blank_detail(base, control=control),
    }
    values = {key: escape(str(text)) for key, text in texts.items()} | parts
    return (_PAGE % values).encode(errors="replace")


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
    changed = query.get("worker", [""])[-1]
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


def _more(after: str | None, base: str, query: Mapping[str, list[str]]) -> str:
    if after is None:
        return ""
    params = {key: query[key] for key in ("state", "name", "limit") if key in query}
    address_of_next = f"{address(base, '')}?{urlencode(params | {'after': after}, doseq=True)}"
    return f'<p class="more" id="more"><a href="{escape(address_of_next)}">More breakers</a></p>'


def static(name: str, query: Mapping[str, list[str]]) -> Response | None:
    """Return a file of the page, with an ETag to revalidate it; None if there is none."""
    if name == "icon.svg":
        state = query.get("state", ["closed"])[-1]
        body = icon(state if state in ICONS else "closed").encode()
        kind = b"image/svg+xml"
    elif name in _files():
        body, kind = _files()[name], _TYPES[name.rpartition(".")[2]]
    else:
        return None
    tag = hashlib.blake2b(body, digest_size=12).hexdigest().encode()
    return Response(200, kind, body, [(b"etag", b'"%s"' % tag), (b"cache-control", _FRESH)])


@cache
def _files() -> dict[str, bytes]:
    return {
        file.name: file.read_bytes()
        for file in _STATIC.iterdir()
        if file.name.rpartition(".")[2] in _TYPES
    }
