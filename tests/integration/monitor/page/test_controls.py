"""The controls of one breaker: what they do is said before, and what became of them after."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.integration.monitor.page.browsing import (
    Monitor,
    Server,
    Visit,
    confirm,
    control,
    row,
    stopped,
)
from tests.integration.monitor.page.looking import expect

IMPATIENT = """() => {
    const { timeout } = AbortSignal;
    AbortSignal.timeout = () => timeout.call(AbortSignal, 300);
}"""
RECORDED = """() => {
    const { timeout } = AbortSignal;
    window.limits = [];
    AbortSignal.timeout = (limit) => (window.limits.push(limit), timeout.call(AbortSignal, limit));
}"""


def outcome(page: Any) -> Any:
    return page.locator("#ask-outcome")


def test_each_control_says_what_it_does_and_harmful_ones_stand_apart(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    expect(control(page, "close")).to_contain_text("Calls are admitted and watched")
    expect(control(page, "open")).to_contain_text("for its open time; then it probes by itself")
    for one, other in (("close", "reset"), ("open", "force-open")):
        left, right = (control(page, action).bounding_box() for action in (one, other))
        assert left["y"] == right["y"], "side by side"
    harmful = page.locator("#detail .harmful details")
    assert [action.get_attribute("data-action") for action in harmful.all()] == [
        "open",
        "force-open",
        "metrics-only",
        "disable",
    ]


def test_a_harmful_action_is_confirmed_with_the_focus_on_cancel(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    control(page, "force-open").click()
    dialog = page.get_by_role("dialog", name="Force open: payments")
    expect(dialog).to_contain_text("Every call is rejected")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#detail .state")).to_contain_text("Closed")


def test_a_control_that_is_done_says_what_the_breaker_is_now(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("a/b?c")
    page = visit(monitor.url_of("a/b?c"))
    control(page, "force-open").click()
    page.get_by_role("button", name="Force open now").click()
    expect(outcome(page)).to_have_text("Done: a/b?c is forced open now: until changed by hand.")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#detail .state")).to_contain_text("Forced open")
    expect(page.locator("#log li").first).to_contain_text("by ana")


def test_a_control_takes_why_and_for_how_long(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    control(page, "force-open").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("radio", name="until changed by hand")).to_be_checked()
    dialog.get_by_role("radio", name="5 min").check()
    dialog.get_by_label("Why").fill("the bank's <i>maintenance</i>")
    page.keyboard.press("Enter")
    expect(outcome(page)).to_contain_text("closes in 5 min")
    page.keyboard.press("Escape")
    reason = "forced open by hand: the bank's <i>maintenance</i>"
    expect(page.locator("#detail header .reason")).to_have_text(reason)
    expect(page.locator("#log li").first).to_contain_text(f"{reason}, by ana")
    for _ in ("streamed", "rendered"):
        for place in ("#detail .next", "#rows .next"):
            expect(page.locator(place)).to_have_text(re.compile("closes in (4|5) min"))
        page.reload()


def test_another_time_is_given_in_minutes(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    control(page, "open").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("radio", name="its open time")).to_be_checked()
    dialog.get_by_label("Other time in minutes").fill("150")
    expect(dialog.get_by_role("radio", name="other")).to_be_checked()
    page.keyboard.press("Enter")
    expect(outcome(page)).to_contain_text("probe in 2 h 30 min")


def test_the_fields_of_one_control_are_empty_for_the_next(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    dialog = page.get_by_role("dialog")
    control(page, "disable").click()
    dialog.get_by_label("Why").fill("a trial")
    dialog.get_by_role("radio", name="1 h").check()
    page.keyboard.press("Escape")
    control(page, "reset").click()
    expect(dialog.get_by_label("Why")).to_have_value("")
    expect(dialog.locator("#ask-time")).to_be_hidden()
    page.keyboard.press("Escape")
    control(page, "disable").click()
    expect(dialog.get_by_role("radio", name="until changed by hand")).to_be_checked()


def test_a_wrong_duration_is_not_sent(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    control(page, "force-open").click()
    page.get_by_label("Other time in minutes").fill("-5")
    page.get_by_role("button", name="Force open now").click()
    expect(page.locator("#ask input:invalid")).to_have_count(1)
    expect(outcome(page)).to_be_hidden()
    expect(page.locator("#detail .state")).to_contain_text("Closed")


def test_a_control_that_is_refused_says_why_and_keeps_the_reason(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    monitor.rights(control=False)
    control(page, "reset").click()
    page.get_by_role("dialog").get_by_label("Why").fill("mended")
    page.get_by_role("button", name="Reset now").click()
    expect(outcome(page)).to_have_text(
        "Refused, nothing was changed. 403 Forbidden: Controlling was not authorized."
    )
    monitor.rights(control=True)
    page.get_by_role("button", name="Try again").click()
    expect(outcome(page)).to_contain_text("Done: payments is closed now")
    expect(page.locator("#log li").first).to_contain_text("mended")


def test_a_control_without_an_answer_says_that_it_may_have_happened(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    page.evaluate(IMPATIENT)
    control(page, "reset").click()
    with stopped(monitor.pid()):
        page.get_by_role("button", name="Reset now").click()
        expect(outcome(page)).to_contain_text("No answer within 10 s. It may have happened")
        expect(page.get_by_role("button", name="Try again")).to_be_enabled()


def test_the_time_limit_of_a_control_is_ten_seconds(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    page.evaluate(RECORDED)
    confirm(page, "reset")
    assert page.evaluate("limits") == [10_000]


def test_a_control_that_reaches_no_server_says_so(
    monitor: Monitor, visit: Visit, server: Server
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    control(page, "reset").click()
    server.kill()
    page.get_by_role("button", name="Reset now").click()
    expect(outcome(page)).to_contain_text("The server can't be reached.")


def test_while_the_page_is_not_live_controls_say_so(
    monitor: Monitor, visit: Visit, server: Server
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    warning = page.locator("#detail .not-live")
    expect(warning).to_be_hidden()
    server.kill()
    expect(warning).to_contain_text("This page is not live")
    control(page, "reset").click()
    expect(page.get_by_role("dialog")).to_contain_text("This page is not live")


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
        assert page.locator("details[data-action], form[method=post], .pick").count() == 0
        expect(page.locator("#all-green")).to_have_count(0)
        page.reload()


def test_a_monitor_that_is_mounted_works_as_the_middlewares(monitor: Monitor, visit: Visit) -> None:
    monitor.add("a/b", "stock")
    page = visit(monitor.mounted.removesuffix("/"))
    page.get_by_role("link", name="a/b").click()
    expect(page).to_have_url(monitor.mounted + "a%2Fb")
    page.reload()
    confirm(page, "half-open")
    expect(row(page, "a/b").locator(".next")).to_have_text("probing")
    expect(page).to_have_title("(1 half-open) Breakers \N{EN DASH} a/b")
