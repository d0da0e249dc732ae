"""The controls of a breaker, and the dialog that asks before each of them, as HTML."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from breaker_asgi.monitor.controls import LONGEST_TEXT, LONGEST_TIME
from breaker_asgi.monitor.html.table import escaped
from breaker_asgi.monitor.html.wording import address_of


class Action(NamedTuple):
    """An action of an operator, and its effect."""

    path: str
    title: str
    effect: str
    hurts: bool
    unless: str = ""
    """The duration if no time is given; empty if the action takes none."""


ACTIONS = (
    Action(
        "close",
        "Close",
        "Calls are admitted and watched, with nothing held against it.",
        hurts=False,
    ),
    Action(
        "reset",
        "Reset",
        "Calls are admitted and watched as if it were new: Close, called a reset in the log.",
        hurts=False,
    ),
    Action(
        "half-open",
        "Half-open",
        "The next calls are probes: it closes if they are good, or opens again.",
        hurts=False,
    ),
    Action(
        "open",
        "Open",
        "Every call is rejected for its open time; then it probes by itself.",
        hurts=True,
        unless="its open time",
    ),
    Action(
        "force-open",
        "Force open",
        "Every call is rejected, without probes, until changed by hand or for a time.",
        hurts=True,
        unless="until changed by hand",
    ),
    Action(
        "metrics-only",
        "Metrics only",
        "Every call is admitted and counted. It never trips: nothing protects the dependency.",
        hurts=True,
        unless="until changed by hand",
    ),
    Action(
        "disable",
        "Disable",
        "Every call is admitted, none is counted: nothing protects the dependency.",
        hurts=True,
        unless="until changed by hand",
    ),
)
"""The actions in their order: harmful ones last. `static/controls.js` reads them from the page."""

_CONTROL = """
<details name="control" data-action="%(path)s" data-hurts="%(hurts)s" data-unless="%(unless)s">\
<summary><b>%(title)s</b> <span class="effect">%(effect)s</span></summary>
<form method="post" action="%(url)s">%(fields)s<button>%(title)s now</button></form>
</details>"""
_WHY = f"""
<label>Why <input name="why" maxlength="{LONGEST_TEXT}" autocomplete="off" \
placeholder="for the log"></label>"""
_FOR = f"""
<label>For how long (seconds) <input type="number" name="for" min="1" max="{LONGEST_TIME}" \
step="any" autocomplete="off" placeholder="%s"></label>"""
_NOT_LIVE = (
    '<p class="not-live">This page is not live: it does not show what a change does. '
    "Look at the breaker again before you repeat one.</p>"
)

_TIMES = ((300, "5 min"), (1_800, "30 min"), (3_600, "1 h"))
_TIME = '<label><input type="radio" name="time" value="%s"%s> <span%s>%s</span></label>'


def controls(base: str, name: str) -> str:
    """Render a form for each action, folded behind its title and effect."""
    parts = (
        "".join(
            _control(action, address_of(base, name, action.path))
            for action in ACTIONS
            if action.hurts is hurts
        )
        for hurts in (False, True)
    )
    helpful, harmful = parts
    return (
        f'<section class="controls"><h3>Controls</h3>{_NOT_LIVE}'
        f'<div class="actions">{helpful}\n</div>'
        f'<div class="actions harmful">{harmful}\n</div></section>'
    )


def _control(action: Action, url: str) -> str:
    fields = _WHY + (_FOR % escape(action.unless) if action.unless else "")
    return _CONTROL % (escaped(action._asdict() | {"url": url}) | {"fields": fields})


def dialog() -> str:
    """Render the dialog that the script fills in for an action."""
    choices = [_TIME % ("", " checked", ' id="ask-unless"', "")]
    choices += [_TIME % (seconds, "", "", text) for seconds, text in _TIMES]
    return (
        '<dialog id="ask" aria-labelledby="ask-title" aria-describedby="ask-effect">'
        '<form method="dialog"><h2 id="ask-title"></h2><p id="ask-effect"></p>'
        f'<div id="ask-names" hidden></div>{_NOT_LIVE}'
        '<div id="ask-fields"><fieldset id="ask-time"><legend>For how long</legend>'
        f'<div class="times">{"".join(choices)}<span class="other">'
        f'{_TIME % ("other", "", "", "other:")}<label class="minutes">'
        f'<input type="number" id="ask-minutes" min="1" '
        f'max="{LONGEST_TIME // 60}" step="any" aria-label="Other time in minutes"> min</label>'
        f"</span></div></fieldset>{_WHY}</div>"
        '<p id="ask-outcome" role="status"></p>'
        '<menu><button type="button" id="ask-no">Cancel</button>'
        '<button type="submit" id="ask-yes"></button></menu></form></dialog>'
    )
