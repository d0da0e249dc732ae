"""The table, drawn at a fixed time."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from breaker_asgi.cli import schema
from breaker_asgi.cli.formatting import age, countdown, milliseconds, printable
from breaker_asgi.cli.sparkline import sparkline
from breaker_asgi.cli.table import View, picture
from tests.cli.listings import breaker, listing

SEEN = 1_000.0
WIDE = 200


def listed(*breakers: dict[str, Any], at: float = SEEN, **fields: Any) -> schema.BreakerList:
    return schema.listing(json.dumps(listing(*breakers, **fields)).encode(), at)


def view(*breakers: dict[str, Any], **fields: Any) -> View:
    return View(url="http://here/breakers", listing=listed(*breakers, **fields), answered_at=SEEN)


def drawn(view: View, at: float = SEEN, width: int = WIDE, height: int | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(view, at, width, height))
    return [line.rstrip() for line in capture.get().splitlines()]


def row(view: View, at: float = SEEN, width: int = WIDE) -> dict[str, str]:
    """Return the first breaker's cells by their titles."""
    _, _, titles, cells, *_ = drawn(view, at, width)
    ends = [
        (title, titles.index(title)) for title in titles.replace("  ", "\n").split("\n") if title
    ]
    result, start = {}, 0
    for place, (title, at_column) in enumerate(ends):
        left = title.strip() in ("Breaker", "State", "Why")
        end = ends[place + 1][1] if left else at_column + len(title)
        end = len(cells) if place == len(ends) - 1 else end
        result[title.strip()] = cells[start:end].strip()
        start = end
    return result


def test_open_breakers_come_first_and_equals_by_name() -> None:
    states = ["closed", "disabled", "metrics_only", "closing", "half_open", "forced_open", "open"]
    rows = drawn(view(breaker("a"), *(breaker(state, state) for state in states)))[3:]
    assert [line.split()[0] for line in rows] == [
        "open", "forced_open", "half_open", "closing", "disabled", "metrics_only", "a", "closed",
    ]  # fmt: skip


def store(**fields: Any) -> dict[str, Any]:
    defaults = {"label": "sqlite:/run/b.db", "works": True, "worker": "w", "problem": None}
    return {**defaults, "workers": 2, **fields}


@pytest.mark.parametrize(
    ("record", "summary"),
    [
        (store(), "1 breaker: 1 closed; shared by 2 workers through sqlite:/run/b.db"),
        (store(workers=1), "1 breaker: 1 closed; shared by 1 worker through sqlite:/run/b.db"),
        (store(workers=None), "1 breaker: 1 closed; shared through sqlite:/run/b.db"),
        (
            store(works=False, workers=None, problem="OSError: no\x1b route"),
            (
                "1 breaker: 1 closed; the store sqlite:/run/b.db does not work, "
                "each worker decides alone (OSError: no\\x1b route)"
            ),
        ),
        (
            store(problem="it is slow"),
            (
                "1 breaker: 1 closed; shared by 2 workers through sqlite:/run/b.db, "
                "which works only in part (it is slow)"
            ),
        ),
        (
            store(works=False, label="redis"),
            "1 breaker: 1 closed; the store redis does not work, each worker decides alone",
        ),
        (None, "1 breaker: 1 closed"),
        ("odd", "1 breaker: 1 closed"),
    ],
)
def test_the_summary_names_the_store_and_its_workers(record: Any, summary: str) -> None:
    assert drawn(view(breaker("a"), store=record))[1] == summary


def test_the_json_of_a_monitor_without_stores_can_be_read() -> None:
    row = breaker("a")
    del row["alone"]
    old = {key: value for key, value in listing(row).items() if key != "store"}
    assert schema.listing(json.dumps(old).encode(), SEEN).store is None


def test_a_breaker_open_in_one_worker_only_is_marked() -> None:
    cells = row(view(breaker("a", "open", reason="5 failures", alone=True)))
    assert cells["Why"] == "in this worker only: 5 failures"


