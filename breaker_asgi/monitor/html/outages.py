"""The outages that last, and the log of stories, as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi.monitor.html.outage_wording import (
    SHOWN,
    more,
    outage_fields,
    story_fields,
    story_state,
)
from breaker_asgi.monitor.html.table import Blank, escaped
from breaker_asgi.monitor.html.wording import Json, address_of, day, moment

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 50
"""Outages that the server renders; the script shows all."""

_OUTAGE = """
<li class="outage" data-name="%(name)s" data-state="%(state)s"%(cause)s>
<div class="o-what"><p class="o-name"><svg class="icon" aria-hidden="true"><use \
href="#i-%(state)s"/></svg> <a href="%(href)s" title="%(name)s">\
<bdi data-f="name">%(name)s</bdi></a> \
<span class="cause">likely cause</span> <bdi class="owner" data-f="owner">%(owner)s</bdi> \
<a class="runbook" data-f="runbook"%(runbook_url)s rel="noreferrer">%(runbook)s</a> \
<bdi class="description" data-f="description">%(description)s</bdi></p>
<p class="o-why"><span data-f="reason">%(reason)s</span> <span class="type" data-f="type">\
%(type)s</span> <span class="by" data-f="by">%(by)s</span></p>
<p class="advice" data-f="advice">%(advice)s</p></div>
<p class="o-figure"><b><span data-f="words">%(words)s</span> \
<span data-f="lasts">%(lasts)s</span></b> <span>since <time data-f="began" \
datetime="%(began_at)s" title="%(began_at)s">%(began)s</time></span></p>
<p class="o-figure"><b><span data-f="away_rate">%(away_rate)s</span> rejected</b> \
<span data-f="away">%(away)s</span></p>
<p class="o-figure"><b data-f="next">%(next)s</b> \
<span data-f="probes">%(probes)s</span></p></li>"""

_STORY = """
<li data-id="%(id)s" data-kind="%(kind)s" data-state="%(state)s">\
<time datetime="%(at)s" title="%(at)s" data-f="time">%(time)s</time> \
<svg class="icon" aria-hidden="true"><use href="#i-%(state)s"/></svg> \
<p><a href="%(href)s" title="%(breaker)s"><bdi data-f="breaker">%(breaker)s</bdi></a> \
<span class="what" data-f="what">%(what)s</span> \
<span class="reason" data-f="reason">%(reason)s</span> \
<span class="cost" data-f="cost">%(cost)s</span></p></li>"""


def outages(breakers: list[Json], cause: str | None, base: str, now: float) -> str:
    """Render the breakers of running outages: the first ones, and the others folded."""
    states: set[str] = set()
    items = [_outage(breaker, cause, base, now, states) for breaker in breakers[:MOST]]
    first, folded = "".join(items[:SHOWN]), "".join(items[SHOWN:])
    rest = len(breakers) - SHOWN
    hidden = "" if rest > 0 else " hidden"
    return (
        f'<ol id="outage-list">{first}</ol>\n<details id="more-outages"{hidden}>'
        f"<summary>{more(max(rest, 0))}</summary><ol>{folded}</ol></details>"
    )


def _outage(breaker: Json, cause: str | None, base: str, now: float, states: set[str]) -> str:
    """Render an outage; the advice for its state only once."""
    advice = {} if breaker["state"] not in states else {"advice": ""}
    states.add(breaker["state"])
    texts = escaped(
        outage_fields(breaker, now)
        | advice
        | {
            "state": breaker["state"],
            "href": address_of(base, breaker["name"]),
            "began_at": breaker["outage"]["began_at"],
        }
    )
    texts["cause"] = " data-cause" if breaker["name"] == cause else ""
    texts["runbook_url"] = ""
    if breaker.get("runbook"):
        texts["runbook_url"] = ' href="{url}"'.format(**escaped({"url": breaker["runbook"]}))
    return _OUTAGE % texts


def blank_outage() -> str:
    """Render the template that the script fills in for a new outage."""
    return _OUTAGE % Blank()


def log(stories: Iterable[Json], base: str, now: float) -> str:
    """Render the stories, with the date where it changes."""
    items, last = [], day(now)
    for story in stories:
        if (date := day(moment(story["at"]))) != last:
            items.append(f'<li class="day">{date}</li>')
            last = date
        items.append(_story(story, base, now))
    return "".join(items)


def _story(story: Json, base: str, now: float) -> str:
    more_texts = {
        "id": story["id"],
        "kind": story["kind"],
        "state": story_state(story),
        "at": story["at"],
        "href": address_of(base, story["breaker"]),
    }
    return _STORY % escaped(story_fields(story, now) | more_texts)


def blank_story() -> str:
    return _STORY % Blank()
