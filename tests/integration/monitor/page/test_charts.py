"""The large chart: its scales, its read-out and its look."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.integration.monitor.page.browsing import Monitor, Visit
from tests.integration.monitor.page.charting import BOXES, BUSY, LOADED, MIXED, NOW, Call, Show, bar
from tests.integration.monitor.page.looking import expect

# Scales and sums


def test_ticks_are_round_and_reach_the_most(call: Call) -> None:
    expected = {
        0: [0, 1],
        0.1: [0, 0.05, 0.1],
        1: [0, 0.5, 1],
        7: [0, 5, 10],
        29: [0, 10, 20, 30],
        30.01: [0, 10, 20, 30, 40],
        1234: [0, 500, 1000, 1500],
    }
    assert {most: call("scale.js", "ticks", most) for most in expected} == expected


def test_seconds_are_summed_up_in_bars(call: Call) -> None:
    seconds = [[1000, 1, 0, 0, 0], [1009, 2, 1, 0, 4], [1010, 5, 0, 0, 0]]
    assert call("scale.js", "summedUp", seconds, 10) == [[1000, 3, 1, 0, 4], [1010, 5, 0, 0, 0]]


def test_a_bar_and_its_seconds_are_not_added_up(call: Call) -> None:
    whole, growing = [1000, 30, 0, 0, 0, 0.1, 0.2, 0.3], [1010, 5, 0, 0, 0, 0.1, 0.2, 0.3]
    seconds = [[1009, 2, 0, 0, 0], [1010, 5, 0, 0, 0], [1011, 3, 0, 0, 0]]
    merged = call("scale.js", "merged", [whole, growing], seconds, 10)
    assert merged == [whole, [1010, 8, 0, 0, 0, 0.1, 0.2, 0.3]]


def test_pieces_of_a_bar_do_not_touch_and_add_up(call: Call) -> None:
    pieces = call("scale.js", "stacked", [0, 500, 200, 1, 299], 1000, 100)
    assert [kind for kind, _, _ in pieces] == ["ok", "slow", "failed", "rejected"]
    for (_, top, _), (_, next_top, size) in pairwise(pieces):
        assert next_top - size >= top + 1
    assert pieces[-1][1] == 100


def test_one_failure_of_a_thousand_calls_is_drawn(call: Call) -> None:
    (_, _, ok), (kind, top, size) = call("scale.js", "stacked", [0, 999, 1, 0, 0], 1000, 100)
    assert (kind, size, top, ok) == ("failed", 3, 100, 96)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/St_Johns"])
def test_times_of_the_axis_are_round_in_the_local_zone(
    monitor: Monitor, visit: Visit, zone: str
) -> None:
    page = visit(monitor.url, timezone_id=zone)
    ticks = page.evaluate(LOADED, ["scale.js", "timeTicks", NOW - 21600, NOW, 1000, 100])
    assert {text[-2:] for _, text in ticks} == {"00"}


# Read-out


def test_the_arrow_keys_read_out_the_bars(show: Show) -> None:
    stage = show("chart", MIXED)
    plot, readout = stage.locator(".plot"), stage.locator("[aria-live=polite]")
    expect(readout).to_be_empty()
    plot.press("ArrowLeft")
    expect(readout).to_have_text(
        "22:20:00 to 22:20:10: 20 calls/s (8 ok, 1 slow, 1 failed, 10 rejected); "
        "10% failing; p50 40 ms, p95 200 ms, p99 1.5 s"
    )
    plot.press("ArrowLeft")
    expect(readout).to_have_text("22:19:50 to 22:20:00: no calls")
    plot.press("ArrowLeft")
    expect(readout).to_contain_text("22:19:40 to 22:19:50: 10 calls/s")
    plot.press("Home")
    expect(readout).to_have_text("22:05:10 to 22:05:20: no calls")
    plot.press("Escape")
    expect(readout).to_be_empty()


def test_the_pointer_reads_out_the_bar_below_it(show: Show) -> None:
    stage = show("chart", MIXED)
    stage.locator("path[data-kind=rejected]").hover()
    expect(stage.locator(".readout")).to_contain_text("22:20:00 to 22:20:10: 20 calls/s")
    stage.page.mouse.move(0, 0)
    expect(stage.locator(".readout")).to_be_empty()


def test_the_cursor_stays_on_its_bar_while_time_passes(show: Show) -> None:
    stage = show("traffic", {"bars": [bar(2, ok=10)]})
    for _ in range(3):
        stage.locator(".plot").press("ArrowLeft")
    expect(stage.locator(".readout")).to_contain_text("22:19:40 to 22:19:50: 1 calls/s")
    stage.page.evaluate("window.now += 30; window.shown.tick()")
    expect(stage.locator(".readout")).to_contain_text("22:19:40 to 22:19:50: 1 calls/s")


def test_a_chart_without_calls_says_so(show: Show) -> None:
    stage = show("chart", {"bars": [bar(95, ok=10)]})
    expect(stage.locator(".no-calls")).to_have_text("no calls in the last 15 minutes")
    stage.get_by_role("button", name="60 s").click()
    expect(stage.locator(".no-calls")).to_have_text("no calls in the last 60 seconds")


def test_a_minute_is_shown_second_by_second(show: Show) -> None:
    seconds = [[NOW - 1, 3, 1, 0, 0], [NOW - 61, 9, 9, 9, 9]]
    stage = show("chart", {"seconds": seconds, "percentiles": [[NOW - 1, 0.01, 0.02, 0.03]]})
    stage.get_by_role("button", name="60 s").click()
    expect(stage.locator("[data-kind=failed] dd")).to_have_text("1")
    stage.locator(".plot").press("End")
    expect(stage.locator(".readout")).to_have_text(
        "22:20:04: 4 calls/s (3 ok, 0 slow, 1 failed, 0 rejected); "
        "25% failing; p50 10 ms, p95 20 ms, p99 30 ms"
    )


# Look


def test_outcomes_have_patterns_of_their_own_in_bars_and_legend(show: Show) -> None:
    stage = show("chart", MIXED)
    look = "(node, name) => getComputedStyle(node.querySelector(name)).fill"
    kinds = ("ok", "slow", "failed", "rejected")
    fills = {kind: stage.evaluate(look, f"path[data-kind={kind}]") for kind in kinds}
    assert fills == {
        kind: stage.evaluate(look, f".kinds [data-kind={kind}] rect") for kind in kinds
    }
    assert len(set(fills.values())) == 4
    assert [kind for kind, fill in fills.items() if "pattern-" in fill] == [*fills][1:]


def test_forced_colours_keep_the_patterns(show: Show) -> None:
    stage = show("chart", MIXED, forced_colors="active")
    colours = stage.evaluate(
        """node => [document.querySelector("#pattern-failed .chart-failed"),
        document.querySelector("#pattern-failed .chart-ground"),
        node.querySelector("path[data-kind=ok]")].map((each) => getComputedStyle(each).fill)"""
    )
    assert colours[0] == colours[2]
    assert colours[0] != colours[1]
    assert "pattern-failed" in stage.locator("path[data-kind=failed]").get_attribute("fill")


def test_limits_are_lines_with_their_value(show: Show) -> None:
    limits = {"failure_rate": 0.5, "slow_call_duration": 1.0}
    stage = show("chart", {**MIXED, "limits": limits})
    expect(stage.locator(".limit-name")).to_have_text(["limit 50%", "slow from 1 s"])
    expect(stage.locator("path.limit")).to_have_count(2)
    expect(stage.locator(".line-name")).to_have_text(["p50", "p95", "p99"])


def overlapping(boxes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (one["text"], other["text"])
        for place, one in enumerate(boxes)
        for other in boxes[place + 1 :]
        if one["x"] < other["x"] + other["width"]
        and other["x"] < one["x"] + one["width"]
        and one["y"] + 2 < other["y"] + other["height"]
        and other["y"] + 2 < one["y"] + one["height"]
    ]


@pytest.mark.parametrize("width", [320, 390, 1024, 1440, 2560])
def test_texts_of_the_axes_do_not_collide(show: Show, width: int) -> None:
    limits = {"failure_rate": 0.5, "slow_call_rate": 0.5, "slow_call_duration": 1.0}
    data = {"bars": BUSY, "seconds": [[NOW - 1, 3, 1, 0, 0]], "limits": limits}
    stage = show("chart", data, viewport={"width": width, "height": 900})
    for name in ("60 s", "15 min"):
        stage.get_by_role("button", name=name).click()
        boxes = stage.locator(".plot text").evaluate_all(BOXES)
        assert len(boxes) > 6
        assert overlapping(boxes) == []
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)


def test_a_chart_follows_the_width_of_the_window(show: Show) -> None:
    stage = show("chart", {"bars": BUSY})
    stage.page.set_viewport_size({"width": 700, "height": 900})
    expect(stage.locator(".plot svg")).to_have_attribute(
        "width", str(stage.locator(".plot").evaluate("node => node.clientWidth"))
    )
