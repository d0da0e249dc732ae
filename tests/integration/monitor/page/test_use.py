"""The page in use: search, filters and keys."""

from __future__ import annotations

from tests.integration.monitor.page.browsing import (
    Monitor,
    Visit,
    names,
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


def test_an_unauthorized_reader_gets_no_page(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.rights(read=False, control=False)
    page = visit(monitor.url, live=False)
    expect(page.locator("body")).to_contain_text("Reading was not authorized.")
    expect(page.locator("body")).not_to_contain_text("payments")
