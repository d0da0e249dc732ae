"""The details of one breaker: where they are, what they tell, and in which order."""

from __future__ import annotations

import re
from typing import Any

import pytest

from breaker_asgi.monitor.html import detail_wording
from tests.integration.monitor.page.browsing import MARKUP, ODD_NAMES, PHONE, Monitor, Visit, names
from tests.integration.monitor.page.looking import expect
from tests.integration.monitor.page.test_words import BREAKERS, NOW, in_script

END = "element => element.scrollIntoView({ block: 'end' })"

# Their place


def test_the_details_have_an_address_and_the_way_back(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url)
    page.get_by_role("link", name="payments").click()
    expect(page).to_have_url(monitor.url_of("payments"))
    page.go_back()
    expect(page.locator("#detail-name")).to_have_count(0)
    page.go_forward()
    expect(page.locator("#detail-name")).to_have_text("payments")


@pytest.mark.parametrize("width", [1100, 1440])
def test_on_a_wide_screen_they_are_seen_at_once_beside_the_rest(
    monitor: Monitor, visit: Visit, width: int
) -> None:
    monitor.add("payments", *(f"svc-{number}" for number in range(40)))
    monitor.trip("payments")
    page = visit(f"{monitor.url}?all", viewport={"width": width, "height": 800})
    last = page.get_by_role("link", name="svc-39", exact=True)
    expect(page.locator("#traffic")).to_be_visible()  # then all is in its place
    page.locator("#rows").evaluate(END)
    before = last.bounding_box()["y"]
    last.click()
    expect(page.locator("#detail-name")).to_be_in_viewport()
    assert last.bounding_box()["y"] == pytest.approx(before, abs=2), "what was clicked stays"
    page.evaluate("scrollTo(0, 0)")
    aside, rest = (page.locator(place).bounding_box() for place in ("#detail", "#outages"))
    assert aside["x"] >= rest["x"] + rest["width"]
    assert abs(aside["y"] - rest["y"]) < 40
    assert aside["height"] <= 800
    expect(page.locator("#outages")).to_be_in_viewport()


@pytest.mark.parametrize("width", [390, 1024])
def test_on_a_narrow_screen_they_are_at_the_top_in_place_of_the_list(
    monitor: Monitor, visit: Visit, width: int
) -> None:
    monitor.add("payments", *(f"svc-{number:02}" for number in range(40)))
    page = visit(f"{monitor.url}?all", viewport={"width": width, "height": 800})
    expect(page.locator("#traffic")).to_be_visible()  # then all is in its place
    page.locator("#rows").evaluate(END)
    page.get_by_role("link", name="svc-39").click()
    expect(page.locator("#detail-name")).to_be_in_viewport()
    expect(page.locator("#table")).to_be_hidden()
    assert page.locator("#detail").bounding_box()["y"] < 200
    page.locator("a.close").click()
    expect(page.get_by_role("link", name="svc-39")).to_be_in_viewport()


# What they tell


def test_the_texts_are_those_of_the_server(monitor: Monitor, visit: Visit) -> None:
    page = visit(monitor.url, timezone_id="UTC")
    more: dict[str, Any] = {
        "calls": 20, "successes": 9, "failures": 12_345, "slow_calls": 0, "ignored": 0,
        "excluded": 0, "generation": 3, "rejected": 41_230, "p99": 1.5,
        "last_failure_type": None, "last_failure_at": None, "last_failure_message": None,
    }  # fmt: skip
    for breaker in BREAKERS:
        texts = detail_wording.detail_fields(breaker | more, NOW)
        assert in_script(page, "detailwords", "detailFields", breaker | more, NOW) == texts


def test_the_total_of_the_workers_is_that_of_the_server(monitor: Monitor, visit: Visit) -> None:
    page = visit(monitor.url)
    total: dict[str, Any] = {
        "state": "open", "calls_per_second": 3.21, "successes": 12_345, "failures": 4,
        "slow_calls": 0, "rejected": 9,
    }  # fmt: skip
    for states, workers in (({"open": 3, "closed": 1}, 4), ({"open": 1}, 1)):
        cells = detail_wording.total_cells(total, states, workers)
        assert in_script(page, "detailwords", "totalCells", total, states, workers) == cells
    assert detail_wording.total_cells(total, {"open": 3, "closed": 1}, 4)[:2] == [
        "All 4 workers",
        "Open in 3 of 4",
    ]


