"""The texts of the script are those of the server, for the same breakers, outages and stories."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi.monitor.html import breaker_wording, outage_wording, wording
from tests.integration.monitor.page.browsing import Monitor, Visit

NOW = 1_780_000_000.0
BEGAN, ENDED = "2026-05-28T20:10:00.000+00:00", "2026-05-28T20:20:40.000+00:00"
QUIET: dict[str, Any] = {
    "name": "pay", "state": "closed", "reason": "new", "changed_at": BEGAN, "retry_after": None,
    "admitted_share": 1.0, "states": {"closed": 1}, "alone": False, "outage": None,
    "failure_rate": 0.04, "slow_call_rate": 0.0, "consecutive_failures": 0,
    "limits": {"fail_max": None, "failure_rate": 0.5, "slow_call_rate": 0.8},
    "calls_per_second": 3.27, "rejected_per_second": 0.0, "rejected_share": 0.0,
    "p50": 0.012, "p95": 1.26, "calls_under_way": 3, "slow_calls_under_way": 0,
    "owner": None, "runbook": None, "description": None,
}  # fmt: skip
OUTAGE: dict[str, Any] = {
    "began_at": BEGAN, "ended_at": None, "reason": "failure rate 70% of 20 calls",
    "failure_type": "TimeoutError", "by_hand": False, "who": None, "calls": 20,
    "failure_rate": 0.7, "slow_call_rate": 0.1, "consecutive_failures": 5,
    "probes_failed": 14, "last_probe_at": ENDED, "rejected": 41_230, "rejected_per_second": 38.2,
}  # fmt: skip
OVER = OUTAGE | {"ended_at": ENDED}
BROKEN = QUIET | {
    "state": "open", "outage": OUTAGE, "retry_after": 9.0, "rejected_per_second": 38.2,
    "rejected_share": 0.994, "owner": "team-pay", "runbook": "https://x.test/", "description": "D",
}  # fmt: skip
STREAK = {"fail_max": 5, "failure_rate": None, "slow_call_rate": None}
BREAKERS = [
    QUIET,
    QUIET | {"state": "closed", "outage": OVER, "failure_rate": 0.45},
    QUIET | {"slow_calls_under_way": 2, "states": {"closed": 3, "open": 1}},
    QUIET | {"limits": STREAK, "failure_rate": None, "slow_call_rate": None},
    QUIET | {"state": "closing", "admitted_share": 0.4, "outage": OVER, "reason": "probes"},
    QUIET | {"state": "disabled", "reason": "disabled by hand", "alone": True},
    BROKEN,
    BROKEN | {"state": "half_open", "retry_after": None, "states": {"half_open": 1, "open": 3}},
    BROKEN | {"outage": OUTAGE | {"probes_failed": 0, "last_probe_at": None, "rejected": 1}},
    BROKEN | {"state": "forced_open", "outage": OUTAGE | {"by_hand": True, "who": "ana"}},
    BROKEN | {"limits": None, "outage": OUTAGE | {"failure_rate": None, "probes_failed": 1}},
]
STORY = {"id": 1, "breaker": "pay", "at": BEGAN}
STORIES = [
    STORY | {"kind": "outage", "state": "open"} | OUTAGE,
    STORY | {"kind": "outage", "state": "closed"} | OVER | {"rejected": 1, "probes_failed": 1},
    STORY | {"kind": "by_hand", "from": "closed", "to": "open", "reason": "opened", "who": "ana"},
    STORY
    | {"kind": "by_hand", "from": "open", "to": "open", "reason": "reset by hand", "who": None},
]
SUMMARY = {
    "total": 60, "open": 3, "forced_open": 0, "half_open": 1, "closing": 0, "disabled": 2,
    "metrics_only": 0, "closed": 54, "calls_per_second": 12_345.6, "rejected_per_second": 3.14,
    "failing_share": 0.041, "workers": 4,
}  # fmt: skip
SCRIPT = """async ([file, name, args]) => {
    const words = await import(`${document.documentElement.dataset.base}/-/static/${file}.js`);
    const now = args[1];
    for (const each of args) if (each?.retry_after !== undefined) {
        each.due = each.retry_after === null ? null : now + each.retry_after;
    }
    return words[name](...args);
}"""


@pytest.fixture
def page(monitor: Monitor, visit: Visit) -> Any:
    return visit(monitor.url, timezone_id="UTC")


def in_script(page: Any, file: str, name: str, *args: Any) -> Any:
    return page.evaluate(SCRIPT, [file, name, args])


def test_the_texts_of_rows_are_alike(page: Any) -> None:
    for breaker in BREAKERS:
        texts = breaker_wording.row_fields(breaker, NOW)
        assert in_script(page, "breakerwords", "fields", breaker, NOW) == texts
        levels = breaker_wording.levels(breaker)
        assert in_script(page, "breakerwords", "levels", breaker) == levels
        quiet = breaker_wording.is_quiet(breaker, NOW)
        assert in_script(page, "breakerwords", "isQuiet", breaker, NOW) == quiet
        key = [*breaker_wording.by_urgency(breaker)[:2]]
        assert in_script(page, "breakerwords", "urgency", breaker) == key


def test_the_texts_of_outages_are_alike(page: Any) -> None:
    for breaker in BREAKERS:
        if breaker_wording.running(breaker):
            texts = outage_wording.outage_fields(breaker, NOW)
            assert in_script(page, "outagewords", "outageFields", breaker, NOW) == texts


def test_the_texts_of_stories_are_alike(page: Any) -> None:
    for story in STORIES:
        texts = outage_wording.story_fields(story, NOW)
        assert in_script(page, "outagewords", "storyFields", story, NOW) == texts


def test_the_texts_of_the_headline_are_alike(page: Any) -> None:
    for summary in (SUMMARY, SUMMARY | {"failing_share": None, "workers": 1}, {"total": 1, **{
        state: int(state == "closed") for state in wording.STATES
    }}):  # fmt: skip
        for name in ("headline", "verdict", "title", "total", "worst"):
            assert in_script(page, "words", name, summary) == getattr(wording, name)(summary)
