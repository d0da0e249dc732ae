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
from breaker_asgi.cli.columns import COLUMNS, Column, why_of
from breaker_asgi.cli.formatting import (
    age,
    per_second,
    percent,
    printable,
)
from breaker_asgi.cli.keyboard import READS_KEYS
from breaker_asgi.cli.screen import Screen

if TYPE_CHECKING:
    from breaker_asgi.cli.schema import Breaker, BreakerList, StoreInfo

STYLES = {
    OPEN: "bold red",
    FORCED_OPEN: "bold magenta",
    HALF_OPEN: "bold yellow",
    CLOSING: "yellow",
    DISABLED: "cyan",
    METRICS_ONLY: "cyan",
    CLOSED: "green",
}
_GAP = 2
_NAME, _REASON = 12, 18
_LONGEST_NAME = 40
_STATE = max(len(state.words) for state in STYLES)
_KEYS = "q quits  j k move  / search  s order  Enter details  o f c h r d m controls"
_WITHOUT_KEYS = "Ctrl-C quits"
_FORBIDDEN = "Names and states only: the monitor shows you no figures (see its authorize)."


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
    details: Breaker | None = None
    """The breaker whose details are shown."""


def head(view: View, now: float) -> list[Text]:
    """Return the lines above the table, or above the details of a breaker."""
    lines = [_headline(view, now), _summary(view.listing)]
    if (traffic := _traffic(view.listing)).plain:
        lines.append(traffic)
    if not view.listing.figures:
        lines.append(Text(_FORBIDDEN, style="yellow"))
    if view.trouble:
        lines.append(Text(f"No answer: {view.trouble}", style="bold yellow", no_wrap=True))
    return lines


def foot(screen: Screen) -> list[Text]:
    """Return the line below the table: the question, the last message, or the keys."""
    if screen.asks:
        error = f"  {screen.message}" if screen.message else ""
        return [Text(screen.question + "█", style="bold").append(error, style="bold red")]
    if screen.message:
        return [Text(screen.message, style="bold")]
    return [Text(_KEYS if READS_KEYS else _WITHOUT_KEYS, style="dim")]


def picture(
    view: View, now: float, width: int, height: int | None = None, screen: Screen | None = None
) -> Group:
    """Draw the table at `now`, cut to `height` lines around the cursor."""
    part = screen or Screen()
    above, below = head(view, now), foot(part) if height else []
    rows = part.rows(view.listing.breakers)
    if not rows:
        is_filtered = view.filtered or part.search
        empty = "None is like that." if is_filtered else "No breakers yet."
        return cropped([*above, Text(), Text(empty), *below])
    first, visible = 0, rows
    if height and len(rows) > (room := max(0, height - len(above) - len(below) - 1)):
        at, room = part.at(rows), max(0, room - 1)
        first = min(max(0, at - room // 2), len(rows) - room)
        visible = rows[first : first + room]
        more = f"… {first:,} above, {len(rows) - first - len(visible):,} below"
        below.insert(0, Text(more, style="dim"))
    cursor = part.at(rows) - first if screen is not None else None
    table = _table(visible, now, width, cursor)
    return Group(cropped(above), table, cropped(below))


def cropped(lines: list[Text]) -> Group:
    """Return the lines, each cut to the width of the terminal."""
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


def _traffic(listing: BreakerList) -> Text:
    """Return the calls of all breakers, and the likely cause of their outages."""
    traffic, line = listing.traffic, Text()
    if traffic.calls_per_second is not None:
        line.append(f"{per_second(traffic.calls_per_second)} calls/s")
    if traffic.failing_share is not None:
        line.append(f", {percent(traffic.failing_share)} failing")
    if traffic.rejected_per_second is not None:
        style = "bold red" if traffic.rejected_per_second else ""
        line.append(", ").append(f"{per_second(traffic.rejected_per_second)} rejected/s", style)
    if traffic.likely_cause:
        line.append("; likely cause: ").append(printable(traffic.likely_cause), style="bold")
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


def _table(rows: list[Breaker], now: float, width: int, cursor: int | None) -> Table:
    has_history = any(breaker.history for breaker in rows)
    columns = [*(COLUMNS if has_history else COLUMNS[:-1])]
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
    for place, (breaker, label) in enumerate(zip(rows, names, strict=True)):
        why = [Text(why_of(breaker, reason - _GAP))] if reason else []
        cells = [Text(column.cell(breaker, now)) for column in fitting]
        state = Text(breaker.state.words, style=STYLES[breaker.state])
        style = "reverse" if place == cursor else ""
        table.add_row(Text(label), state, *why, *cells, style=style)
    return table


def _fitting(columns: list[Column], room: int) -> tuple[list[Column], int]:
    """Return the columns that leave room for the reason, in order, and the room left."""
    kept = columns.copy()
    while kept and room - sum(column.width + _GAP for column in kept) < _REASON:
        kept.remove(min(kept, key=lambda column: column.use))
    return kept, room - sum(column.width + _GAP for column in kept)