def test_an_outage_is_a_story_that_goes_on_when_probes_fail(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    monitor.calls("payments", failed=10, rejected=3)
    monitor.wait(61)
    monitor.calls("payments", failed=3, rejected=4)
    for live in (True, False):
        page = visit(monitor.url_of("payments"), live=live, java_script_enabled=live)
        detail = page.locator("#detail")
        expect(detail.locator(".state")).to_contain_text("Open")
        expect(detail.locator("header .reason")).to_contain_text("failure rate 100%")
        expect(detail.locator("header .reason")).to_contain_text("TimeoutError")
        expect(detail.locator(".next")).to_contain_text("probe in")
        story = detail.locator(".story")
        expect(story).to_contain_text("This outage, times in")
        expect(story.locator("[data-f=story_away]")).to_contain_text("7 so far")
        expect(story.locator("[data-f=story_probes]")).to_contain_text("1 probe failed, last ")
        expect(detail.locator(".advice")).to_contain_text("Mend the dependency.")
        expect(story.locator("[data-f=story_lasted]")).to_be_hidden()


def test_the_last_outage_is_recalled_with_its_length_and_cost(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments")
    monitor.calls("payments", failed=10, rejected=3)
    monitor.wait(61)
    page = visit(monitor.url_of("payments"))
    monitor.calls("payments", ok=3)
    story = page.locator("#detail .story")
    expect(story).to_contain_text("Last outage")
    expect(story.locator("[data-f=story_lasted]")).to_contain_text(re.compile("1 min, .* to "))
    expect(story.locator("[data-f=story_reason]")).to_contain_text("failure rate")
    expect(story.locator("[data-f=story_away]")).to_have_text("3")
    expect(page.locator("#detail .state")).to_contain_text("since")


def test_a_breaker_without_an_outage_has_no_story(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    expect(page.locator("#detail .state")).to_contain_text("Closed")
    expect(page.locator("#detail .story")).to_be_hidden()


def test_owner_runbook_and_description_are_shown(monitor: Monitor, visit: Visit) -> None:
    about = {"owner": "team-pay", "runbook": "https://x.test/a?b=c&d", "description": "Cards"}
    monitor.add("payments", **about)
    for live in (True, False):
        page = visit(monitor.url_of("payments"), live=live, java_script_enabled=live)
        expect(page.locator("#detail .about")).to_contain_text("team-pay")
        expect(page.locator("#detail .about")).to_contain_text("Cards")
        link = page.locator("#detail").get_by_role("link", name="Runbook")
        expect(link).to_have_attribute("href", about["runbook"])
        expect(link).to_have_attribute("rel", "noopener noreferrer")


def test_the_trouble_comes_before_the_controls_and_the_figures(
    monitor: Monitor, visit: Visit
) -> None:
    monitor.add("payments", owner="team-pay", failure_rate=0.5)
    monitor.trip("payments")
    page = visit(monitor.url_of("payments"))
    expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")
    order = (
        "#detail-name", ".state", ".story", ".advice", ".about", ".controls", ".big-chart",
        ".limits", "[data-part=failure_types]", "[data-f=last_failure]", "[data-part=events]",
        "[data-part=settings]",
    )  # fmt: skip
    tops = [page.locator(f"#detail {part}").bounding_box()["y"] for part in order]
    assert tops == sorted(tops)


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


# Names and texts are data


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


def test_a_long_name_is_whole_and_turns_nothing_round(monitor: Monitor, visit: Visit) -> None:
    name = "x\N{RIGHT-TO-LEFT OVERRIDE}" + "y" * 500
    monitor.add(name)
    page = visit(monitor.url_of(name), **PHONE)
    expect(page.locator("#detail-name bdi")).to_have_text(name)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_markup_in_a_who_and_in_an_exception_is_text(monitor: Monitor, visit: Visit) -> None:
    monitor.add("payments")
    page = visit(monitor.url_of("payments"))
    monitor.calls("payments", failed=1, error=MARKUP, message=MARKUP)
    monitor.rights(who=MARKUP)
    monitor.control("payments", "open")
    detail = page.locator("#detail")
    for _ in ("streamed", "rendered"):
        expect(page.locator("#log li").first).to_contain_text(f"opened by hand, by {MARKUP}")
        expect(detail.locator("[data-f=story_by]")).to_have_text(MARKUP)
        expect(detail.locator("[data-part=failure_types]")).to_contain_text(MARKUP)
        expect(detail.locator(".message")).to_have_text(MARKUP)
        page.reload()
