"""The state of the live table: its rows, the cursor, and the answers to its questions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi._core.state import FORCED_OPEN, HALF_OPEN, OPEN, WORST_FIRST
from breaker_asgi.cli.arguments import ENDING, seconds_of
from breaker_asgi.cli.keyboard import ENDED
from breaker_asgi.cli.schema import running_outage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breaker_asgi.cli.schema import Breaker

_BROKEN = {OPEN, FORCED_OPEN, HALF_OPEN}
CONTROLS = {
    "o": "open",
    "f": "force-open",
    "c": "close",
    "h": "half-open",
    "d": "disable",
    "m": "metrics-only",
    "r": "reset",
}
"""The action of each key."""
_PAGE = 10


class Control(NamedTuple):
    """A control that the operator has confirmed."""

    name: str
    action: str
    form: dict[str, str]


def _urgency(breaker: Breaker) -> tuple[int, float, int, str]:
    """Return the place of a breaker: outages by their beginning, so that no row jumps."""
    rank, age = WORST_FIRST.index(breaker.state), 0.0
    if breaker.state in _BROKEN:
        outage = running_outage(breaker)
        age = (outage and outage.age) or 0.0
    return breaker.state not in _BROKEN, -age, rank, breaker.name


def _most(value: Callable[[Breaker], float | None]) -> Callable[[Breaker], tuple[float, str]]:
    return lambda breaker: (-(value(breaker) or 0.0), breaker.name)


ORDERS: dict[str, Callable[[Breaker], tuple[object, ...]]] = {
    "urgency": _urgency,
    "rejected/s": _most(lambda breaker: breaker.rejected_per_second),
    "calls/s": _most(lambda breaker: breaker.calls_per_second),
    "failing": _most(lambda breaker: breaker.failing_share),
    "p95": _most(lambda breaker: breaker.p95),
    "name": lambda breaker: (breaker.name,),
}


@dataclass
class Screen:
    """The part of the table that is shown, and the question that is asked."""

    order: str = "urgency"
    search: str = ""
    cursor: str | None = None
    """Name of the breaker under the cursor; None for the first row."""
    offset: int = 0
    """Lines scrolled away, of the details."""
    opened: str | None = None
    """Name of the breaker whose details are shown."""
    asks: str = ""
    """The text that is typed now: `search`, `why` or `for`; empty for none of them."""
    typed: str = ""
    message: str = ""
    """The result of the last control, until the next key."""
    ended: bool = False
    _control: Control | None = field(default=None, repr=False)

    def rows(self, breakers: Sequence[Breaker]) -> list[Breaker]:
        """Return the breakers that the search finds, in order."""
        matches = filter(_matcher(self.search), breakers)
        return sorted(matches, key=ORDERS[self.order])

    def at(self, rows: Sequence[Breaker]) -> int:
        """Return the row of the cursor: the first one if its breaker is gone."""
        return next((row for row, breaker in enumerate(rows) if breaker.name == self.cursor), 0)

    @property
    def question(self) -> str:
        """Text of the question that is asked."""
        if self.asks == "search":
            return f"/{self.typed}"
        control = self._control
        if control is None:
            return ""
        if self.asks == "why":
            return f"{control.action} {control.name}. Why (Esc cancels): {self.typed}"
        unless = ENDING[control.action]
        return f"For how long, such as 10m (empty: {unless}): {self.typed}"

    def press(self, key: str, breakers: Sequence[Breaker], *, controls: bool) -> Control | None:
        """Apply a key. Return the control that it has confirmed."""
        self.message = ""
        if key == ENDED:
            self.ended = True
        elif self.asks:
            return self._type(key)
        elif key in {"q", "Q"}:
            self.ended = True
        elif key in CONTROLS:
            self._begin(CONTROLS[key], self.rows(breakers), controls=controls)
        elif self.opened is not None:
            self._read(key)
        else:
            self._move(key, self.rows(breakers))
        return None

    def _move(self, key: str, rows: Sequence[Breaker]) -> None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -_PAGE, "page down": _PAGE}
        steps |= {" ": _PAGE, "home": -len(rows), "g": -len(rows), "end": len(rows), "G": len(rows)}
        at = self.at(rows)
        if key in steps and rows:
            self.cursor = rows[min(max(at + steps[key], 0), len(rows) - 1)].name
        elif key == "enter" and rows:
            self.opened, self.offset = rows[at].name, 0
            self.cursor = self.opened
        elif key == "/":
            self.asks, self.typed = "search", self.search
        elif key == "s":
            names = [*ORDERS]
            self.order = names[(names.index(self.order) + 1) % len(names)]
        elif key == "escape":
            self.search = ""

    def _read(self, key: str) -> None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -_PAGE, "page down": _PAGE}
        if key in {"escape", "enter", "backspace"}:
            self.opened = None
        else:
            self.offset = max(0, self.offset + (steps | {" ": _PAGE}).get(key, 0))

    def _begin(self, action: str, rows: Sequence[Breaker], *, controls: bool) -> None:
        name = self.opened or (rows[self.at(rows)].name if rows else None)
        if name is None:
            return
        if not controls:
            self.message = "Controls are off, or not allowed to you: see authorize_control."
            return
        self._control = Control(name, action, {})
        self.asks, self.typed = "why", ""

    def _type(self, key: str) -> Control | None:
        if key == "escape":
            self.search = "" if self.asks == "search" else self.search
            self.asks, self._control = "", None
        elif key == "enter":
            return self._answer()
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif len(key) == 1 and key.isprintable():
            self.typed += key
        if self.asks == "search":
            self.search = self.typed
        return None

    def _answer(self) -> Control | None:
        """Take the answer. Return the control after the last question about it."""
        control, question = self._control, self.asks
        if control is None:  # it was the search, which holds already
            self.asks = ""
            return None
        if question == "for" and self.typed:
            try:
                control.form["for"] = seconds_of(self.typed)
            except ValueError as error:
                self.message = str(error)
                return None
        if question == "why":
            if self.typed:
                control.form["why"] = self.typed
            if control.action in ENDING:
                self.asks, self.typed = "for", ""
                return None
        self.asks, self._control = "", None
        return control


def _matcher(text: str) -> Callable[[Breaker], bool]:
    """Return a function that finds breakers by a part of the name, or by a pattern."""
    wanted = text.lower()
    if not re.search(r"[*?]", wanted):
        return lambda breaker: wanted in breaker.name.lower()
    pattern = re.compile(translate(wanted))
    return lambda breaker: pattern.match(breaker.name.lower()) is not None
