"""A few breakers as cards, and the chart of the details."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.monitor.page.browsing import PHONE, Monitor, Visit
from tests.integration.monitor.page.charting import (
    BUSY,
    OUTAGES,
    Show,
    breaker,
    mark,
    sick,
)
from tests.integration.monitor.page.looking import expect


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


def test_a_few_breakers_are_shown_as_cards(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", "stock")
    monitor.look()  # from then on calls are timed
    page = visit(monitor.url, cards=True)
    monitor.calls("payments", ok=5, failed=3)
    card = page.locator("#panel .card", has_text="payments")
    for kind in ("ok", "failed"):
        expect(card.locator(f"path[data-kind={kind}]")).to_have_count(1)
    card.locator(".name").click()
    expect(page.locator("#detail-name")).to_have_text("payments")


def test_the_details_have_the_chart_of_their_breaker(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.look()  # from then on calls are timed
    monitor.calls("payments", ok=5, failed=3)
    detail = visit(monitor.url_of("payments")).locator("#detail .big-chart")
    expect(detail.locator(".kinds dd")).to_have_text(["5", "0", "3", "0"])
    expect(detail.locator(".limit-name")).to_contain_text(["limit 50%"])
    expect(detail.locator("path.p95")).to_have_count(1)


# By screen reader


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(show: Show, scheme: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    marks = [mark(300, "stock", "closed", "open")]
    scenes: list[tuple[str, Any]] = [
        ("traffic", {"bars": BUSY, "marks": marks}),
        ("timeline", OUTAGES),
        ("panel", [sick("payments", 250), breaker("tax")]),
    ]
    for kind, data in scenes:
        stage = show(kind, data, color_scheme=scheme, reduced_motion="reduce")
        results = axe.Axe().run(stage.page, context="#stage")
        assert results.violations_count == 0, results.generate_report()