@pytest.mark.parametrize(
    ("state", "why"),
    [("closed", "3 slow running: new"), ("open", "new, 3 slow running")],
)
def test_slow_calls_under_way_are_beside_the_reason(state: str, why: str) -> None:
    cells = row(view(breaker("a", state, calls_under_way=12, slow_calls_under_way=3)))
    assert cells["Why"] == why


def test_the_first_lines_show_monitor_worker_and_states() -> None:
    table = view(
        breaker("a", "open"), breaker("b"), breaker("c"), worker={"pid": 4711, "started_at": "x"}
    )
    assert drawn(table)[:2] == [
        "http://here/breakers  worker 4711",
        "3 breakers: 1 open, 2 closed",
    ]


def test_the_summary_counts_breakers_that_are_not_shown() -> None:
    table = view(breaker("a"), summary={"total": 2000, "open": 1, "closed": 1999})
    assert drawn(table)[1] == "2,000 breakers: 1 open, 1,999 closed"


def test_a_row_shows_the_reason_and_figures_with_their_limits() -> None:
    limits = {"fail_max": None, "failure_rate": 0.5, "slow_call_rate": 0.8}
    table = view(
        breaker(
            "payments",
            "open",
            reason="failure rate 62% of 50 calls",
            retry_after=11.2,
            failure_rate=0.62,
            slow_call_rate=0.1,
            limits=limits,
            calls_per_second=41.5,
            p50=0.0012,
            p95=1.934,
            rejected_per_second=7.5,
        )
    )
    assert row(table) == {
        "Breaker": "payments",
        "State": "open",
        "Why": "failure rate 62% of 50 calls",
        "Rejected/s": "7.5",
        "Since": "1 min",
        "Next probe": "12 s",
        "Failures": "62%/50%",
        "Slow": "10%/80%",
        "Calls/s": "42",
        "p50 ms": "1.2",
        "p95 ms": "1,934",
    }


OUTAGE = {
    "began_at": "2026-11-23T11:56:00+00:00",
    "ended_at": None,
    "reason": "failure rate 70% of 20 calls, limit 50%",
    "failure_type": "TimeoutError",
    "failure_rate": 0.7,
    "consecutive_failures": 4,
    "probes_failed": 3,
    "last_probe_at": "2026-11-23T11:59:48+00:00",
    "rejected": 1_204,
    "rejected_per_second": 41.2,
}


def test_an_outage_tells_its_beginning_and_its_trip_while_probes_fail() -> None:
    cells = row(view(breaker("a", "open", reason="a probe failed", outage=OUTAGE)))
    assert cells["Why"] == "failure rate 70% of 20 calls, limit 50%, mostly TimeoutError"
    assert (cells["Since"], cells["Failures"]) == ("4 min", "70%")


def test_a_short_reason_begins_with_its_figure() -> None:
    table = view(breaker("payments", "open", outage=OUTAGE))
    assert row(table, width=80)["Why"] == "70% failed, mostl…"


def test_outages_are_in_the_order_of_their_beginning() -> None:
    later = {**OUTAGE, "began_at": "2026-11-23T11:58:00+00:00"}
    table = view(
        breaker("a", "open", outage=later),
        breaker("b", "half_open", outage=OUTAGE),
        breaker("c", "closed", outage={**OUTAGE, "ended_at": "2026-11-23T11:59:00+00:00"}),
    )
    assert [line.split()[0] for line in drawn(table)[3:]] == ["b", "a", "c"]


def test_the_traffic_of_all_breakers_has_a_line() -> None:
    figures = {"calls_per_second": 310.2, "failing_share": 0.04, "rejected_per_second": 41.2}
    summary = {"total": 1, "open": 1, **figures, "likely_cause": "pay\x1b"}
    line = drawn(view(breaker("a", "open"), summary=summary))[2]
    assert line == "310 calls/s, 4% failing, 41 rejected/s; likely cause: pay\\x1b"


