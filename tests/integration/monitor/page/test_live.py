"""The live page: states, figures, the log, and the connection."""

from __future__ import annotations

import re

from tests.integration.monitor.page.browsing import Monitor, Server, Visit, icon, names, row
from tests.integration.monitor.page.looking import expect

# Changes while the page is open


def test_a_breaker_that_opens_moves_to_the_top_with_its_reason_and_a_countdown(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("accounts", "payments", "stock")
    page = visit(monitor.url)
    assert names(page) == ["accounts", "payments", "stock"]
    monitor.trip("payments")
    opened = page.locator("#rows tr").first
    expect(opened).to_contain_text("payments")
    expect(opened).to_contain_text("Open")
    expect(opened).to_contain_text("failure rate 100% of 10 calls, limit 50%")
    expect(opened).to_contain_text(re.compile(r"probe in (\d+ s|1 min)"))


def test_the_countdown_ticks(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", fail_max=10, timeout_duration=50)
    monitor.trip("payments")
    page = visit(monitor.url)
    first = row(page, "payments").locator(".next").text_content()
    expect(row(page, "payments").locator(".next")).not_to_have_text(first)


def test_a_probe_that_succeeds_closes_it_again(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments", fail_max=10, timeout_duration=0.01, half_open_calls=2)
    monitor.trip("payments")
    page = visit(monitor.url)
    expect(row(page, "payments").locator(".next")).to_have_text("next call probes")
    monitor.calls("payments", ok=1)
    expect(row(page, "payments").locator(".next")).to_have_text("probing")
    monitor.calls("payments", ok=1)
    expect(row(page, "payments").locator(".state")).to_contain_text("Closed")


def test_figures_change_in_place(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.look()  # from then on calls are timed
    monitor.hold()
    page = visit(monitor.url)
    page.evaluate("document.querySelector('#rows tr').mark = 'the same row'")
    monitor.calls("payments", ok=40, slow=10, failed=10)
    cells = row(page, "payments")
    expect(cells.locator(".c-failing")).to_contain_text("17%")
    expect(cells.locator(".c-failing")).to_contain_text("of 50%")
    expect(cells.locator(".c-slow")).to_contain_text("17%")
    expect(cells.locator(".c-times")).to_contain_text("42 ms")
    expect(cells.locator(".c-rate")).to_have_text("6.0")
    monitor.control("payments", "force-open")
    monitor.calls("payments", rejected=1_234)
    expect(cells.locator(".c-rejected .figure")).to_have_text("123")
    expect(cells.locator(".c-rejected .of")).to_have_text(re.compile("[0-9]+% of calls"))
    assert page.evaluate("document.querySelector('#rows tr').mark") == "the same row"


def test_failures_in_a_row_are_marked_as_they_near_their_limit(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments", fail_max=5)
    page = visit(monitor.url)
    monitor.calls("payments", failed=4)
    streak = row(page, "payments").locator(".streak")
    expect(streak).to_have_text("4 of 5 in a row")
    expect(streak).to_have_attribute("data-level", "near")
    expect(row(page, "payments").locator(".c-failing .figure")).to_be_hidden()
    monitor.calls("payments", failed=1)
    expect(streak).to_have_attribute("data-level", "over")


def test_calls_that_hang_are_shown_while_they_hang(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    monitor.hang("payments", 3)
    expect(page.locator("#detail")).to_contain_text("Calls under way3")
    monitor.wait(1.5)
    slow = row(page, "payments").locator("[data-f=hanging]")
    expect(slow).to_have_text("3 hang")
    expect(page.locator("#detail [data-f=under_way]")).to_have_text("3, 3 of them slow")
    still = visit(monitor.url_of("payments"), live=False, java_script_enabled=False)
    expect(still.locator("#detail [data-f=under_way]")).to_have_text("3, 3 of them slow")
    monitor.answer()
    expect(slow).to_be_hidden()
    expect(page.locator("#detail [data-f=under_way]")).to_have_text("0")


def test_the_chart_says_in_words_what_it_shows(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    chart = page.locator("#rows canvas")
    expect(chart).to_have_attribute("aria-label", "No calls in the last minute")
    monitor.calls("payments", ok=40, slow=2, failed=3)
    monitor.change("payments", "open")
    monitor.calls("payments", rejected=1)
    expect(chart).to_have_attribute(
        "aria-label", "Last minute: 40 ok, 3 failed, 2 slow, 1 rejected"
    )


def test_a_closing_breaker_shows_the_share_that_it_admits(monitor: Monitor, visit: Visit) -> None:
    page = visit(monitor.url)
    monitor.close_gently("payments")
    expect(page.locator("#verdict")).to_contain_text("1 closing")
    expect(row(page, "payments")).to_contain_text("10% admitted")
    monitor.wait(1_440)
    expect(row(page, "payments")).to_contain_text("40% admitted")


def test_the_log_names_the_author_of_a_change(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    monitor.control("payments", "force-open")
    entry = page.locator("#log li").first
    expect(entry).to_contain_text("payments forced open for")
    expect(entry).to_contain_text("forced open by hand, by ana")


def test_an_outage_is_one_entry_of_the_log_which_counts_rejections(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    monitor.change("payments", "force-open")
    monitor.calls("payments", rejected=2)
    monitor.look()
    page = visit(monitor.url)
    for count in (3, 4):
        monitor.calls("payments", rejected=count)
        monitor.look()
    expect(page.locator("#log li")).to_contain_text("9 calls rejected")
    expect(page.locator("#log li")).to_have_count(1)


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
    monitor.change("stock", "half-open")
    expect(page).to_have_title("(1 half-open) Breakers")
    monitor.trip("payments")
    monitor.trip("accounts")
    expect(page).to_have_title("(2 open) Breakers")
    assert icon(page).endswith("icon.svg?state=open")
    page.get_by_role("link", name="stock").first.click()
    expect(page).to_have_title("(2 open) Breakers \N{EN DASH} stock")


# The connection


def test_a_lost_connection_is_shown_with_the_age_of_the_figures_and_restored(
    monitor: Monitor, visit: Visit, server: Server
) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    monitor.control("payments", "force-open")
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()
    expect(page.locator("#detail .events li")).to_have_count(1)
    server.kill()
    expect(page.locator("#status")).to_have_text("reconnecting…")
    expect(page.locator("#age")).to_have_text(re.compile(r"figures are \d+ s old"))
    expect(page).to_have_title("(?) Breakers \N{EN DASH} payments")
    assert icon(page).endswith("icon.svg?state=unknown")
    expect(row(page, "payments")).to_contain_text("Forced open")
    server.start()
    monitor.add("payments")
    monitor.trip("payments")
    expect(page.locator("#status")).to_have_text("live")
    expect(row(page, "payments")).to_contain_text("failure rate 100%")
    expect(page).to_have_title("(1 open) Breakers \N{EN DASH} payments")
    # It is another process, without the history of the first one.
    expect(page.locator("#worker")).to_contain_text(f"{monitor.pid()}, started")
    for log in ("#log", "#detail .events"):
        expect(page.locator(f"{log} li")).to_have_count(1)
        expect(page.locator(f"{log} li")).to_contain_text("open for")


def test_details_come_from_the_server_before_the_stream_is_connected(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    page = visit("about:blank", live=False)
    page.route("**/stream", lambda route: route.fulfill(status=503))
    page.goto(monitor.url)
    expect(page.locator("#status")).to_have_text("reconnecting…")
    page.get_by_role("link", name="payments").click()
    expect(page.locator("#detail [data-part=settings]")).to_contain_text("100 calls")


# Many


def test_five_hundred_breakers_are_kept_without_a_stutter(monitor: Monitor, visit: Visit) -> None:
    many = [f"service-{number:03}" for number in range(500)]
    monitor.add(*many)
    monitor.wait(2_000)  # so that no second changes a text about a duration
    monitor.look()
    page = visit(monitor.url)
    page.evaluate("""() => {
        window.touched = new Set();
        const touch = ({target}) => touched.add((target.closest ? target : target.parentElement)
            .closest('tr')?.dataset.name);
        new MutationObserver(changes => changes.forEach(touch)).observe(
            document.getElementById('rows'), {subtree: true, childList: true, characterData: true})
    }""")
    monitor.calls("service-400", failed=3)
    monitor.look()
    assert page.evaluate("[...touched].filter(Boolean)") == []
    monitor.calls("service-400", failed=7)
    expect(page.locator("#rows tr").first).to_contain_text("service-400")
    assert page.evaluate("touched.size") <= 2
