"""`list`, JSON for programs, and controls on several breakers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Run
from tests.cli.listings import NOW, breaker
from tests.integration.cli.stub import Monitor

OUTAGE = {
    "began_at": "2026-11-23T11:56:00+00:00",
    "ended_at": None,
    "reason": "failure rate 70% of 20 calls",
    "failure_type": "TimeoutError",
    "failure_rate": 0.7,
    "consecutive_failures": 4,
    "probes_failed": 3,
    "last_probe_at": NOW,
    "rejected": 1_204,
    "rejected_per_second": 41.2,
}


@pytest.fixture
def three() -> Iterator[Monitor]:
    bank = breaker(
        "http:bank",
        "open",
        reason="a probe failed",
        retry_after=12.0,
        outage=OUTAGE,
        states={"open": 3, "closed": 1},
        rejected_per_second=41.2,
        calls_per_second=50.0,
    )
    with Monitor(bank, breaker("http:mail", "forced_open"), breaker("redis")) as monitor:
        yield monitor


def test_the_list_has_a_line_for_each_breaker_the_worst_first(three: Monitor, run: Run) -> None:
    result = run("list", three.url)
    assert result.code == 0
    heads, *lines = [line.split() for line in result.out.splitlines()]
    assert heads == ["BREAKER", "STATE", "SINCE", "CALLS/S", "REJECTED/S", "WHY"]
    assert [line[0] for line in lines] == ["http:bank", "http:mail", "redis"]
    why = ["failure", "rate", "70%", "of", "20", "calls,", "mostly", "TimeoutError"]
    assert lines[0] == ["http:bank", "open", "4", "min", "50", "41", *why]


def test_the_list_is_filtered(three: Monitor, run: Run) -> None:
    assert run("list", three.url, "--name", "redis").out.count("\n") == 2


def test_the_list_is_json_for_programs_all_pages_in_one(three: Monitor, run: Run) -> None:
    three.page_size = 2
    content = json.loads(run("list", three.url, "--json").out)
    assert [row["name"] for row in content["breakers"]] == ["http:bank", "http:mail", "redis"]
    assert (content["version"], content["next"]) == (1, None)


def test_the_status_tells_the_outage(three: Monitor, run: Run) -> None:
    assert run("status", three.url, "http:bank").out == (
        "http:bank: open for 4 min (failure rate 70% of 20 calls, mostly TimeoutError), "
        "in 3 of 4 workers, 3 probes failed, 1,204 calls rejected (41 a second), "
        "next probe in 12 s\n"
    )


def test_the_status_is_json_for_programs(three: Monitor, run: Run) -> None:
    result = run("status", three.url, "http:bank", "--json")
    assert (result.code, json.loads(result.out)["outage"]) == (1, OUTAGE)


def test_a_pattern_changes_all_that_match_by_one_request(three: Monitor, run: Run) -> None:
    result = run("reset", three.url, "http:*", "--why", "all green")
    assert result.out == "http:bank: open -> closed\nhttp:mail: forced open -> closed\n"
    posts = [request for request in three.requests if request.startswith("POST")]
    assert posts == ["POST /breakers/reset"]
    assert three.forms[-1] == "name=http%3A%2A&why=all+green"


def test_several_names_are_changed_together(three: Monitor, run: Run) -> None:
    assert run("disable", three.url, "redis", "http:mail").out == (
        "http:mail: forced open -> disabled\nredis: closed -> disabled\n"
    )


def test_the_changes_are_json_for_programs(three: Monitor, run: Run) -> None:
    all_of_them = json.loads(run("close", three.url, "http:*", "--json").out)
    assert all_of_them["changed"] == [
        {"name": "http:bank", "from": "open", "to": "closed"},
        {"name": "http:mail", "from": "forced_open", "to": "closed"},
    ]
    one = json.loads(run("open", three.url, "redis", "--json").out)
    assert one["changed"] == [{"name": "redis", "from": "closed", "to": "open"}]


def test_a_name_that_looks_like_a_pattern_is_changed_alone(run: Run) -> None:
    with Monitor(breaker("cache[1]"), breaker("cache1")) as monitor:
        assert run("open", monitor.url, "cache[1]").out == "cache[1]: closed -> open\n"
        assert run("open", monitor.url, "cache[1]", "cache1").code == 0
        assert [row["state"] for row in monitor.breakers.values()] == ["open", "open"]


def test_a_pattern_without_a_match_lists_the_names(three: Monitor, run: Run) -> None:
    result = run("reset", three.url, "grpc:*")
    assert result.code == 5
    assert "no breaker that matches grpc:*" in result.err
    assert "It has http:bank, http:mail, redis." in result.err
