"""Changes of several: those selected, all that match, all green; and a list without rows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.monitor.page.browsing import PHONE, Monitor, Visit, row
from tests.integration.monitor.page.looking import expect


def pick(page: Any, name: str) -> Any:
    return page.get_by_role("checkbox", name=f"Select {name}", exact=True)


def bar(page: Any) -> Any:
    return page.get_by_role("region", name="Selected breakers")


def outcome(page: Any) -> Any:
    return page.locator("#ask-outcome")


def states(page: Any, *names: str) -> list[str]:
    return [row(page, name).get_attribute("data-state") for name in names]


@pytest.mark.parametrize("device", [{}, PHONE])
def test_selected_breakers_are_changed_together(
    monitor: Monitor, visit: Visit, device: dict[str, Any]
) -> None:
    monitor.add("accounts", "pay[1]*", "stock", "tax")
    page = visit(monitor.url, **device)
    expect(bar(page)).to_be_hidden()
    for name in ("accounts", "pay[1]*"):
        pick(page, name).check()
    expect(bar(page)).to_contain_text("2 selected")
    bar(page).get_by_role("button", name="Force open", exact=True).click()
    dialog = page.get_by_role("dialog", name="Force open: 2 breakers")
    expect(dialog.locator("#ask-names li")).to_have_text(["accounts closed", "pay[1]* closed"])
    dialog.get_by_role("radio", name="30 min").check()
    dialog.get_by_label("Why").fill("a move")
    dialog.get_by_role("button", name="Force open 2 breakers").click()
    expect(outcome(page)).to_have_text("Done: Force open, 2 breakers: accounts, pay[1]*.")
    page.keyboard.press("Escape")
    expect(row(page, "accounts")).to_have_attribute("data-state", "forced_open")
    expect(row(page, "pay[1]*")).to_have_attribute("data-state", "forced_open")
    assert states(page, "stock", "tax") == ["closed", "closed"]
    expect(page.locator("#log li").first).to_contain_text("a move, by ana")
    expect(bar(page)).to_be_hidden()


def test_cards_have_a_box_too(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "stock")
    page = visit(monitor.url, cards=True)
    pick(page, "stock").check()
    expect(page).to_have_url(monitor.url)
    expect(bar(page)).to_contain_text("1 selected")
    bar(page).get_by_role("button", name="Clear").click()
    expect(pick(page, "stock")).not_to_be_checked()


def test_x_selects_the_row_under_the_cursor_and_esc_clears(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "stock", "tax")
    page = visit(monitor.url)
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(pick(page, "accounts")).to_be_checked()
    expect(pick(page, "stock")).to_be_checked()
    page.keyboard.press("x")
    expect(bar(page)).to_contain_text("1 selected")
    page.keyboard.press("Escape")
    expect(bar(page)).to_be_hidden()


def test_shift_selects_the_rows_in_between(monitor: Monitor, visit: Visit) -> None:
    monitor.add("a", "b", "c", "d")
    page = visit(monitor.url)
    pick(page, "b").click()
    pick(page, "d").click(modifiers=["Shift"])
    expect(bar(page)).to_contain_text("3 selected")
    expect(pick(page, "a")).not_to_be_checked()


def test_all_breakers_that_match_are_selected_folded_ones_too(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("stock", *(f"http:{number}" for number in range(52)))
    page = visit(monitor.url)
    page.locator("#search").fill("http:")
    page.get_by_role("button", name="Select the 52 that match").click()
    expect(bar(page)).to_contain_text("52 selected")
    page.locator("#search").fill("")
    expect(bar(page)).not_to_contain_text("not shown")
    bar(page).get_by_role("button", name="Disable").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("#ask-names > ul > li")).to_have_count(10)
    expect(dialog.locator("#ask-names summary")).to_have_text("and 42 more")
    dialog.get_by_role("button", name="Disable 52 breakers").click()
    expect(outcome(page)).to_contain_text("Done: Disable, 52 breakers: http:0, ")
    expect(outcome(page)).to_contain_text("and 42 more")
    page.keyboard.press("Escape")
    expect(page.locator("#verdict")).to_contain_text("52 disabled")
    expect(page.locator("#verdict")).to_contain_text("of 53")


def test_hundreds_are_changed_although_a_form_takes_fewer(monitor: Monitor, visit: Visit) -> None:
    monitor.add(*(f"a-service-with-a-long-name-{number:03}" for number in range(120)), "x" * 1_100)
    page = visit(monitor.url)
    page.get_by_role("button", name="Select all 121").click()
    bar(page).get_by_role("button", name="Metrics only").click()
    page.get_by_role("button", name="Metrics only 121 breakers").click()
    expect(outcome(page)).to_contain_text("Done: Metrics only, 121 breakers: ")
    page.keyboard.press("Escape")
    expect(page.locator("#verdict")).to_contain_text("121 metrics only")


def test_all_green_resets_what_is_not_closed_and_names_it_first(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("accounts", "payments", "stock")
    page = visit(monitor.url)
    green = page.get_by_role("button", name="All green")
    expect(green).to_be_hidden()
    monitor.trip("payments")
    monitor.change("stock", "disable")
    green.click()
    dialog = page.get_by_role("dialog", name="All green")
    expect(dialog.locator("#ask-names li")).to_have_text(["payments open", "stock disabled"])
    dialog.get_by_role("button", name="Reset 2 breakers").click()
    expect(outcome(page)).to_have_text("Done: Reset, 2 breakers: payments, stock.")
    page.keyboard.press("Escape")
    expect(page.locator("#verdict")).to_contain_text("All 3 are closed")
    expect(green).to_be_hidden()


def test_a_refusal_of_many_says_why(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts")
    monitor.trip("accounts")
    page = visit(monitor.url)
    monitor.rights(control=False)
    page.get_by_role("button", name="All green").click()
    page.get_by_role("button", name="Reset 1 breaker").click()
    expect(outcome(page)).to_contain_text("Refused, nothing was changed. 403 Forbidden")


def test_one_that_is_gone_meanwhile_is_counted(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "stock")
    page = visit(monitor.url)
    page.get_by_role("button", name="Select all 2").click()
    bar(page).get_by_role("button", name="Reset").click()
    monitor.remove("stock")
    page.get_by_role("button", name="Reset 2 breakers").click()
    expect(outcome(page)).to_have_text("Done: Reset, 1 breaker: accounts. 1 no longer exists.")


# A list without rows


def test_a_page_without_breakers_shows_how_to_make_one(monitor: Monitor, visit: Visit) -> None:
    for live in (True, False):
        page = visit(monitor.url, live=live, java_script_enabled=live)
        expect(page.locator("#none-yet")).to_contain_text('CircuitBreaker("payments")')
        expect(page.locator("#no-hits")).to_be_hidden()
    page = visit(monitor.url)
    monitor.add("payments")
    expect(row(page, "payments")).to_be_visible()
    expect(page.locator("#empty")).to_be_hidden()


def test_a_search_without_hits_says_what_was_searched_and_clears_it(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    page.locator("#search").fill("zzz")
    expect(page.locator("#no-hits")).to_contain_text("The search was zzz.")
    page.get_by_role("link", name="Clear the search").click()
    expect(row(page, "payments")).to_be_visible()
    expect(page.locator("#search")).to_have_value("")


def test_a_search_says_how_many_the_filter_of_states_hides(monitor: Monitor, visit: Visit) -> None:
    monitor.add("pay-1", "pay-2", "pay-3", "stock")
    monitor.trip("stock")
    page = visit(monitor.url)
    page.get_by_role("button", name="Open 1", exact=True).click()
    page.locator("#search").fill("pay")
    expect(page.locator("#no-hits")).to_contain_text("3 are hidden by the filter of states.")
    page.get_by_role("link", name="Show all states").click()
    expect(page.locator("#found")).to_have_text("3 of 4")


def test_without_javascript_a_search_without_hits_has_ways_out(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    url = f"{monitor.url}?name=zzz&state=open"
    page = visit(url, live=False, java_script_enabled=False)
    expect(page.locator("#no-hits")).to_contain_text("The search was zzz.")
    expect(page.locator("#no-hits")).to_contain_text("Only those that are open are shown.")
    page.get_by_role("link", name="Clear the search").click()
    expect(page).to_have_url(f"{monitor.url}?state=open")
