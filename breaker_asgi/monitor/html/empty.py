"""A list without rows, as HTML: how to make the first breaker, or what was searched."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from breaker_asgi.monitor.html.wording import STATES, Json, address

if TYPE_CHECKING:
    from collections.abc import Mapping

_EMPTY = """\
<div id="none-yet"%(none)s><h2>No breakers yet</h2>
<p>A breaker appears here when it is made, or when the first call passes it:</p>
<pre>from breaker_asgi import CircuitBreaker

payments = CircuitBreaker("payments")

@payments
def pay(): ...</pre>%(unlisted)s</div>
<div id="no-hits"%(hits)s><h2>No breaker fits</h2>
<p%(no_text)s>The search was <b><bdi id="searched">%(text)s</bdi></b>. It takes a part of a name, \
or a pattern: pay* is all that begins with pay.</p>
<p id="hidden-by-state">%(states)s</p>
<p class="ways"><a href="%(without_text)s" id="clear-search"%(no_text)s>Clear the search</a> \
<a href="%(without_states)s" id="clear-states"%(no_states)s>Show all states</a></p></div>"""

_HIDDEN = " hidden"


def empty(listing: Json, base: str, query: Mapping[str, list[str]]) -> str:
    """Render both reasons for an empty list, of which one is shown."""
    states = [STATES[state] for state in query.get("state", []) if state in STATES]
    text = query.get("name", [""])[-1]
    any_at_all = listing["summary"]["total"] > 0
    return _EMPTY % {
        "none": _HIDDEN if any_at_all else "",
        "hits": "" if any_at_all else _HIDDEN,
        "unlisted": _unlisted(listing["unlisted"]),
        "text": escape(text),
        "no_text": "" if text else _HIDDEN,
        "states": f"Only those that are {escape(' or '.join(states))} are shown." if states else "",
        "no_states": "" if states else _HIDDEN,
        "without_text": _list(base, query, "state"),
        "without_states": _list(base, query, "name"),
    }


def _unlisted(number: int) -> str:
    if not number:
        return ""
    are = "1 is" if number == 1 else f"{number:,} are"
    return (
        f"\n<p>{are} in the default registry, which is not shown here: give them this "
        "monitor's registry, or the monitor the default one.</p>"
    )


def _list(base: str, query: Mapping[str, list[str]], kept: str) -> str:
    encoded = urlencode({kept: query.get(kept, [])}, doseq=True, errors="replace")
    return escape(address(base, "") + (f"?{encoded}" if encoded else ""))
