"""The page never lies: it says how old its figures are, and what it cannot know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.monitor.page.browsing import Monitor, Server, Visit, names, row, stopped
from tests.integration.monitor.page.looking import expect


@contextmanager
def hung(monitor: Monitor) -> Iterator[None]:
    """Stop the server meanwhile: its connections stay open, and nothing comes."""
    with stopped(monitor.pid()):
        yield


def test_the_age_of_the_figures_is_always_in_view(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    expect(page.locator("#status")).to_have_text("live")
    expect(page.locator("#age")).to_have_text(re.compile(r"^[0-2]\.\d s old$"))


def test_a_server_that_hangs_is_not_live(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    before = page.locator("#verdict").evaluate("each => getComputedStyle(each).color")
    with hung(monitor):
        expect(page.locator("#stale")).to_contain_text(re.compile(r"Figures are \d+ s old"))
        expect(page.locator("#age")).to_have_text(re.compile(r"figures are \d+ s old"))
        expect(page).to_have_title("(?) Breakers")
        expect(page.locator("body")).to_have_attribute("data-stale", "yes")
    expect(page.locator("#status")).to_have_text("live")
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("body")).to_have_attribute("data-stale", "")
    assert page.locator("#verdict").evaluate("each => getComputedStyle(each).color") == before


def test_figures_that_are_old_are_dimmed(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.trip("payments")
    page = visit(monitor.url)
    colour = "each => getComputedStyle(each).color"
    live = row(page, "payments").locator(".state").evaluate(colour)
    with hung(monitor):
        expect(page.locator("body")).to_have_attribute("data-stale", "yes")
        assert row(page, "payments").locator(".state").evaluate(colour) != live


def test_a_countdown_stands_still_while_the_server_is_not_heard(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments", fail_max=10, timeout_duration=9)
    page = visit(monitor.url)
    monitor.trip("payments")
    expect(row(page, "payments").locator(".next")).to_contain_text("probe in")
    with hung(monitor):
        expect(page.locator("#age")).to_have_text(re.compile(r"figures are (9|10) s old"))
        expect(row(page, "payments").locator(".next")).to_contain_text("probe in")


def test_an_idle_server_stays_live(monitor: Monitor, visit: Visit) -> None:
    page = visit(monitor.url)
    page.evaluate("""() => {
        window.links = [];
        new MutationObserver(() => links.push(document.getElementById('link').dataset.link))
            .observe(document.getElementById('link'), {attributes: true});
    }""")
    page.evaluate("""() => new Promise(done => {
        const stream = new EventSource(`${document.documentElement.dataset.base}/-/stream`);
        let beats = 0;
        stream.addEventListener('beat', () => ++beats === 4 && done(stream.close()));
    })""")
    assert page.evaluate("links") == []


def test_times_are_local_and_their_zone_is_named(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.trip("payments")
    page = visit(monitor.url, timezone_id="Asia/Kathmandu", locale="en-GB")
    titles = page.locator("#outages-title, #log-title")
    expect(titles).to_have_text(
        ["Outages now, times in GMT+5:45", "What changed, times in GMT+5:45"]
    )
    time = page.locator("#log time").first
    text, utc = time.text_content(), time.get_attribute("title")
    hours = (int(text[:2]) * 60 + int(text[3:5]) - int(utc[11:13]) * 60 - int(utc[14:16])) % 1440
    assert hours == 5 * 60 + 45
    assert utc.endswith(" UTC")


def test_a_zone_is_named_by_its_usual_name(monitor: Monitor, visit: Visit) -> None:
    page = visit(monitor.url, timezone_id="Europe/Berlin")
    expect(page.locator("#log-title")).to_have_text(re.compile(r"times in CES?T$"))


def test_the_log_has_the_date_where_it_changes(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url, timezone_id="UTC")
    monitor.trip("payments")
    expect(page.locator("#log li")).to_have_count(1)
    dates = page.evaluate("""async () => {
        const base = document.documentElement.dataset.base;
        const {Log} = await import(`${base}/-/static/log.js`);
        const list = document.createElement('ol');
        const log = new Log(list, base, {now: () => Date.UTC(2026, 5, 3, 1) / 1000});
        const at = (id, text) => ({id, at: text, breaker: 'tax', kind: 'change', from: 'closed',
                                   to: 'open', reason: '', who: null});
        log.replace([at(3, '2026-06-03T00:30:00Z'), at(2, '2026-06-02T23:00:00Z'),
                     at(1, '2026-06-02T22:00:00Z'), at(0, '2026-05-31T22:00:00Z')]);
        return [...list.children].map(each => each.className || each.dataset.id);
    }""")
    assert dates == ["3", "day", "2", "1", "day", "0"]


def test_a_name_that_turns_text_round_turns_nothing_but_itself(
    monitor: Monitor, visit: Visit
) -> None:
    name = "evil\u202egnihsif"
    monitor.add(name)
    page = visit(monitor.url)
    monitor.trip(name)
    for place in ("#rows .c-name bdi", "#outages .o-name bdi", "#log bdi"):
        isolated = "each => getComputedStyle(each).unicodeBidi"
        assert page.locator(place).first.evaluate(isolated) == "isolate"
    assert names(page) == [name]


def test_a_long_name_is_clamped_to_two_lines_and_whole_in_its_title(
    monitor: Monitor, visit: Visit
) -> None:
    name = "x" * 500
    monitor.add(name, "b")
    page = visit(monitor.url)
    link = page.locator("#rows a", has_text="xxx")
    assert link.get_attribute("title") == name
    heights = page.locator("#rows tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert len(set(heights)) == 1
    link.click()
    expect(page.locator("#detail-name")).to_have_text(name)


def test_a_pattern_of_many_stars_does_not_hold_the_page_up(monitor: Monitor, visit: Visit) -> None:
    monitor.add("x" * 500, "xyxy")
    page = visit(monitor.url)
    page.locator("#search").fill("*x" * 60 + "*y*z")
    expect(page.locator("#found")).to_have_text("0 of 2")
    page.locator("#search").fill("*x*x*y")
    expect(page.locator("#found")).to_have_text("1 of 2")
    assert names(page) == ["xyxy"]


def test_a_server_that_came_back_is_live_again(
    monitor: Monitor, visit: Visit, server: Server
) -> None:
    page = visit(monitor.url)
    server.kill()
    expect(page.locator("#status")).to_have_text("reconnecting…")
    server.start()
    expect(page.locator("#status")).to_have_text("live")
