"""The page in use: search, filters, keys, the details, and the controls."""

from __future__ import annotations

import re

import pytest

from tests.integration.monitor.page.browsing import (
    MARKUP,
    ODD_NAMES,
    Monitor,
    Server,
    Visit,
    names,
    row,
)
from tests.integration.monitor.page.looking import expect


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
    monitor.add("payments", fail_max=8, timeout_duration=0.5, keep_messages=True)
    monitor.look()  # from then on calls are timed
    page = visit(monitor.url_of("payments"))
    monitor.calls("payments", ok=10, failed=5, took=0.8)
    monitor.calls("payments", failed=2, error="ConnectError", took=0.8)
    detail = page.locator("#detail")
    expect(detail.locator(".hints p")).to_have_text(
        "timeout_duration It stays open for 0.5 s, and half of the calls take more than 0.8 s. "
        "Raise timeout_duration: the dependency needs more than one call's time to recover."
    )
    failures = detail.locator("[data-part=failure_types] .pairs > div")
    expect(failures).to_have_text(["TimeoutError5", "ConnectError2"])
    settings = detail.locator("[data-part=settings]")
    for setting in ("fail_max8", "timeout_duration0.5", "windowNone", "keep_messagesTrue"):
        expect(settings).to_contain_text(setting)
    expect(detail.locator("[data-f=last_failure]")).to_contain_text("ConnectError, ")
    expect(detail).to_contain_text("no answer from 10.0.4.17:8443")
    monitor.calls("payments", failed=1)
    expect(detail.locator(".events li").first).to_contain_text("payments open for")
    expect(detail.locator(".events li")).to_have_count(1)


def test_a_hint_comes_when_no_count_of_the_table_changes(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    settings = page.locator("[data-part=settings]")
    settings.evaluate("element => element.replaceChildren()")
    expect(settings).to_contain_text("fail_max")  # requested again, before the calls
    monitor.calls("payments", ignored=10)
    expect(page.locator(".hints p")).to_contain_text("All 10 calls so far were ignored.")


def test_the_details_of_a_removed_breaker_say_so(monitor: Monitor, visit: Visit) -> None:
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
    monitor.trip(name)
    page.reload()
    expect(page.locator("#detail-name")).to_have_text(name)
    expect(page.locator("#detail .next")).to_contain_text("probe in")
    expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")


def test_markup_in_a_who_and_in_an_exception_is_text(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    monitor.calls("payments", failed=1, error=MARKUP, message=MARKUP)
    monitor.rights(who=MARKUP)
    monitor.control("payments", "open")
    detail = page.locator("#detail")
    for _ in ("streamed", "rendered"):
        expect(page.locator("#log li").first).to_contain_text(f"opened by hand, by {MARKUP}")
        expect(detail.locator("[data-part=failure_types]")).to_contain_text(MARKUP)
        expect(detail.locator(".message")).to_have_text(MARKUP)
        page.reload()


# Controls


def test_a_harmful_action_is_confirmed_with_the_focus_on_cancel(
    monitor: Monitor, visit: Visit
) -> None:
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


def test_a_control_takes_why_and_for_how_long(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    page.locator("summary", has_text="Force open").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("the bank's <i>maintenance</i>")
    dialog.get_by_label("For how long (seconds)").fill("600")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    reason = "forced open by hand: the bank's <i>maintenance</i>"
    expect(page.locator("#detail header .reason")).to_have_text(reason)
    expect(page.locator("#log li").first).to_contain_text(f"{reason}, by ana")
    for _ in ("streamed", "rendered"):
        for place in ("#detail .next", "#rows .next"):
            expect(page.locator(place)).to_have_text(re.compile("closes in (9|10) min"))
        page.reload()


def test_the_fields_of_one_control_are_empty_for_the_next(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    dialog = page.get_by_role("dialog")
    page.locator("summary", has_text="Disable").click()
    dialog.get_by_label("Why").fill("a trial")
    dialog.get_by_label("For how long (seconds)").fill("600")
    page.keyboard.press("Escape")
    page.locator("summary", has_text="Reset").click()
    expect(dialog.get_by_label("Why")).to_have_value("")
    expect(dialog.get_by_label("For how long (seconds)")).to_have_count(0)


def test_a_wrong_duration_is_not_sent(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    page.locator("summary", has_text="Force open").click()
    page.get_by_role("dialog").get_by_label("For how long (seconds)").fill("-5")
    page.get_by_role("button", name="Force open now").click()
    expect(page.locator("#ask input:invalid")).to_have_count(1)
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("#detail .state")).to_contain_text("Closed")


def test_the_log_shows_controls_that_change_no_state(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    for action in ("reset", "close", "force-open", "force-open"):
        monitor.control("payments", action)
    for _ in ("streamed", "rendered"):
        expect(page.locator("#log .what")).to_have_text(
            ["stays forced open", re.compile("forced open for"), "stays closed", "was reset"]
        )
        page.reload()


def test_a_control_that_is_refused_says_so(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    monitor.rights(control=False)
    page.locator("summary", has_text="Reset").click()
    page.get_by_role("button", name="Reset now").click()
    expect(page.get_by_role("alert")).to_have_text("403 Forbidden: Controlling was not authorized.")


def test_a_control_that_reaches_no_server_says_so(
    monitor: Monitor, visit: Visit, server: Server
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    page.locator("summary", has_text="Reset").click()
    server.kill()
    page.get_by_role("button", name="Reset now").click()
    expect(page.get_by_role("alert")).to_contain_text("The server could not be reached.")


@pytest.mark.parametrize("details", [1, 0])
def test_without_the_right_there_are_no_controls(
    monitor: Monitor, visit: Visit, details: int
) -> None:
    monitor.add("payments")
    monitor.rights(control=False)
    page = visit(monitor.url if details else monitor.mounted)
    page.get_by_role("link", name="payments").click()
    expect(page.locator("#detail-name")).to_have_text("payments")
    for _ in ("made by the script", "rendered"):
        expect(page.locator("#detail [data-part=settings] dl")).to_have_count(details)
        assert page.locator("details, form[method=post]").count() == 0
        page.reload()


def test_an_unauthorized_reader_gets_no_page(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.rights(read=False, control=False)
    page = visit(monitor.url, live=False)
    expect(page.locator("body")).to_contain_text("Reading was not authorized.")
    expect(page.locator("body")).not_to_contain_text("payments")


def test_a_monitor_that_is_mounted_works_as_the_middlewares(monitor: Monitor, visit: Visit) -> None:
    monitor.add("a/b", "stock")
    page = visit(monitor.mounted.removesuffix("/"))
    page.get_by_role("link", name="a/b").click()
    expect(page).to_have_url(monitor.mounted + "a%2Fb")
    page.reload()
    page.locator("summary", has_text="Half-open").click()
    page.get_by_role("button", name="Half-open now").click()
    expect(row(page, "a/b").locator(".next")).to_have_text("probing")
    expect(page).to_have_title("(1 half-open) Breakers \N{EN DASH} a/b")
