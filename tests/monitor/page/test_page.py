"""The page, in a browser."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.monitor.page.conftest import Monitor, Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

pytestmark = pytest.mark.slow

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}
MARKUP = "<script>alert(1)</script>"
ODD_NAMES = [
    MARKUP,
    "a/b c?d#e%20f",
    "GET /orders/{id}",
    "naïve \"quoted\" & 'more'",
    "../up",
    "💳",
]


def names(page: Any) -> list[str]:
    found: list[str] = page.locator("#rows tr:visible .c-name a").all_text_contents()
    return found


def row(page: Any, name: str) -> Any:
    return page.locator("#rows tr").filter(has=page.get_by_role("link", name=name, exact=True))


def icon(page: Any) -> str:
    return str(page.locator("link[rel=icon]").get_attribute("href"))


# What changes while it is open


def test_what_opens_moves_to_the_top_with_its_reason_and_a_countdown(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("accounts", "payments", "stock")
    page = visit(monitor.url)
    assert names(page) == ["accounts", "payments", "stock"]
    monitor.trip("payments")
    opened = page.locator("#rows tr").first
    expect(opened).to_contain_text("payments")
    expect(opened).to_contain_text("Open")
    expect(opened).to_contain_text("failure rate 52% of 100 calls, limit 50%")
    expect(opened).to_contain_text(re.compile(r"probe in \d+ s"))


def test_the_countdown_ticks(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.trip("payments")
    page = visit(monitor.url)
    first = row(page, "payments").locator(".next").text_content()
    expect(row(page, "payments").locator(".next")).not_to_have_text(first)


def test_figures_change_in_place(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    page.evaluate("document.querySelector('#rows tr').mark = 'the same row'")
    monitor.calls("payments", ok=40, failed=10, slow=10, rejected=1_234)
    shown = row(page, "payments")
    expect(shown.locator(".c-failing")).to_contain_text("17%")
    expect(shown.locator(".c-failing")).to_contain_text("of 50%")
    expect(shown.locator(".c-times")).to_contain_text("42 ms")
    expect(shown.locator(".c-rejected")).to_have_text("1,234")
    assert page.evaluate("document.querySelector('#rows tr').mark") == "the same row"


def test_failures_in_a_row_are_marked_as_they_near_their_limit(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    monitor.streak("payments", 4, most=5)
    shown = row(page, "payments").locator(".streak")
    expect(shown).to_have_text("4 of 5 in a row")
    expect(shown).to_have_attribute("data-level", "near")
    expect(row(page, "payments").locator(".c-failing .figure")).to_be_hidden()
    monitor.streak("payments", 5, most=5)
    expect(shown).to_have_attribute("data-level", "over")


def test_the_chart_says_in_words_what_it_shows(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    chart = page.locator("#rows canvas")
    expect(chart).to_have_attribute("aria-label", "No calls in the last minute")
    monitor.calls("payments", ok=40, failed=3, slow=2, rejected=1)
    expect(chart).to_have_attribute(
        "aria-label", "Last minute: 40 ok, 3 failed, 2 slow, 1 rejected"
    )


def test_the_log_tells_who_changed_what(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    monitor.change("payments", "forced_open", "forced open by hand", who="ana")
    entry = page.locator("#log li").first
    expect(entry).to_contain_text("payments closed → forced open")
    expect(entry).to_contain_text("forced open by hand, by ana")


def test_rejections_under_way_are_one_line_of_the_log(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.calls("payments", rejected=2)
    page = visit(monitor.url)
    monitor.calls("payments", rejected=3)
    monitor.calls("payments", rejected=4)
    expect(page.locator("#log li")).to_have_count(1)
    expect(page.locator("#log li")).to_contain_text("rejected 9 calls")


def test_a_new_breaker_appears_and_a_lost_one_goes(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", "stock")
    page = visit(monitor.url)
    monitor.add("accounts")
    expect(page.locator("#rows tr")).to_have_count(3)
    assert names(page) == ["accounts", "payments", "stock"]
    monitor.remove("payments")
    expect(page.locator("#rows tr")).to_have_count(2)


def test_the_title_and_the_icon_show_the_worst_state(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments", "stock")
    page = visit(monitor.url)
    expect(page).to_have_title("Breakers")
    assert icon(page).endswith("icon.svg?state=closed")
    monitor.change("stock", "half_open")
    expect(page).to_have_title("(1 half-open) Breakers")
    monitor.trip("payments")
    monitor.trip("accounts")
    expect(page).to_have_title("(2 open) Breakers")
    assert icon(page).endswith("icon.svg?state=open")
    page.get_by_role("link", name="stock").first.click()
    expect(page).to_have_title("(2 open) Breakers \N{EN DASH} stock")


# The connection


def test_a_lost_connection_is_told_with_the_age_of_the_figures_and_made_again(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()
    monitor.lose()
    expect(page.locator("#status")).to_have_text("reconnecting…")
    expect(page.locator("#age")).to_have_text(re.compile(r"figures are \d+ s old"))
    expect(page).to_have_title("(?) Breakers")
    assert icon(page).endswith("icon.svg?state=unknown")
    monitor.trip("payments")
    monitor.regain()
    expect(page.locator("#status")).to_have_text("live")
    expect(row(page, "payments")).to_contain_text("Open")
    expect(page).to_have_title("(1 open) Breakers")


def test_before_anything_was_heard_a_breaker_is_opened_by_the_server(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit("about:blank", live=False)
    page.route("**/stream", lambda route: route.fulfill(status=503))
    page.goto(monitor.url)
    expect(page.locator("#status")).to_have_text("reconnecting…")
    page.get_by_role("link", name="payments").click()
    expect(page.locator("#detail [data-part=settings]")).to_contain_text("CountWindow")


# Search, filters, keys


def test_searching_by_a_part_of_a_name_or_by_a_pattern(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments", "prepay", "stock")
    page = visit(monitor.url)
    page.keyboard.press("/")
    page.keyboard.type("PAY")
    expect(page.locator("#found")).to_have_text("2 of 4")
    assert names(page) == ["payments", "prepay"]
    page.locator("#search").fill("pay*")
    expect(page.locator("#found")).to_have_text("1 of 4")
    page.keyboard.press("Escape")
    expect(page.locator("#found")).to_have_text("")


def test_filtering_by_state_survives_a_reload(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments")
    monitor.trip("payments")
    page = visit(monitor.url)
    chip = page.get_by_role("button", name="Open 1", exact=True)
    expect(chip).to_have_attribute("aria-pressed", "false")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#found")).to_have_text("1 of 2")
    page.reload()
    expect(page.locator("#found")).to_have_text("1 of 2")
    assert names(page) == ["payments"]


def test_the_keys_move_open_and_close(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments", "stock")
    page = visit(monitor.url)
    for key in ("j", "ArrowDown", "ArrowDown", "k"):
        page.keyboard.press(key)
    expect(page.get_by_role("link", name="payments")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#detail-name")).to_have_text("payments")
    expect(page.locator("#detail-name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#detail-name")).to_have_count(0)
    expect(page.get_by_role("link", name="payments")).to_be_focused()


def test_the_focus_stays_on_a_row_that_moves(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments")
    page = visit(monitor.url)
    page.get_by_role("link", name="payments", exact=True).focus()
    monitor.trip("payments")
    expect(page.locator("#rows tr").first).to_contain_text("payments")
    expect(page.locator("#rows tr a").first).to_be_focused()


def test_single_letters_can_be_turned_off(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts")
    page = visit(monitor.url)
    page.get_by_role("checkbox", name="single letters").uncheck()
    page.locator("body").press("j")
    page.locator("body").press("/")
    expect(page.locator("#rows a")).not_to_be_focused()
    expect(page.locator("#search")).not_to_be_focused()


# The details


def test_the_details_have_an_address_and_the_way_back(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    page.get_by_role("link", name="payments").click()
    expect(page).to_have_url(monitor.url_of("payments"))
    page.go_back()
    expect(page.locator("#detail-name")).to_have_count(0)
    page.go_forward()
    expect(page.locator("#detail-name")).to_have_text("payments")


def test_the_details_show_settings_hints_and_failures_as_they_come(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    monitor.calls("payments", ok=10, failed=7)
    detail = page.locator("#detail")
    expect(detail).to_contain_text("Use a longer open time or backoff=2.")
    expect(detail.locator("[data-part=failure_types]")).to_contain_text("httpx.ConnectTimeout7")
    expect(detail.locator("[data-part=settings]")).to_contain_text("CountWindow(size=100)")
    expect(detail).to_contain_text("no answer from 10.0.4.17:8443")
    monitor.trip("payments")
    expect(detail.locator(".events li").first).to_contain_text("closed → open")
    expect(detail.locator(".events li")).to_have_count(1)


def test_the_details_of_a_breaker_that_went_say_so(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", "stock")
    page = visit(monitor.url_of("payments"))
    monitor.remove("payments")
    expect(page.locator("#detail .next")).to_have_text("There is no such breaker any more.")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_data(monitor: Monitor, visit: Visit, name: str) -> None:
    monitor.add(name)
    page = visit(monitor.url)
    assert names(page) == [name]
    page.locator("#rows a").click()
    expect(page.locator("#detail-name")).to_have_text(name)
    page.reload()
    expect(page.locator("#detail-name")).to_have_text(name)
    monitor.trip(name)
    expect(page.locator("#detail .next")).to_contain_text("probe in")
    expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")


def test_markup_in_a_reason_and_in_a_who_is_text(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    monitor.change("payments", "open", MARKUP, who=MARKUP)
    expect(page.locator("#log li").first).to_contain_text(f"{MARKUP}, by {MARKUP}")
    page.reload()
    expect(row(page, "payments")).to_contain_text(MARKUP)


# Controls


def test_what_hurts_is_asked_with_the_focus_on_no(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    page.locator("summary", has_text="Force open").click()
    dialog = page.get_by_role("dialog", name="Force open: payments")
    expect(dialog).to_contain_text("Every call is rejected")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#detail .state")).to_contain_text("Closed")


def test_a_control_that_is_confirmed_is_done(monitor: Monitor, visit: Visit) -> None:
    monitor.add("a/b?c")
    page = visit(monitor.url_of("a/b?c"))
    page.locator("summary", has_text="Force open").click()
    page.get_by_role("button", name="Force open now").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#detail .state")).to_contain_text("Forced open")
    expect(page.locator("#log li").first).to_contain_text("by ana")


def test_a_control_that_is_refused_says_so(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.refuse(403)
    page = visit(monitor.url_of("payments"))
    page.locator("summary", has_text="Reset").click()
    page.get_by_role("button", name="Reset now").click()
    expect(page.get_by_role("alert")).to_have_text("403 Forbidden: You may not control breakers.")


def test_without_the_right_there_are_no_controls(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.rights(control=False, detail=False)
    page = visit(monitor.url)
    page.get_by_role("link", name="payments").click()
    expect(page.locator("#detail-name")).to_have_text("payments")
    assert page.locator("details, form[method=post]").count() == 0
    page.reload()
    assert page.locator("details, form[method=post]").count() == 0


# Without JavaScript


def test_without_javascript_the_page_is_complete(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", "stock")
    monitor.calls("payments", ok=40, failed=60, rejected=7)
    monitor.trip("payments")
    page = visit(monitor.url, live=False, java_script_enabled=False)
    first = page.locator("#rows tr").first.text_content()
    for text in ("Open", "payments", "failure rate 52%", "probe in", "60%", "of 50%", "42 ms", "7"):
        assert text in first
    expect(page.locator("#link")).to_contain_text("reload for newer figures")
    expect(page.locator("#log li").first).to_contain_text("payments closed → open")
    expect(page).to_have_title("(1 open) Breakers")


def test_without_javascript_states_are_filtered_and_breakers_controlled(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments", "stock")
    monitor.trip("payments")
    page = visit(monitor.url, live=False, java_script_enabled=False)
    page.get_by_role("button", name="Open 1", exact=True).click()
    assert names(page) == ["payments"]
    page.get_by_role("link", name="payments").first.click()
    page.locator("summary", has_text="Disable").click()
    page.get_by_role("button", name="Disable now").click()
    expect(page).to_have_url(monitor.url)
    expect(page.locator("#rows tr").first).to_contain_text("Disabled")


def test_the_server_and_the_script_say_the_same(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments", "stock", "tax")
    monitor.calls("payments", ok=345, failed=678, slow=91, rejected=23_456)
    monitor.calls("stock", ok=12_000, slow=1)
    monitor.change("stock", "forced_open", who="ana")
    monitor.change("tax", "half_open")
    still = visit(monitor.url, live=False, java_script_enabled=False)
    live = visit(monitor.url)
    expect(live.locator("#log li")).to_have_count(3)
    for place in ("#verdict", ".c-name", ".c-failing", ".c-slow", ".c-rate", ".c-times"):
        texts = still.locator(place).all_inner_texts()
        assert live.locator(place).all_inner_texts() == texts
    for place in (".c-rejected", ".state", ".next", "#log li"):
        assert live.locator(place).all_inner_texts() == still.locator(place).all_inner_texts()


# On every screen, for everybody


@pytest.mark.parametrize("view", ["list", "detail"])
def test_a_phone_never_scrolls_sideways(monitor: Monitor, visit: Visit, view: str) -> None:
    monitor.add("x" * 120, *ODD_NAMES)
    monitor.calls("x" * 120, failed=9, ok=9_999_999)
    page = visit(monitor.url if view == "list" else monitor.url_of("x" * 120), **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_what_can_be_touched_is_large_enough(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", "stock")
    monitor.trip("payments")
    page = visit(monitor.url_of("payments"), **PHONE)
    sizes = page.evaluate("""[...document.querySelectorAll('a, button, summary, input')]
        .map(each => [each.textContent, each.getBoundingClientRect()])
        .filter(([, box]) => box.width && (box.width < 24 || box.height < 24))
        .filter(([text]) => !text.startsWith('Skip'))
        .map(([text, box]) => [text, box.width, box.height])""")
    assert sizes == []


def test_it_is_dark_where_dark_is_preferred(monitor: Monitor, visit: Visit) -> None:
    ground = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    dark = visit(monitor.url, color_scheme="dark").evaluate(ground)
    light = visit(monitor.url, color_scheme="light").evaluate(ground)
    assert max(dark) < 40
    assert min(light) > 220


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["list", "detail", "dialog", "phone"])
def test_axe_finds_nothing(monitor: Monitor, visit: Visit, scheme: str, view: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    states = ("open", "half_open", "forced_open", "disabled", "metrics_only")
    monitor.add("closed", *states)
    for state in states:
        monitor.calls(state, ok=9, failed=7, slow=8, rejected=1)
        monitor.change(state, state)
    device: dict[str, Any] = PHONE if view == "phone" else {}
    url = monitor.url_of("open") if view in ("detail", "dialog") else monitor.url
    page = visit(url, color_scheme=scheme, reduced_motion="reduce", **device)
    if view in ("detail", "dialog"):
        expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")
    if view == "dialog":
        page.locator("summary", has_text="Force open").click()
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_five_hundred_breakers_are_kept_without_a_stutter(monitor: Monitor, visit: Visit) -> None:
    many = [f"service-{number:03}" for number in range(500)]
    monitor.add(*many)
    page = visit(monitor.url)
    expect(page.locator("#rows tr")).to_have_count(500)
    page.evaluate("""() => {
        window.touched = new Set();
        const touch = ({target}) => touched.add((target.closest ? target : target.parentElement)
            .closest('tr')?.dataset.name);
        new MutationObserver(changes => changes.forEach(touch)).observe(
            document.getElementById('rows'), {subtree: true, childList: true, characterData: true})
    }""")
    monitor.calls("service-007", rejected=5)
    expect(row(page, "service-007").locator(".c-rejected")).to_have_text("5")
    assert page.evaluate("[...touched]") == ["service-007"]
    monitor.trip("service-400")
    expect(page.locator("#rows tr").first).to_contain_text("service-400")
    assert page.evaluate("touched.size") <= 3


def test_no_request_leaves_the_origin_and_nothing_runs_inline(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    page.get_by_role("link", name="payments").click()
    expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")
    assert {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in visit.asked} == {
        monitor.origin
    }
    assert page.locator("script:not([src]), style, [style]:not([style=''])").count() == 0
