"""Text and figures for a terminal."""

from __future__ import annotations

import re

_LONGEST = 500
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_MINUTE, _HOUR = 60, 3_600
_FEW = 10
_RATE = re.compile(r"(failure|slow-call) rate (\d+%) of [\d,]+ calls(?:, limit \d+%)?")
_WORDS = {"failure": "failed", "slow-call": "slow"}


def printable(text: str) -> str:
    """Return `text` on one line; characters that could control a terminal are escaped."""
    short = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in short
    )


def brief(reason: str) -> str:
    """Return a reason that begins with its figure: `70% failed: TimeoutError`."""
    return _RATE.sub(lambda rate: f"{rate[2]} {_WORDS[rate[1]]}", reason)


def age(seconds: float) -> str:
    """Return an age in its largest unit, rounded down."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def countdown(seconds: float) -> str:
    """Return the time left, rounded up to a second."""
    left = max(0, -int(-seconds // 1))
    if left < _MINUTE:
        return f"{left} s"
    if left < _HOUR:
        return f"{left // _MINUTE}:{left % _MINUTE:02}"
    return f"{left // _HOUR}:{left % _HOUR // _MINUTE:02}:{left % _MINUTE:02}"


def percent(share: float) -> str:
    return f"{share:.0%}"


def milliseconds(seconds: float) -> str:
    value = seconds * 1_000
    return f"{value:.1f}" if value < _FEW else f"{value:,.0f}"


def per_second(rate: float) -> str:
    return f"{rate:.1f}" if rate < _FEW else f"{rate:,.0f}"
