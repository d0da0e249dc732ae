"""One breaker in detail, as the live table draws it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from breaker_asgi.cli import schema
from breaker_asgi.cli.details import details
from breaker_asgi.cli.screen import Screen
from breaker_asgi.cli.table import View
from tests.cli.listings import NOW, breaker
from tests.cli.test_table import OUTAGE, SEEN, view

FULL = {
    "outage": OUTAGE,
    "retry_after": 12.0,
    "states": {"open": 3, "closed": 1},
    "owner": "team-pay",
    "runbook": "https://wiki.example/pay",
    "description": "The bank's API",
    "calls_under_way": 7,
    "slow_calls_under_way": 2,
    "bars": [[1_795_435_190, 4, 0, 0, 2, 0.1, 0.2, 0.3]],
    "hints": [{"setting": "exclude", "hint": "All were excluded.", "remedy": "Exclude less."}],
    "workers": [{"pid": 7, "state": "open", "calls_per_second": 1.5}],
    "failure_types": {"TimeoutError": 40},
    "settings": {"fail_max": 5, "fallback": None},
}


def drawn(content: dict[str, Any], height: int = 60, screen: Screen | None = None) -> list[str]:
    row = breaker("pay", "open", reason="a probe failed") | content
    opened = schema.breaker(json.dumps({"now": NOW, **row}).encode(), SEEN)
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    whole: View = replace(view(row), details=opened)
    with console.capture() as capture:
        drawing = details(whole, SEEN, 80, height, screen or Screen(opened="pay"))
        console.print(drawing)
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize(
    "line",
    [
        "pay  open",
        "since               4 min ago",
        "why                 failure rate 70% of 20 calls, limit 50%, mostly TimeoutError",
        "probes failed       3, the last 12 s ago",
        "calls rejected      1,204, 41/s",
        "next call admitted  in 12 s",
        "workers             open in 3, closed in 1",
        "owner               team-pay",
        "runbook             https://wiki.example/pay",
        "description         The bank's API",
        "under way           7, 2 of them slow",
        "exclude: All were excluded. Exclude less.",
        "TimeoutError             40",
        "fail_max                 5",
    ],
)
def test_the_details_have_a_line_for_each_fact(line: str) -> None:
    assert line in drawn(FULL)


def test_the_last_quarter_of_an_hour_is_drawn() -> None:
    assert any(line.startswith("last 15 minutes") and "█" in line for line in drawn(FULL))


def test_they_scroll_and_stop_at_the_end() -> None:
    screen = Screen(opened="pay", offset=999)
    lines = drawn(FULL, 10, screen)
    assert len(lines) == 10
    assert lines[-2].startswith("fail_max")
    assert screen.offset < 999


def test_until_they_are_there_they_are_asked_for() -> None:
    assert "Asking for pay …" in drawn({"name": "another"})


@pytest.mark.parametrize("member", [*FULL])
def test_malformed_members_are_left_out(member: str) -> None:
    malformed: list[Any] = [7, "x", [7], [[]], [["x"]], {"x": []}, None]
    for value in malformed:
        lines = drawn(FULL | {member: value})
        assert "pay  open" in lines
        assert max(map(cell_len, lines)) <= 80
