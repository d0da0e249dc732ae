"""The calls of a span of time, as bars of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE = 60
_BARS = "▁▂▃▄▅▆▇█"


def sparkline(calls: Sequence[tuple[int, int]], end: int, width: int, span: int = MINUTE) -> str:
    """Return a bar for each part of the `span` seconds up to `end`, relative to the busiest.

    `calls` are pairs of a second and its number of calls.
    """
    sums = [0] * width
    for second, number in calls:
        place = (second - (end - span) - 1) * width // span
        if 0 <= place < width:
            sums[place] += number
    highest = max(sums) or 1
    return "".join(
        _BARS[max(1, round(number / highest * 7))] if number else _BARS[0] for number in sums
    )
