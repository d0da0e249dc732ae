"""One breaker in detail, for the live table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "rich"):
    from rich.text import Text

from breaker_asgi.cli.columns import minute
from breaker_asgi.cli.formatting import (
    age,
    countdown,
    milliseconds,
    per_second,
    percent,
    printable,
)
from breaker_asgi.cli.schema import calls_of, reason_of, running_outage
from breaker_asgi.cli.sparkline import sparkline
from breaker_asgi.cli.table import STYLES, View, cropped, foot, head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Group

    from breaker_asgi.cli.schema import Breaker
    from breaker_asgi.cli.screen import Screen

_MARGIN = 24
_QUARTER = 900
_OF_A_WORKER = ("pid", "state", "calls_per_second", "rejected_per_second", "failures", "rejected")


def details(view: View, now: float, width: int, height: int, screen: Screen) -> Group:
    """Draw the breaker that is opened, scrolled by the screen's offset."""
    above, below = head(view, now), foot(screen)
    breaker = view.details
    if breaker is None or breaker.name != screen.opened:
        return cropped(
            [*above, Text(), Text(f"Asking for {printable(screen.opened or '')} …"), *below]
        )
    lines = [*_lines(breaker, now, width)]
    room = max(1, height - len(above) - len(below))
    screen.offset = min(screen.offset, max(0, len(lines) - room))
    return cropped([*above, *lines[screen.offset : screen.offset + room], *below])


def _lines(breaker: Breaker, now: float, width: int) -> Iterator[Text]:
    yield Text()
    title = Text(printable(breaker.name), style="bold").append("  ")
    yield title.append(breaker.state.words, style=STYLES[breaker.state])
    yield from _pairs(_story(breaker, now))
    yield Text()
    bars = max(10, min(width - _MARGIN, 60))
    if calls := minute(breaker, bars):
        yield from _pairs([("last minute", calls)])
    if quarter := _quarter(breaker, bars):
        yield from _pairs([("last 15 minutes", quarter)])
    yield from _pairs(_figures(breaker))
    yield from _section("Hints", _hints(breaker.content.get("hints")))
    yield from _section("Workers", _workers(breaker.content.get("workers")))
    yield from _section("Failures by type", _members(breaker.content.get("failure_types")))
    yield from _section("Settings", _members(breaker.content.get("settings")))


def _pairs(pairs: list[tuple[str, str]]) -> Iterator[Text]:
    for name, value in pairs:
        if value:
            yield Text(f"{name:<20}", style="dim").append(value, style="not dim")


def _section(title: str, lines: list[Text]) -> Iterator[Text]:
    if lines:
        yield Text()
        yield Text(title, style="bold")
        yield from lines


def _story(breaker: Breaker, now: float) -> list[tuple[str, str]]:
    """Return the facts of the state, and of the outage while there is one."""
    outage, passed = running_outage(breaker), now - breaker.seen_at
    since = breaker.age if outage is None else outage.age
    pairs = [
        ("since", "" if since is None else f"{age(since + passed)} ago"),
        ("why", printable(reason_of(breaker))),
    ]
    if outage is not None:
        last = (
            "" if outage.last_probe is None else f", the last {age(outage.last_probe + passed)} ago"
        )
        rate = outage.rejected_per_second
        pairs += [
            ("probes failed", f"{outage.probes_failed:,}{last}" if outage.probes_failed else ""),
            (
                "calls rejected",
                f"{outage.rejected:,}" + (f", {per_second(rate)}/s" if rate else ""),
            ),
        ]
    if breaker.retry_after is not None:
        left = breaker.retry_after - passed
        pairs.append(("next call admitted", f"in {countdown(left)}" if left > 0 else "now"))
    states = breaker.states.items() if len(breaker.states) > 1 else ()
    workers = ", ".join(f"{state.replace('_', ' ')} in {number}" for state, number in states)
    about = [
        (name, printable(getattr(breaker, name))) for name in ("owner", "runbook", "description")
    ]
    return [*pairs, ("workers", workers), *about]


def _figures(breaker: Breaker) -> list[tuple[str, str]]:
    def text(value: float | None, words: Any) -> str:
        return "-" if value is None else str(words(value))

    times = [text(value, milliseconds) for value in (breaker.p50, breaker.p95, breaker.p99)]
    under_way, hanging = breaker.calls_under_way, breaker.slow_calls_under_way
    slow = f", {hanging:,} of them slow" if hanging else ""
    return [
        ("calls/s", text(breaker.calls_per_second, per_second)),
        ("failing", text(breaker.failing_share, percent)),
        ("rejected/s", text(breaker.rejected_per_second, per_second)),
        ("p50, p95, p99 ms", ", ".join(times)),
        ("under way", f"{under_way:,}{slow}" if under_way else ""),
        ("rejected in all", f"{breaker.rejected:,}"),
    ]


def _quarter(breaker: Breaker, width: int) -> str:
    """Return the calls of the last quarter of an hour as bars."""
    calls = calls_of(breaker.content.get("bars"))
    if not calls:
        return ""
    return sparkline(calls, int(breaker.as_of), width, _QUARTER)


def _hints(value: Any) -> list[Text]:
    hints = [hint for hint in value if isinstance(hint, dict)] if isinstance(value, list) else []
    return [
        Text(printable(f"{hint.get('setting')}: {hint.get('hint')} {hint.get('remedy')}"))
        for hint in hints
    ]


def _workers(value: Any) -> list[Text]:
    workers = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    if not workers:
        return []
    heads = " ".join(f"{name.replace('_per_second', '/s'):>12}" for name in _OF_A_WORKER)
    rows = (
        " ".join(f"{worker.get(name, '-')!s:>12}" for name in _OF_A_WORKER) for worker in workers
    )
    return [Text(heads, style="dim"), *map(Text, map(printable, rows))]


def _members(value: Any) -> list[Text]:
    pairs = value.items() if isinstance(value, dict) else ()
    return [
        Text(f"{printable(str(name)):<24} {printable(str(member))}")
        for name, member in pairs
        if member is not None
    ]