def test_a_reader_without_figures_is_told_so() -> None:
    lines = drawn(view(breaker("a"), figures=False))
    assert lines[2].startswith("Names and states only")


def test_countdown_and_age_continue_between_answers() -> None:
    table = view(breaker("a", "open", retry_after=12.0))
    assert [row(table, SEEN + late)["Next probe"] for late in (0, 4.5, 11.9, 12, 99)] == [
        "12 s", "8 s", "1 s", "next call", "next call",
    ]  # fmt: skip
    assert row(table, SEEN + 31)["Since"] == "2 min"


@pytest.mark.parametrize(
    ("state", "wait", "cell"),
    [
        ("half_open", 0.0, "probing"),
        ("forced_open", None, ""),
        ("open", None, ""),
        ("closed", 0.0, ""),
    ],
)
def test_only_an_open_breaker_counts_down(state: str, wait: float | None, cell: str) -> None:
    assert row(view(breaker("a", state, retry_after=wait)))["Next probe"] == cell


@pytest.mark.parametrize(
    ("share", "cell"),
    [(0.1, "admits 10%"), (0.404, "admits 40%"), (1.0, "admits 99%"), (None, "")],
)
def test_a_closing_breaker_has_the_share_that_it_admits(share: float | None, cell: str) -> None:
    assert row(view(breaker("a", "closing", admitted_share=share)))["Next probe"] == cell


@pytest.mark.parametrize(
    ("fields", "cell"),
    [
        ({}, "-"),
        ({"consecutive_failures": 2}, "2 in a row"),
        ({"failure_rate": 0.25}, "25%"),
        ({"consecutive_failures": 2, "limits": {"fail_max": 5}}, "2/5 in a row"),
        ({"failure_rate": 0.1, "limits": {"failure_rate": 0.5}}, "10%/50%"),
        (
            {
                "consecutive_failures": 4,
                "failure_rate": 0.1,
                "limits": {"fail_max": 5, "failure_rate": 0.5},
            },
            "4/5 in a row",
        ),
        (
            {
                "consecutive_failures": 1,
                "failure_rate": 0.4,
                "limits": {"fail_max": 5, "failure_rate": 0.5},
            },
            "40%/50%",
        ),
    ],
)
def test_failures_are_shown_by_the_measure_nearer_to_its_limit(
    fields: dict[str, Any], cell: str
) -> None:
    assert row(view(breaker("a", **fields)))["Failures"] == cell


def test_rows_that_do_not_fit_are_counted() -> None:
    many = view(*(breaker(f"b{number:04}") for number in range(1_500)))
    lines = drawn(many, height=24)
    assert len(lines) == 24
    assert lines[3].startswith("b0000")
    assert lines[-2] == "… 0 above, 1,481 below"
    assert lines[-1].startswith("q quits")


def test_rows_that_just_fit_are_all_shown() -> None:
    lines = drawn(view(*(breaker(f"b{number}") for number in range(6))), height=10)
    assert len(lines) == 10
    assert lines[-2].startswith("b5")


@pytest.mark.parametrize("width", [1, 10, 20, 40, 60, 80, 100, 120, 160, 250])
@pytest.mark.parametrize("height", [1, 3, 5, 24])
def test_no_line_is_wider_than_the_terminal(width: int, height: int) -> None:
    table = view(
        breaker("GET /products/{product_id}/reviews", "open", reason="x" * 300, retry_after=9.0),
        breaker("日本語" * 40),
        *(breaker(f"b{number}") for number in range(30)),
    )
    lines = drawn(replace(table, trouble="t" * 300), width=width, height=height)
    assert max(map(cell_len, lines)) <= width
    assert len(lines) == max(height, 6)


