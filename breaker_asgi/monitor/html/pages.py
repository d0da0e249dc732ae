"""Pages without a script: a refusal, and the list for readers without figures.

Each is one document with its style inside, as a reader who is refused gets nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from breaker_asgi._core.state import WORST_FIRST
from breaker_asgi.monitor.html.icons import icon, sprite
from breaker_asgi.monitor.html.wording import (
    STATES,
    Json,
    address,
    address_of,
    capital,
    clock,
    span,
    title,
    total,
    verdict,
    worst,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi.asgi.headers import Headers

_STYLE = (files("breaker_asgi.monitor.html") / "static" / "pages.css").read_text()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
    "; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Headers = [(b"content-security-policy", _POLICY.encode())]
RELOAD: Headers = [(b"refresh", b"10")]
"""A header, which reloads a page without a script as `meta` does."""

_DOCUMENT = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>%(title)s</title>
<link rel="icon" type="image/svg+xml" href="data:image/svg+xml,%(icon)s">
<style>%(style)s</style>
<body>
%(body)s
</html>
"""
_REFUSAL = """\
<header><p class="home"><a href="%(home)s">Breakers</a></p></header>
<main class="refusal"><p class="status">%(status)s</p>
<h1>%(heading)s</h1>
<p>%(detail)s</p>
%(advice)s</main>"""
_LIST = """\
%(sprite)s
<header><p class="home"><a href="%(home)s">Breakers</a></p>
<h1 data-state="%(worst)s"><svg class="icon" aria-hidden="true"><use href="#i-%(worst)s"/></svg> \
%(verdict)s <small>%(total)s</small></h1>
<p class="asof">as of %(clock)s UTC; %(reload)s</p></header>
<main>
<table><caption class="hidden">Breakers and their states</caption>
<thead><tr><th scope="col">State</th><th scope="col">Breaker</th>\
<th scope="col">Calls again</th></tr></thead>
<tbody>%(rows)s</tbody></table>
%(empty)s%(more)s</main>
<footer><p>These are names and states only. Operators see figures, reasons and what changed: in a \
browser on the server itself, at its address on localhost, or from anywhere if the application \
lets them by <code>authorize</code>.%(login)s</p></footer>"""
_ROW = """
<tr data-state="%(state)s"><td><span class="state"><svg class="icon" aria-hidden="true">\
<use href="#i-%(state)s"/></svg> %(words)s</span></td>\
<th scope="row" title="%(name)s"><bdi>%(name)s</bdi></th><td>%(again)s</td></tr>"""
_ADVICE = {
    400: "The address has a parameter that the monitor does not take. Nothing was changed.",
    401: "Give a name and a password, or the token, that the application has set up.",
    403: "Names and states of breakers may be open to you. Operators get figures on the server "
    "itself, at its address on localhost and not through a proxy, or wherever the application lets "
    "them by its setting authorize.",
    404: "It may have been removed, or not have been called yet since the start of this process.",
    405: "Use the buttons of the page to change a breaker.",
    503: "Close other pages of the monitor, or come back in a moment.",
}


def refusal(
    status: int, heading: str, detail: str, near: list[str], base: str, *, login: bool
) -> bytes:
    """Render a refusal, with what to do next."""
    home = escape(address(base, ""))
    advice = [f"<p>{escape(_ADVICE[status])}</p>"] if status in _ADVICE else []
    if near:
        links = "".join(
            f'<li><a href="{escape(address_of(base, name))}"><bdi>{escape(name)}</bdi></a></li>'
            for name in near
        )
        advice.append(f"<p>Was it one of these?</p><ul>{links}</ul>")
    links = f'<a href="{home}">All breakers</a>'
    if login and status == 403:  # noqa: PLR2004
        links += f' <a href="{home}?sign-in">Sign in as an operator</a>'
    advice.append(f'<p class="links">{links}</p>')
    values = {
        "home": home,
        "status": str(status),
        "heading": escape(heading),
        "detail": escape(detail),
        "advice": "\n".join(advice),
    }
    return _document(f"{heading} \N{EN DASH} Breakers", "unknown", _REFUSAL % values)


def stranger_page(
    listing: Json, base: str, query: Mapping[str, list[str]], *, login: bool
) -> bytes:
    """Render the list for a reader without figures."""
    summary, home = listing["summary"], escape(address(base, ""))
    worst_first = sorted(
        listing["breakers"], key=lambda breaker: WORST_FIRST.index(breaker["state"])
    )
    texts = {
        "worst": worst(summary),
        "verdict": verdict(summary),
        "total": total(summary),
        "clock": clock(listing["now"]),
    }
    parts = {
        "home": home,
        "sprite": sprite(),
        "rows": "".join(map(_row, worst_first)),
        "empty": "" if worst_first else '<p class="empty">No breaker to show.</p>',
        "more": _more(listing["next"], base, query),
        "reload": _reload(base, query),
        "login": f' <a href="{home}?sign-in">Sign in as an operator</a>' if login else "",
    }
    values = {key: escape(text) for key, text in texts.items()} | parts
    return _document(title(summary), worst(summary), _LIST % values)


def _row(breaker: Json) -> str:
    wait = breaker["retry_after"]
    values = {
        "name": breaker["name"],
        "state": breaker["state"],
        "words": capital(STATES[breaker["state"]]),
        "again": f"in {span(wait)}" if wait else "",
    }
    return _ROW % {key: escape(text) for key, text in values.items()}


def _more(after: str | None, base: str, query: Mapping[str, list[str]]) -> str:
    if after is None:
        return ""
    return f'<p class="links"><a href="{_linked(base, query, after=[after])}">More breakers</a></p>'


def _reload(base: str, query: Mapping[str, list[str]]) -> str:
    if "still" in query:
        return f'<a href="{_linked(base, query, still=None)}">reload every 10 s</a>'
    still = _linked(base, query, still=["1"])
    return f'reloads every 10 s, <a href="{still}">hold it still</a>'


def _linked(base: str, query: Mapping[str, list[str]], **changed: list[str] | None) -> str:
    """Return the address of the list with its parameters, some of them changed."""
    kept = {key: query[key] for key in ("state", "name", "limit", "after", "still") if key in query}
    params = {key: value for key, value in (kept | changed).items() if value}
    encoded = urlencode(params, doseq=True, errors="replace")
    return escape(address(base, "") + (f"?{encoded}" if encoded else ""))


def _document(name: str, state: str, body: str) -> bytes:
    values = {"title": escape(name), "icon": quote(icon(state)), "style": _STYLE, "body": body}
    return (_DOCUMENT % values).encode(errors="replace")
