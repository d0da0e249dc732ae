"""The output of the demo: a small table while it runs, or lines, and a summary at the end."""

import math
import re
import time
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Console, Group
from rich.table import Table

from example_app.demo.load import REJECTED, Call, Phase, Side

COLOURS = {"closed": "green", "open": "red", "half_open": "yellow", "none": "dim"}


def percentile(calls: Sequence[Call], share: float) -> str:
    """Return a percentile of the latencies, in milliseconds."""
    if not calls:
        return "-"
    latencies = sorted(call.milliseconds for call in calls)
    latency = latencies[math.ceil(share * len(latencies)) - 1]
    return f"{latency:.1f}" if latency < 99.95 else f"{latency:.0f}"


def counts(calls: Iterable[Call]) -> tuple[int, int, int]:
    """Return the numbers of calls that succeeded, failed and were rejected."""
    statuses = [call.status for call in calls]
    well, rejected = statuses.count(200), statuses.count(REJECTED)
    return well, len(statuses) - well - rejected, rejected


def last_second(side: Side) -> list[Call]:
    since = time.perf_counter() - 1
    recent = []
    for call in reversed(side.calls):
        if call.ended < since:
            break
        recent.append(call)
    return recent


def live_view(
    sides: Sequence[Side], phase: Phase, seconds: float, event_log: Sequence[str]
) -> Group:
    faults = ", ".join(f"{name} {value}" for name, value in phase.faults.items()) or "no faults"
    title = f"{seconds:4.1f} s: {phase.name} ({faults})"
    table = Table(title=title, box=HORIZONTALS, min_width=78)
    table.add_column("in the last second")
    for heading in ("breaker", "200", "failed", "503", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for side in sides:
        calls = last_second(side)
        state = f"[{COLOURS[side.state]}]{side.state.replace('_', '-')}[/]"
        figures = [str(count) for count in counts(calls)]
        table.add_row(side.name, state, *figures, percentile(calls, 0.5), percentile(calls, 0.99))
    return Group(table, *event_log[-4:])


def line(sides: Sequence[Side], phase: Phase, seconds: float) -> str:
    parts = []
    for side in sides:
        calls = last_second(side)
        well, failed, rejected = counts(calls)
        breaker = "" if side.state == "none" else f" ({side.state})"
        figures = f"{well} ok, {failed} failed, {rejected} rejected"
        parts.append(f"{side.name}{breaker}: {figures}, p50 {percentile(calls, 0.5)} ms")
    return f"{seconds:4.1f} s  {phase.name:<11} {'  |  '.join(parts)}"


def summary(sides: Sequence[Side], story: Sequence[Phase]) -> Table:
    title = "Checkouts, their latencies in ms, and the calls that reached payments"
    table = Table(title=title, box=HORIZONTALS)
    table.add_column("phase")
    table.add_column("breakers")
    for heading in ("200", "failed", "503", "p50", "p99", "503 p50", "reached"):
        table.add_column(heading, justify="right")
    for phase in story:
        for side in sides:
            calls = [call for call in side.calls if call.phase == phase.name]
            rejected = [call for call in calls if call.status == REJECTED]
            table.add_row(
                phase.name if side is sides[0] else "",
                side.name,
                *(str(count) for count in counts(calls)),
                percentile(calls, 0.5),
                percentile(calls, 0.99),
                percentile(rejected, 0.5),
                str(side.reached[phase.name]),
                end_section=side is sides[-1],
            )
    return table


def chapters(event_log: Iterable[dict[str, Any]], began: float) -> list[str]:
    """Format the changes of the breakers, one a line."""
    lines = []
    for entry in event_log:
        change = f"{entry['from']} -> {entry['to']}".replace("_", "-")
        after = f"{entry['at'] - began:5.1f} s"
        lines.append(f"{after}  {entry['breaker']}: {change:<20} {entry['reason']}")
    return lines


def save_picture(path: Path, table: Table) -> None:
    """Save the summary as an SVG, with the fonts of its reader."""
    console = Console(record=True, width=100, file=StringIO())
    console.print(table)
    svg = console.export_svg(title="make demo")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))