def test_a_narrow_terminal_keeps_the_most_useful_columns() -> None:
    table = view(breaker("payments", "open", reason="because", retry_after=12.0))
    assert [*row(table, width=80)] == [
        "Breaker",
        "State",
        "Why",
        "Rejected/s",
        "Since",
        "Next probe",
    ]
    assert drawn(table, width=30)[2].split() == ["Breaker", "State"]


def test_names_and_reasons_are_neither_markup_nor_control_sequences() -> None:
    cells = row(view(breaker("[red]x[/red]\x1b[2J", reason="[b]\x9b2J\n:bomb:[/nonsense]")))
    assert cells["Breaker"] == "[red]x[/red]\\x1b[2J"
    assert cells["Why"] == "[b]\\x9b2J\\n:bomb:[/nonsense]"


def test_stale_figures_show_their_age() -> None:
    stale = replace(view(breaker("a")), trouble="GET http://here/breakers: no answer within 5 s")
    first, _, third, *_ = drawn(stale, SEEN + 7)
    assert first.endswith("  figures 7 s old")
    assert third == "No answer: GET http://here/breakers: no answer within 5 s"


def test_an_empty_list_shows_a_message() -> None:
    assert drawn(view())[-1] == "No breakers yet."
    assert (
        drawn(replace(view(breaker("a"), breakers=[]), filtered=True))[-1] == "None is like that."
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"changed_at": "yesterday", "p50": "fast", "rejected": None, "limits": 7, "reason": None},
        {"changed_at": "2026-11-23T11:58:30", "p95": 10**400, "retry_after": [], "rejected": True},
        {"changed_at": "2999-01-01T00:00:00Z", "p50": float("nan"), "limits": {"fail_max": "x"}},
        {"failure_rate": 0.5, "limits": {"failure_rate": 0, "fail_max": 0}},
    ],
)
def test_malformed_figures_are_unknown(fields: dict[str, Any]) -> None:
    assert row(view(breaker("a", "open", **fields)))["Breaker"] == "a"


class TestSparkline:
    """The calls of a span of time, as bars."""

    def test_a_bar_stands_for_three_seconds_of_a_minute(self) -> None:
        calls = [(second, 10) for second in range(115, 121)]
        assert sparkline(calls, 120, 20) == "▁" * 18 + "██"

    def test_bars_are_relative_to_the_highest(self) -> None:
        assert sparkline([(115, 10), (120, 80)], 120, 20)[-2:] == "▂█"

    def test_calls_of_another_time_are_left_out(self) -> None:
        assert sparkline([(60, 7), (121, 7)], 120, 20) == "▁" * 20

    def test_the_oldest_second_is_in_the_first_bar(self) -> None:
        assert sparkline([(61, 7)], 120, 20) == "█" + "▁" * 19


def test_the_last_minute_is_a_column_of_the_table() -> None:
    now = 1_795_435_200  # as in the listings
    table = view(breaker("a", history=[[now - 3, 4, 0, 0, 0], [now, 0, 0, 0, 6]]))
    assert row(table)["Last minute"] == "▁" * 18 + "▆█"


@pytest.mark.parametrize("history", [7, [[]], [[1]], [None], [["x", "y"]]])
def test_a_malformed_history_has_no_calls(history: Any) -> None:
    assert row(view(breaker("a", history=history)))["Breaker"] == "a"


def test_durations_are_formatted_for_the_table() -> None:
    assert [age(seconds) for seconds in (-1, 0, 59.9, 60, 7_199, 90_000)] == [
        "0 s", "0 s", "59 s", "1 min", "1 h", "1 d",
    ]  # fmt: skip
    assert [countdown(seconds) for seconds in (0, 0.2, 59.5, 61, 3_725)] == [
        "0 s", "1 s", "1:00", "1:01", "1:02:05",
    ]  # fmt: skip
    assert [milliseconds(seconds) for seconds in (0.0005, 0.0123, 1.2)] == ["0.5", "12", "1,200"]


def test_a_huge_text_is_cut_before_it_is_drawn() -> None:
    assert len(printable("x" * 10_000_000)) == 501
