"""All traffic and the outages, on one time axis."""

from __future__ import annotations

import pytest

from tests.integration.monitor.page.browsing import Monitor, Visit
from tests.integration.monitor.page.charting import BUSY, OUTAGES, Show, bar, mark, outage
from tests.integration.monitor.page.looking import expect

# All traffic


def test_changes_of_state_are_marked_and_read_out(show: Show) -> None:
    marks = [mark(300, "stock", "closed", "open"), mark(3, "payments", "open", "half_open")]
    stage = show("traffic", {"bars": BUSY, "marks": marks})
    icons = stage.locator(".mark use").evaluate_all(
        "nodes => nodes.map((node) => node.getAttribute('href'))"
    )
    assert icons == ["#i-open", "#i-half_open"]
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


# The outages


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
    stage = show("timeline", [outage(at, f"b{at}", 500 - at, 100) for at in range(12)])
    expect(stage.locator(".outages li")).to_have_count(10)
    stage.get_by_role("button", name="Show all 12").click()
    expect(stage.locator(".outages li")).to_have_count(12)


@pytest.mark.parametrize("width", [390, 1440])
def test_traffic_and_outages_have_one_axis(show: Show, width: int) -> None:
    viewport = {"viewport": {"width": width, "height": 900}}
    ends = """(node, name) => {
      const {left, right} = node.querySelector(name).getBoundingClientRect();
      return [left, right];
    }"""
    traffic = show("traffic", {"bars": BUSY}, **viewport).evaluate(ends, "path.axis")
    track = show("timeline", OUTAGES, **viewport).evaluate(ends, ".track")
    assert track == pytest.approx(traffic, abs=1)


def test_the_page_marks_a_trip_and_shows_its_outage(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", "stock")
    page = visit(monitor.url)
    expect(page.locator("#timeline .none")).to_have_text("no outage in the last 15 minutes")
    monitor.trip("payments")
    expect(page.locator("#timeline .who a")).to_have_text("payments")
    expect(page.locator("#traffic .mark")).to_have_attribute("data-state", "open")
    expect(page.locator("#traffic [data-kind=failed] dd")).to_have_text("10")
    page.locator("#timeline .track .bar").click()
    expect(page.locator("#detail-name")).to_have_text("payments")
