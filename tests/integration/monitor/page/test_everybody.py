"""Accessibility: without a script, on a phone, in the dark, by screen reader; and privacy."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.monitor.page.browsing import (
    ODD_NAMES,
    PHONE,
    Monitor,
    Visit,
    control,
    names,
)
from tests.integration.monitor.page.looking import expect

# Without JavaScript


def test_without_javascript_the_page_is_complete(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", "stock")
    monitor.look()  # from then on calls are timed
    monitor.hold()
    monitor.calls("payments", ok=40, failed=40, rejected=7)
    monitor.look()
    page = visit(monitor.url, live=False, java_script_enabled=False)
    first = page.locator("#rows tr").first.text_content()
    for text in ("Open", "payments", "failure rate 50%", "probe in", "of 50%", "42 ms", "0.7"):
        assert text in first
    expect(page.locator("#link")).to_contain_text("reload for newer figures")
    expect(page.locator("#log li").last).to_contain_text("payments open for")
    expect(page).to_have_title("(1 open) Breakers")


def test_without_javascript_states_are_filtered_and_breakers_controlled(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments", "stock")
    monitor.trip("payments")
    page = visit(monitor.url, live=False, java_script_enabled=False)
    page.get_by_role("button", name="Open 1", exact=True).click()
    expect(page.locator("#rows tr")).to_have_count(1)
    assert names(page) == ["payments"]
    page.get_by_role("link", name="payments").first.click()
    control(page, "disable").click()
    page.get_by_role("button", name="Disable now").click()
    expect(page).to_have_url(f"{monitor.url}?by={monitor.pid()}")
    expect(page.locator("#rows tr").first).to_contain_text("Disabled")
    expect(page.locator(".note")).to_have_count(0)


def test_the_server_and_the_script_render_the_same_texts(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments", "stock", "tax")
    monitor.look()  # from then on calls are timed
    monitor.hold()
    monitor.calls("payments", ok=345, slow=6, failed=27)
    monitor.calls("stock", ok=12_000, slow=1)
    monitor.control("stock", "force-open")
    monitor.calls("stock", rejected=23_456)
    monitor.change("tax", "half-open")
    monitor.close_gently("mail")
    monitor.hang("accounts", 3)
    monitor.wait(1.5)
    monitor.look()
    still = visit(monitor.url, live=False, java_script_enabled=False)
    live = visit(monitor.url, timezone_id="UTC")
    expect(live.locator("#log li")).to_have_count(4)
    for place in ("#verdict", ".c-name", ".c-failing", ".c-slow", ".c-rate", ".c-times"):
        texts = still.locator(place).all_inner_texts()
        assert live.locator(place).all_inner_texts() == texts
    for place in (".c-rejected", ".state", ".next", "#log bdi", "#worker", "#now"):
        assert live.locator(place).all_inner_texts() == still.locator(place).all_inner_texts()


# On every screen


@pytest.mark.parametrize("view", ["list", "detail"])
def test_a_phone_never_scrolls_sideways(monitor: Monitor, visit: Visit, view: str) -> None:
    long = "x" * 120
    monitor.add(long, *ODD_NAMES)
    monitor.calls(long, ok=9_999, failed=40)
    monitor.control(long, "force-open")
    monitor.look()
    page = visit(monitor.url if view == "list" else monitor.url_of(long), **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_touch_targets_are_large_enough(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", "stock")
    monitor.trip("payments")
    page = visit(monitor.url_of("payments"), **PHONE)
    sizes = page.evaluate("""[...document.querySelectorAll('a, button, summary, input')]
        .map(each => [each.textContent, each.getBoundingClientRect()])
        .filter(([, box]) => box.width && (box.width < 24 || box.height < 24))
        .filter(([text]) => !text.startsWith('Skip'))
        .map(([text, box]) => [text, box.width, box.height])""")
    assert sizes == []


def test_the_page_is_dark_if_dark_is_preferred(monitor: Monitor, visit: Visit) -> None:
    ground = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    dark = visit(monitor.url, color_scheme="dark").evaluate(ground)
    light = visit(monitor.url, color_scheme="light").evaluate(ground)
    assert max(dark) < 40
    assert min(light) > 220


# By screen reader, and by keyboard alone


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "view",
    [
        "list", "phone", "detail", "detail phone", "dialog", "outcome", "selection",
        "selection phone", "several", "no hits",
    ],
)  # fmt: skip
def test_axe_finds_nothing(monitor: Monitor, visit: Visit, scheme: str, view: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    actions = ("open", "half-open", "force-open", "disable", "metrics-only")
    monitor.add("closed", *actions)
    for action in actions:
        monitor.calls(action, ok=9, slow=8, failed=7)
        monitor.control(action, action)
    monitor.calls("force-open", rejected=3)
    monitor.close_gently("closing")
    monitor.hang("closed", 3)
    monitor.wait(1.5)
    monitor.look()
    device: dict[str, Any] = PHONE if "phone" in view else {}
    detailed = view.partition(" ")[0] in ("detail", "dialog", "outcome")
    url = monitor.url_of("open") if detailed else monitor.url
    page = visit(url, color_scheme=scheme, reduced_motion="reduce", **device)
    if detailed:
        expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")
    if view in ("dialog", "outcome"):
        control(page, "force-open").click()
    if view == "outcome":
        page.locator("#ask-yes").click()
        expect(page.locator("#ask-outcome")).to_contain_text("Done")
    if view in ("selection", "selection phone", "several"):
        page.get_by_role("button", name="Select all 7").click()
        expect(page.get_by_role("region", name="Selected breakers")).to_be_visible()
    if view == "several":
        page.get_by_role("button", name="Disable", exact=True).click()
    if view == "no hits":
        page.locator("#search").fill("zzz")
        expect(page.locator("#no-hits")).to_be_visible()
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


# Privacy


def test_no_request_leaves_the_origin_and_nothing_runs_inline(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    page.get_by_role("link", name="payments").click()
    expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")
    assert {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in visit.urls} == {
        monitor.origin
    }
    assert page.locator("script:not([src]), style").count() == 0
