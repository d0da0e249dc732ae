"""A thousand breakers: only the rows in view exist, and keys reach all of them."""

from __future__ import annotations

import urllib.request

import pytest

from tests.integration.monitor.page.browsing import Monitor, Visit
from tests.integration.monitor.page.looking import expect

MANY = [f"service-{number:03}" for number in range(1_000)]
LARGEST = 200_000
MOST = 1_000
"""Changes of the document in a second: a few for each row in view."""


@pytest.fixture
def thousand(monitor: Monitor) -> Monitor:
    monitor.add(*MANY)
    return monitor


def test_the_first_page_is_small(thousand: Monitor) -> None:
    request = urllib.request.Request(f"{thousand.url}?all=yes", headers={"accept": "text/html"})
    with urllib.request.urlopen(request) as response:
        document = response.read().decode()
    assert len(document) < LARGEST
    assert document.count('class="row"') == 60 + 1, "with the template"
    assert "More breakers" in document


def test_only_the_rows_near_the_view_exist(thousand: Monitor, visit: Visit) -> None:
    page = visit(f"{thousand.url}?all=yes")
    expect(page.locator("#table")).to_have_attribute("aria-rowcount", "1002")
    assert page.locator("#rows tr").count() < 60
    page.evaluate("scrollTo(0, document.getElementById('rows').offsetHeight / 2)")
    middle = page.locator("#rows tr[aria-rowindex='500']")
    expect(middle).to_contain_text("service-49")
    assert page.locator("#rows tr").count() < 60


def test_the_keys_reach_all_rows(thousand: Monitor, visit: Visit) -> None:
    page = visit(f"{thousand.url}?all=yes&order=name")
    page.keyboard.press("j")
    for _ in range(70):
        page.keyboard.press("j")
    link = page.get_by_role("link", name="service-070", exact=True)
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#detail-name")).to_have_text("service-070")
    page.keyboard.press("Escape")
    expect(link).to_be_focused()


def test_the_focus_is_kept_when_its_row_is_scrolled_out_of_sight(
    thousand: Monitor, visit: Visit
) -> None:
    page = visit(f"{thousand.url}?all=yes&order=name")
    page.keyboard.press("j")
    page.evaluate("scrollTo(0, 30000)")
    expect(page.locator("#rows tr", has_text="service-5").first).to_be_visible()
    expect(page.get_by_role("link", name="service-000", exact=True)).to_be_focused()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="service-001", exact=True)).to_be_in_viewport()


def test_a_second_of_a_thousand_busy_ones_touches_only_what_is_in_view(
    thousand: Monitor, visit: Visit
) -> None:
    page = visit(f"{thousand.url}?all=yes")
    thousand.steer("busy", calls=3)
    touched: list[int] = page.evaluate("""() => new Promise(done => {
        const sums = [];
        let changes = 0;
        new MutationObserver(list => changes += list.length).observe(
            document.body, {subtree: true, childList: true, characterData: true, attributes: true});
        const timer = setInterval(() => {
            sums.push(changes);
            changes = 0;
            if (sums.length === 5) { clearInterval(timer); done(sums); }
        }, 1000);
    })""")
    assert 0 < max(touched) < MOST
