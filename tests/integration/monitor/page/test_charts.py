"""The charts in a browser, with made-up calls and outages on the page of a real monitor."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import pytest

from tests.integration.monitor.page.browsing import PHONE, Monitor, Visit
from tests.integration.monitor.page.looking import expect

NOW = 1_700_000_405
"""22:20:05 UTC, half of the way through a bar of ten seconds."""
END = NOW + 5
SHOWN = """async ({kind, data, now}) => {
  document.getElementById("stage")?.remove();
  const stage = Object.assign(document.createElement("section"), {id: "stage"});
  stage.style.marginTop = "3rem"; // room for the pointer outside of it
  document.querySelector("h1").closest("header").before(stage);
  const files = new URL(".", document.querySelector("script[type=module]").src);
  const load = (name) => import(new URL(name, files));
  const model = {now: () => window.now, dirty: new Set(), breakers: new Map(), stories: new Map()};
  Object.assign(window, {now, model, opened: []});
  const hooks = {open: (name) => window.opened.push(name)};
  if (kind === "chart") {
    const {Chart} = await load("chart.js");
    const chart = new Chart("payments");
    stage.append(chart.element);
    chart.show({...data, now});
  } else if (kind === "traffic") {
    const {Traffic} = await load("traffic.js");
    model.traffic = {seconds: [], bars: [], marks: [], ...data};
    window.shown = new Traffic(stage, model);
    window.shown.update();
  } else if (kind === "timeline") {
    const {Timeline} = await load("timeline.js");
    for (const story of data) model.stories.set(story.id, story);
    window.shown = new Timeline(stage, model, {base: "/shop/breakers", ...hooks});
    window.shown.update();
  } else {
    const {Panel} = await load("panel.js");
    for (const breaker of data) model.breakers.set(breaker.name, breaker);
    window.shown = new Panel(stage, model, "/shop/breakers", hooks);
    window.shown.update();
  }
}"""
LOADED = """async ([file, name, ...values]) => {
  const files = new URL(".", document.querySelector("script[type=module]").src);
  const found = (await import(new URL(file, files)))[name](...values);
  return found instanceof Map ? [...found.values()] : found;
}"""
BOXES = """nodes => nodes.map((node) => {
  const {x, y, width, height} = node.getBoundingClientRect();
  return {text: node.textContent, x, y, width, height};
})"""

Show: TypeAlias = "Callable[..., Any]"
Call: TypeAlias = "Callable[..., Any]"


@pytest.fixture
def show(monitor: Monitor, visit: Visit) -> Show:
    """Show a chart on a page of its own, and return where it is."""

    def show(kind: str, data: object, **settings: Any) -> Any:
        page = visit(monitor.url, **{"timezone_id": "UTC", **settings})
        page.evaluate(SHOWN, {"kind": kind, "data": data, "now": NOW})
        return page.locator("#stage")

    return show


@pytest.fixture
def call(monitor: Monitor, visit: Visit) -> Call:
    """Call a function of a module of the page."""
    page = visit(monitor.url, timezone_id="UTC")
    return lambda *arguments: page.evaluate(LOADED, arguments)


def bar(ago: int, ok: int = 0, failed: int = 0, slow: int = 0, rejected: int = 0) -> list[Any]:
    """Return a bar of ten seconds that began so many bars before the last one."""
    return [END - 10 - 10 * ago, ok, failed, slow, rejected, 0.04, 0.2, 1.5]


def iso(ago: float) -> str:
    minutes, seconds = divmod(22 * 3600 + 20 * 60 + 5 - ago, 60)
    return f"2023-11-14T{int(minutes // 60):02}:{int(minutes % 60):02}:{int(seconds):02}Z"


def outage(number: int, breaker: str, began: int, ended: int | None, **more: Any) -> Any:
    return {
        "id": number,
        "kind": "outage",
        "breaker": breaker,
        "at": iso(began),
        "began_at": iso(began),
        "ended_at": None if ended is None else iso(ended),
        "state": "open" if ended is None else "closed",
        "reason": "60% of the last 100 calls failed",
        "failure_type": "TimeoutError",
        "by_hand": False,
        "who": None,
        "probes_failed": 2,
        "rejected": 1204,
        **more,
    }


def breaker(name: str, state: str = "closed", **more: Any) -> Any:
    return {
        "name": name,
        "state": state,
        "reason": "new",
        "changed_at": iso(3600),
        "outage": None,
        "retry_after": None,
        "due": None,
        "limits": {"failure_rate": 0.5},
        "history": [],
        "calls_per_second": 12.5,
        "failing_share": 0.25,
        "rejected_per_second": 0,
        "rejected_share": None,
        "p95": 0.2,
        **more,
    }


BUSY = [bar(ago, 100 + 7 * (ago % 9), 3, 4, 11 if ago < 30 else 0) for ago in range(90)]
MIXED = {"bars": [bar(0, 40, 5, 5, 50), bar(2, 100, 0, 0, 0)], "limits": {"failure_rate": 0.5}}


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
    fills = {}
    for kind in ("ok", "slow", "failed", "rejected"):
        fill = "node => getComputedStyle(node).fill"
        fills[kind] = stage.locator(f"path[data-kind={kind}]").evaluate(fill)
        assert stage.locator(f".kinds [data-kind={kind}] rect").evaluate(fill) == fills[kind]
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
        assert all(each["x"] >= 0 and each["x"] + each["width"] <= width for each in boxes)


def test_a_chart_follows_the_width_of_the_window(show: Show) -> None:
    stage = show("chart", {"bars": BUSY})
    stage.page.set_viewport_size({"width": 700, "height": 900})
    expect(stage.locator(".plot svg")).to_have_attribute(
        "width", str(stage.locator(".plot").evaluate("node => node.clientWidth"))
    )


# All traffic


def mark(ago: int, name: str, before: str, after: str) -> dict[str, Any]:
    return {"at": NOW - ago, "breaker": name, "from": before, "to": after}


def test_changes_of_state_are_marked_and_read_out(show: Show) -> None:
    marks = [mark(300, "stock", "closed", "open"), mark(3, "payments", "open", "half_open")]
    stage = show("traffic", {"bars": BUSY, "marks": marks})
    found = stage.locator(".mark use").evaluate_all(
        "nodes => nodes.map((node) => node.getAttribute('href'))"
    )
    assert found == ["#i-open", "#i-half_open"]
    stage.locator(".plot").press("End")
    expect(stage.locator(".readout")).to_contain_text("; payments: open → half-open")


def test_changes_at_one_time_share_the_mark_of_the_worst(show: Show) -> None:
    marks = [mark(300, f"b{number}", "closed", "open") for number in range(5)]
    marks.append(mark(299, "b0", "open", "half_open"))
    stage = show("traffic", {"bars": BUSY, "marks": marks})
    expect(stage.locator(".mark")).to_have_count(1)
    expect(stage.locator(".mark")).to_have_attribute("data-state", "open")
    stage.locator(".plot").press("End")
    for _ in range(30):
        stage.locator(".plot").press("ArrowLeft")
    expect(stage.locator(".readout")).to_contain_text("b2: closed → open; 3 more changes")


def test_traffic_that_the_stream_adds_is_drawn(show: Show) -> None:
    stage = show("traffic", {"bars": [bar(0, ok=20)]})
    expect(stage.locator(".kinds [data-kind=ok] dd")).to_have_text("20")
    stage.page.evaluate("model.traffic.seconds.push([now, 30, 2, 0, 0]); shown.update()")
    expect(stage.locator(".kinds [data-kind=ok] dd")).to_have_text("30")
    stage.page.evaluate("window.now += 1000; shown.tick()")
    expect(stage.locator(".no-calls")).to_have_text("no calls in the last 15 minutes")


# The timeline of outages

OUTAGES = [
    outage(9, "GET /orders", 215, None, state="half_open"),
    outage(7, "payments", 250, None, rejected=48211),
    outage(4, "stock", 570, 420),
    outage(8, "stock", 240, 200),
    outage(2, "tax", 5000, 4000),
]


def test_the_breaker_that_broke_first_is_at_the_top(show: Show) -> None:
    stage = show("timeline", OUTAGES)
    expect(stage.locator(".who a")).to_have_text(["stock", "payments", "GET /orders"])
    expect(stage.locator(".track").first.locator(".bar")).to_have_count(2)
    expect(stage.locator(".summary")).to_contain_text("4 outages, 2 of them running; first: stock")
    stage.get_by_role("button", name="6 h").click()
    expect(stage.locator(".who a")).to_have_text(["tax", "stock", "payments", "GET /orders"])


def test_an_outage_that_goes_on_reaches_now_and_has_a_pattern(show: Show) -> None:
    stage = show("timeline", OUTAGES)
    running = stage.locator("[data-breaker=payments] .bar")
    pattern = "node => getComputedStyle(node, '::before').backgroundImage"
    assert "repeating-linear-gradient" in running.evaluate(pattern)
    assert stage.locator("[data-breaker=stock] .bar").first.evaluate(pattern) == "none"
    before = running.evaluate("node => node.getBoundingClientRect().width")
    stage.page.evaluate("window.now += 100; window.shown.tick()")
    assert running.evaluate("node => node.getBoundingClientRect().width") > before


def test_the_arrow_keys_read_out_the_outages(show: Show) -> None:
    stage = show("timeline", OUTAGES)
    readout = stage.locator(".readout")
    assert stage.locator(".bar[tabindex='0']").count() == 1
    stage.locator(".bar[tabindex='0']").focus()
    expect(readout).to_have_text(
        "stock: 22:10:35 to 22:13:05, 2 min; 60% of the last 100 calls failed, "
        "mostly TimeoutError; 2 failed probes; 1,204 rejected"
    )
    stage.page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text("stock: 22:16:05 to 22:16:45")
    stage.page.keyboard.press("ArrowDown")
    expect(readout).to_contain_text("payments: 22:15:55 for 4 min so far, open")
    stage.page.keyboard.press("Enter")
    assert stage.page.evaluate("window.opened") == ["payments"]


def test_the_pointer_reads_out_an_outage(show: Show) -> None:
    stage = show("timeline", OUTAGES)
    stage.locator("[data-breaker=payments] .bar").hover()
    expect(stage.locator(".readout")).to_contain_text("48,211 rejected")


def test_a_name_in_the_timeline_opens_its_breaker(show: Show) -> None:
    stage = show("timeline", OUTAGES)
    stage.locator(".who a", has_text="GET /orders").click()
    assert stage.page.evaluate("window.opened") == ["GET /orders"]


def test_a_time_without_an_outage_says_so(show: Show) -> None:
    stage = show("timeline", [outage(2, "tax", 5000, 4000)])
    expect(stage.locator(".none")).to_have_text("no outage in the last 15 minutes")
    stage.get_by_role("button", name="all").click()
    expect(stage.locator(".none")).to_be_empty()


def test_a_dozen_rows_are_shown_when_asked_for(show: Show) -> None:
    stage = show("timeline", [outage(each, f"b{each}", 500 - each, 100) for each in range(12)])
    expect(stage.locator(".outages li")).to_have_count(10)
    stage.get_by_role("button", name="Show all 12").click()
    expect(stage.locator(".outages li")).to_have_count(12)


@pytest.mark.parametrize("width", [390, 1440])
def test_traffic_and_outages_have_one_axis(show: Show, width: int) -> None:
    viewport = {"viewport": {"width": width, "height": 900}}
    ends = "node => { const {left, right} = node.getBoundingClientRect(); return [left, right]; }"
    traffic = show("traffic", {"bars": BUSY}, **viewport).locator("path.axis").first.evaluate(ends)
    track = show("timeline", OUTAGES, **viewport).locator(".track").first.evaluate(ends)
    assert track == pytest.approx(traffic, abs=1)


# A few breakers


def sick(name: str, ago: int) -> Any:
    trip = outage(1, name, ago, None)
    return breaker(name, "open", due=NOW + 12, outage=trip, owner="team-pay")


def test_cards_are_ordered_by_the_begin_of_their_outage(show: Show) -> None:
    stage = show("panel", [breaker("tax"), sick("stock", 30), sick("payments", 60)])
    expect(stage.locator(".card .name")).to_have_text(["payments", "stock", "tax"])


def test_a_card_shows_state_trip_and_figures(show: Show) -> None:
    card = show("panel", [sick("payments", 250)]).locator(".card")
    for text in ("Open for 4 min", "probe in 12 s", "60% of the last 100 calls failed", "team-pay"):
        expect(card).to_contain_text(text)
    figures = ["Calls/s13", "Failing25% limit 50%", "Rejected/s0 ", "p95200 ms "]
    expect(card.locator(".figures > div")).to_have_text(figures)


def test_a_card_opens_its_breaker(show: Show) -> None:
    stage = show("panel", [breaker("tax"), breaker("stock")])
    stage.locator(".card", has_text="tax").locator(".figures").click()
    assert stage.page.evaluate("window.opened") == ["tax"]


def test_cards_stay_under_the_pointer(show: Show) -> None:
    stage = show("panel", [breaker("stock"), breaker("tax")])
    stage.locator(".card", has_text="tax").hover()
    stage.page.evaluate(
        "each => { model.breakers.set('tax', each); shown.update(new Set(['tax'])); }",
        sick("tax", 9),
    )
    expect(stage.locator(".card .name")).to_have_text(["stock", "tax"])
    stage.page.mouse.move(0, 0)
    stage.page.evaluate("shown.tick()")
    expect(stage.locator(".card .name")).to_have_text(["tax", "stock"])


def test_a_phone_shows_the_panel_without_scrolling_sideways(show: Show) -> None:
    stage = show("panel", [sick("payments", 250), breaker("x" * 300)], **PHONE)
    assert stage.evaluate("node => node.scrollWidth <= node.clientWidth")
