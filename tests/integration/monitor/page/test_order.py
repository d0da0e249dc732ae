"""The order of the rows: stable, chosen by the reader, and held under the pointer."""

from __future__ import annotations

import re
from typing import Any

from tests.integration.monitor.page.browsing import Monitor, Visit, names
from tests.integration.monitor.page.looking import expect

HELD = "order holds while you point"


def order(page: Any, *wanted: str) -> None:
    expect(page.locator("#rows tr .c-name a")).to_have_text([*wanted])


def test_the_first_outage_is_first_and_failed_probes_move_nothing(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("accounts", "payments", "stock", fail_max=10, timeout_duration=30)
    page = visit(monitor.url)
    monitor.trip("stock")
    monitor.trip("payments")
    order(page, "stock", "payments", "accounts")
    monitor.wait(60)
    monitor.calls("payments", failed=1)
    outage = page.locator("#outages .outage", has_text="payments")
    expect(outage).to_contain_text("1 probe failed")
    order(page, "stock", "payments", "accounts")
    expect(page.locator("#rows tr", has_text="payments")).not_to_contain_text("a probe failed")


def test_a_row_does_not_move_while_the_pointer_is_over_the_table(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("accounts", "payments")
    page = visit(monitor.url)
    page.get_by_role("link", name="accounts").hover()
    monitor.trip("payments")
    expect(page.locator("#held")).to_have_text(HELD)
    order(page, "accounts", "payments")
    page.locator("h1").hover()
    order(page, "payments", "accounts")
    expect(page.locator("#held")).to_have_text("")


def test_the_table_stays_where_it_is_when_outages_appear_above_it(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("accounts", "payments")
    page = visit(monitor.url)
    link = page.get_by_role("link", name="accounts").first
    link.hover()
    before = link.bounding_box()["y"]
    monitor.trip("payments")
    expect(page.locator("#outages")).to_be_visible()
    assert abs(link.bounding_box()["y"] - before) < 2


def test_a_row_with_the_focus_holds_the_order_until_escape(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments")
    page = visit(monitor.url)
    page.get_by_role("link", name="payments", exact=True).focus()
    monitor.trip("payments")
    expect(page.locator("#held")).to_have_text(HELD)
    order(page, "accounts", "payments")
    page.keyboard.press("Escape")
    order(page, "payments", "accounts")


def test_a_breaker_that_is_gone_leaves_its_row_while_it_is_held(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("accounts", "payments", "stock")
    page = visit(monitor.url)
    page.get_by_role("link", name="stock").hover()
    monitor.remove("accounts")
    expect(page.locator("#rows tr").first).to_contain_text("is gone")
    page.locator("h1").hover()
    order(page, "payments", "stock")


def test_the_reader_chooses_the_order_and_the_address_keeps_it(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("accounts", "payments", "stock")
    monitor.calls("accounts", ok=5)
    monitor.calls("stock", ok=20)
    monitor.calls("payments", ok=9)
    page = visit(monitor.url)
    page.get_by_role("button", name="Calls/s").click()
    page.locator("h1").hover()
    expect(page).to_have_url(re.compile("order=calls"))
    expect(page.locator("th[aria-sort]")).to_have_text("Calls/s")
    page.reload()
    page.get_by_role("button", name="Breaker").click()
    expect(page).to_have_url(re.compile("order=name"))
    page.locator("h1").hover()
    order(page, "accounts", "payments", "stock")


def test_quiet_breakers_are_one_line_that_opens(monitor: Monitor, visit: Visit) -> None:
    monitor.add(*(f"service-{number:02}" for number in range(20)))
    page = visit(monitor.url)
    monitor.trip("service-07")
    expect(page.locator("#quiet")).to_have_text("19 closed, nothing near its limit")
    assert names(page) == ["service-07"]
    page.locator("#quiet").click()
    expect(page.locator("#quiet")).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#table")).to_have_attribute("aria-rowcount", "22")
    assert names(page)[:2] == ["service-07", "service-00"]
    expect(page).to_have_url(re.compile("all=yes"))


def test_a_search_finds_breakers_that_are_folded(monitor: Monitor, visit: Visit) -> None:
    monitor.add(*(f"service-{number:02}" for number in range(20)))
    page = visit(monitor.url)
    expect(page.locator("#quiet")).to_be_visible()
    page.locator("#search").fill("service-1")
    expect(page.locator("#rows tr")).to_have_count(10)
    expect(page.locator("#quiet")).to_have_count(0)


def test_a_search_without_a_hit_says_what_to_do(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments")
    page = visit(monitor.url)
    page.locator("#search").fill("nothing")
    expect(page.locator("#empty")).to_contain_text("No breaker fits")
    page.get_by_role("link", name="Clear the search").click()
    order(page, "accounts", "payments")


def test_a_page_without_breakers_shows_how_to_make_one(monitor: Monitor, visit: Visit) -> None:
    page = visit(monitor.url)
    expect(page.locator("#empty pre")).to_contain_text("CircuitBreaker(")
    monitor.add("payments")
    order(page, "payments")
    expect(page.locator("#empty")).to_be_hidden()


def test_outages_are_in_the_order_in_which_they_began_and_more_than_five_fold(
    monitor: Monitor, visit: Visit
) -> None:
    many = [f"service-{number}" for number in range(6)]
    monitor.add(*many, "warehouse", "accounts")
    page = visit(monitor.url)
    monitor.trip("warehouse")
    monitor.look()
    for name in many:  # in one millisecond, maybe: then the name decides
        monitor.trip(name)
    links = page.locator("#outage-list .outage .o-name a:first-of-type")
    expect(links).to_have_text(["warehouse", *many[:4]])
    expect(page.locator("#more-outages summary")).to_have_text("and 2 more")
    page.locator("#more-outages summary").click()
    expect(page.locator("#more-outages .outage")).to_have_count(2)


def test_the_log_is_filtered_by_kind_and_by_the_search(monitor: Monitor, visit: Visit) -> None:
    monitor.add("accounts", "payments")
    page = visit(monitor.url)
    monitor.control("accounts", "reset")
    monitor.trip("payments")
    expect(page.locator("#log li")).to_have_count(2)
    page.locator("#kind").select_option("by_hand")
    expect(page.locator("#log li")).to_have_count(1)
    expect(page.locator("#log li")).to_contain_text("accounts was reset")
    page.locator("#kind").select_option("")
    page.locator("#search").fill("pay")
    expect(page.locator("#log li")).to_have_count(1)
    expect(page.locator("#log li")).to_contain_text("payments open for")


def test_older_stories_are_fetched(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    for _ in range(120):
        monitor.control("payments", "reset")
    page = visit(monitor.url)
    expect(page.locator("#log li:not(.day)")).to_have_count(100)
    page.get_by_role("button", name="Older").click()
    expect(page.locator("#log li:not(.day)")).to_have_count(120)
    expect(page.get_by_role("button", name="Older")).to_be_hidden()
