"""The columns of the table, and the text of each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED, CLOSING, HALF_OPEN, OPEN
from breaker_asgi.cli.formatting import (
    age,
    brief,
    countdown,
    milliseconds,
    per_second,
    percent,
    printable,
)
from breaker_asgi.cli.schema import reason_of, running_outage
from breaker_asgi.cli.sparkline import sparkline

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.cli.schema import Breaker

_BARS = 20
"""Width of the last minute."""
_NONE = "-"


@dataclass(frozen=True)
class Column:
    """A column of the table; the least `use` is dropped first where width is short."""

    title: str
    width: int
    use: int
    cell: Callable[[Breaker, float], str]
    right: bool = True


def _since(breaker: Breaker, now: float) -> str:
    """Return the time since the outage began; without one that of the state."""
    outage = running_outage(breaker)
    since = breaker.age if outage is None else outage.age
    return _NONE if since is None else age(since + now - breaker.seen_at)


def _next_probe(breaker: Breaker, now: float) -> str:
    if breaker.state == HALF_OPEN:
        return "probing"
    if breaker.state == CLOSING and breaker.admitted_share is not None:
        return f"admits {percent(min(breaker.admitted_share, 0.99))}"
    if breaker.state != OPEN or breaker.retry_after is None:
        return ""
    left = breaker.retry_after - (now - breaker.seen_at)
    return countdown(left) if left > 0 else "next call"


def _failures(breaker: Breaker, _now: float) -> str:
    """Return the rate or the failures in a row, whichever is nearer to its limit.

    While the breaker is open they are those that opened it.
    """
    outage, most = running_outage(breaker), breaker.fail_max
    streak, rate = breaker.consecutive_failures, breaker.failure_rate
    if outage is not None:
        streak, rate = outage.consecutive_failures, outage.failure_rate
    in_a_row = f"{streak}/{most:.0f} in a row" if most else f"{streak} in a row" if streak else ""
    if rate is None:
        return in_a_row or _NONE
    nearness = rate / breaker.failure_limit if breaker.failure_limit else 0
    if most and streak / most > nearness:
        return in_a_row
    return _rate(rate, breaker.failure_limit)


def why_of(breaker: Breaker, width: int) -> str:
    """Return the reason of the state. Slow calls under way come before that of a closed breaker."""
    alone = "in this worker only: " if breaker.alone else ""
    reason = printable(reason_of(breaker))
    why = alone + (reason if len(alone + reason) <= width else brief(reason))
    if not breaker.slow_calls_under_way:
        return why
    slow = f"{breaker.slow_calls_under_way:,} slow running"
    return f"{slow}: {why}" if breaker.state == CLOSED else f"{why}, {slow}"


def _slow(breaker: Breaker, _now: float) -> str:
    return _rate(breaker.slow_call_rate, breaker.slow_limit)


def _rate(rate: float | None, limit: float | None) -> str:
    if rate is None:
        return _NONE
    return percent(rate) if limit is None else f"{percent(rate)}/{percent(limit)}"


def _figure(value: float | None, words: Callable[[float], str]) -> str:
    return _NONE if value is None else words(value)


COLUMNS = (
    Column(
        "Rejected/s", 10, 10, lambda breaker, _: _figure(breaker.rejected_per_second, per_second)
    ),
    Column("Since", 6, 8, _since),
    Column("Next probe", 10, 9, _next_probe),
    Column("Failures", 12, 7, _failures),
    Column("Slow", 9, 2, _slow),
    Column("Calls/s", 7, 6, lambda breaker, _: _figure(breaker.calls_per_second, per_second)),
    Column("p50 ms", 6, 3, lambda breaker, _: _figure(breaker.p50, milliseconds)),
    Column("p95 ms", 6, 5, lambda breaker, _: _figure(breaker.p95, milliseconds)),
    Column("Last minute", _BARS, 1, lambda breaker, _: minute(breaker, _BARS), right=False),
)


def minute(breaker: Breaker, width: int) -> str:
    """Return the calls of the last minute as bars; empty where the monitor tells none."""
    end = max((second for second, _ in breaker.history), default=0)
    return sparkline(breaker.history, max(end, int(breaker.as_of)), width) if end else ""
