"""The table, drawn by rich: open breakers come first. Names are data, never markup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "rich"):
    from rich.cells import cell_len
    from rich.console import Group, JustifyMethod
    from rich.table import Table
    from rich.text import Text

from breaker_asgi._core.state import (
    CLOSED,
    CLOSING,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    METRICS_ONLY,
    OPEN,
)
from breaker_asgi.cli.formatting import age, countdown, milliseconds, per_second, percent, printable
from breaker_asgi.cli.keyboard import QUITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.cli.schema import Breaker, BreakerList, StoreInfo
    from breaker_asgi.cli.sparkline import Minute

STYLES = {
    OPEN: "bold red",
    FORCED_OPEN: "bold magenta",
    HALF_OPEN: "bold yellow",
    CLOSING: "yellow",
    METRICS_ONLY: "cyan",
    DISABLED: "cyan",
    CLOSED: "green",
}
_RANK = {state: rank for rank, state in enumerate(STYLES)}
_GAP = 2
_NAME, _REASON = 12, 18
_LONGEST_NAME = 40
_BARS = 20
_STATE = max(len(state.words) for state in STYLES)
_NONE = "-"


@dataclass(frozen=True, kw_only=True)
class View:
    """The data that the table is drawn from."""

    url: str
    listing: BreakerList
    answered_at: float
    """When the monitor last answered, in the seconds of this process's clock."""
    trouble: str = ""
    """The reason why it has not since."""
    filtered: bool = False
    minute: Minute | None = None


def picture(view: View, now: float, width: int, height: int | None = None) -> Group:
    """Draw the view at `now`, cut to `height` lines."""
    head = [_headline(view, now), _summary(view.listing)]
    foot = [Text(f"{QUITS} quits", style="dim")] if height else []
    if view.trouble:
        head.append(Text(f"No answer: {view.trouble}", style="bold yellow", no_wrap=True))
    rows = sorted(view.listing.breakers, key=lambda breaker: (_RANK[breaker.state], breaker.name))
    if not rows:
        empty = "None is like that." if view.filtered else "No breakers yet."
        return _cropped([*head, Text(), Text(empty), *foot])
    visible = rows
    if height and len(rows) > (room := max(0, height - len(head) - len(foot) - 1)):
        visible = rows[: max(0, room - 1)]
    table = _table(visible, view, now, width)
    if len(visible) < len(rows):
        foot.insert(0, Text(f"… and {len(rows) - len(visible):,} more", style="dim"))
    return Group(_cropped(head), table, _cropped(foot))


def _cropped(lines: list[Text]) -> Group:
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def _headline(view: View, now: float) -> Text:
    line = Text(printable(view.url), style="bold")
    if view.listing.worker.pid:
        line.append(f"  worker {view.listing.worker.pid}", style="dim")
    if view.trouble:
        line.append(f"  figures {age(now - view.answered_at)} old", style="bold yellow")
    return line


def _summary(listing: BreakerList) -> Text:
    total = listing.summary.get("total", len(listing.breakers))
    line = Text(f"{total:,} breaker{'' if total == 1 else 's'}")
    for state, style in STYLES.items():
        if count := listing.summary.get(state.value, 0):
            line.append(": " if ":" not in line.plain else ", ")
            line.append(f"{count:,} {state.words}", style=style)
    if listing.store is not None:
        line.append("; ")
        line.append(*_sharing(listing.store))
    return line


def _sharing(store: StoreInfo) -> tuple[str, str]:
    """Return the text on the store, and its style."""
    label = printable(store.label)
    if not store.works:
        why = f" ({printable(store.problem)})" if store.problem else ""
        return f"the store {label} does not work, each worker decides alone{why}", "bold yellow"
    number = store.workers
    workers = "" if number is None else f" by {number:,} worker{'' if number == 1 else 's'}"
    if store.problem:
        part = f"shared{workers} through {label}, which works only in part"
        return f"{part} ({printable(store.problem)})", "yellow"
    return f"shared{workers} through {label}", "dim"


@dataclass(frozen=True)
class Column:
    """A column of the table; the least `use` is dropped first where width is short."""

    title: str
    width: int
    use: int
    cell: Callable[[Breaker, float], str]
    right: bool = True


def _since(breaker: Breaker, now: float) -> str:
    return _NONE if breaker.age is None else age(breaker.age + now - breaker.seen_at)


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
    """Return the rate or the failures in a row, whichever is nearer to its limit."""
    streak, most = breaker.consecutive_failures, breaker.fail_max
    in_a_row = f"{streak}/{most:.0f} in a row" if most else f"{streak} in a row" if streak else ""
    if breaker.failure_rate is None:
        return in_a_row or _NONE
    nearness = breaker.failure_rate / breaker.failure_limit if breaker.failure_limit else 0
    if most and streak / most > nearness:
        return in_a_row
    return _rate(breaker.failure_rate, breaker.failure_limit)


def _why(breaker: Breaker) -> str:
    """Return the reason of the state. Slow calls under way come before that of a closed breaker."""
    alone = "in this worker only: " if breaker.alone else ""
    why = alone + printable(breaker.reason)
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
    Column("Since", 6, 8, _since),
    Column("Next probe", 10, 9, _next_probe),
    Column("Failures", 12, 7, _failures),
    Column("Slow", 9, 2, _slow),
    Column("Calls/s", 7, 6, lambda breaker, _: _figure(breaker.calls_per_second, per_second)),
    Column("p50 ms", 6, 3, lambda breaker, _: _figure(breaker.p50, milliseconds)),
    Column("p95 ms", 6, 5, lambda breaker, _: _figure(breaker.p95, milliseconds)),
    Column("Rejected", 9, 4, lambda breaker, _: f"{breaker.rejected:,}"),
)


def _table(rows: list[Breaker], view: View, now: float, width: int) -> Table:
    columns = [*COLUMNS]
    if minute := view.minute:
        bars = Column("Last minute", _BARS, 1, lambda breaker, _: minute.line(breaker.name, _BARS))
        columns.append(bars)
    names = [printable(breaker.name) for breaker in rows]
    longest = max([_NAME, *map(cell_len, names)])
    fitting, room = _fitting(columns, width - _STATE - _GAP - _NAME - _GAP)
    reason = 0 if room < _REASON else max(_REASON, room - (min(longest, _LONGEST_NAME) - _NAME))
    name = min(longest, max(1, _NAME + room - reason))

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("Breaker", width=name, no_wrap=True)
    table.add_column("State", width=_STATE, no_wrap=True)
    if reason:
        table.add_column("Why", width=reason - _GAP, no_wrap=True)
    for column in fitting:
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(column.title, width=column.width, no_wrap=True, justify=justify)
    for breaker, label in zip(rows, names, strict=True):
        why = [Text(_why(breaker))] if reason else []
        cells = [Text(column.cell(breaker, now)) for column in fitting]
        state = Text(breaker.state.words, style=STYLES[breaker.state])
        table.add_row(Text(label), state, *why, *cells)
    return table


def _fitting(columns: list[Column], room: int) -> tuple[list[Column], int]:
    """Return the columns that leave room for the reason, in order, and the room left."""
    kept = columns.copy()
    while kept and room - sum(column.width + _GAP for column in kept) < _REASON:
        kept.remove(min(kept, key=lambda column: column.use))
    return kept, room - sum(column.width + _GAP for column in kept)
