"""`GET /breakers` and `GET /breakers/{name}`: breakers as JSON."""

from __future__ import annotations

import asyncio
import math
import os
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    BreakerSnapshot,
    CircuitBreaker,
    CircuitBreakerMonitor,
    CircuitBreakerState,
    CountWindow,
    TimeWindow,
)
from breaker_asgi._core.generation import Transition
from breaker_asgi.monitor.history import RecentRates
from breaker_asgi.testing import FakeClock, fresh_registry
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML

FIGURES = {*RecentRates.__annotations__, "limits", "alone", "states", "role"}
COUNTED = {"total", *(state.value for state in CircuitBreakerState)}
ABOUT = {"owner", "runbook", "description"}


def names(listing: dict[str, list[dict[str, str]]]) -> list[str]:
    return [breaker["name"] for breaker in listing["breakers"]]


async def test_the_list_is_sorted_by_name(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    for name in ("stock", "payments"):
        registry.get(name)
    listing = (await visit(monitor)).json
    assert names(listing) == ["payments", "stock"]
    assert listing["next"] is None


async def test_the_list_has_its_version_its_time_and_its_process(
    monitor: CircuitBreakerMonitor,
) -> None:
    listing = (await visit(monitor)).json
    assert listing["version"] == 1
    assert listing["worker"]["pid"] == os.getpid()
    assert datetime.fromisoformat(listing["worker"]["started_at"]).utcoffset() == timedelta(0)
    assert datetime.fromisoformat(listing["now"]).utcoffset() == timedelta(0)


async def test_the_summary_counts_every_state_of_the_whole_registry(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments").open()
    registry.get("stock").force_open()
    registry.get("search")
    listing = (await visit(monitor, "/?state=open")).json
    summary = listing["summary"]
    assert {state: summary[state] for state in summary if state in COUNTED} == {
        "total": 3,
        "closed": 1,
        "open": 1,
        "half_open": 0,
        "closing": 0,
        "forced_open": 1,
        "disabled": 0,
        "metrics_only": 0,
    }


async def test_a_listed_breaker_has_the_fields_of_its_snapshot_and_its_figures(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    registry.get("payments", defaults=config).open()
    (breaker,) = (await visit(monitor)).json["breakers"]
    assert set(breaker) == {*BreakerSnapshot.__slots__} | FIGURES | ABOUT
    assert breaker["state"] == "open"
    assert breaker["reason"] == "opened by hand"
    assert breaker["retry_after"] == 10
    assert datetime.fromisoformat(breaker["changed_at"]).tzinfo is not None


async def test_unknown_values_are_null(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments").force_open()
    (breaker,) = (await visit(monitor)).json["breakers"]
    for field in ("retry_after", "failure_rate", "p50", "p95", "limits", "last_failure_at"):
        assert breaker[field] is None


async def test_exception_texts_and_settings_are_hidden_without_authorization(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments", keep_messages=True)
    payments.acquire().failure(RuntimeError("secret"))
    reply = await visit(monitor, "/payments")
    assert reply.json["last_failure_type"] == "RuntimeError"
    assert not reply.json.keys() & {"settings", "hints", "failure_types"}
    assert "secret" not in reply.text + (await visit(monitor)).text


async def test_limits_and_exception_texts_are_listed_with_authorization(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments", keep_messages=True, fail_max=3)
    payments.acquire().failure(RuntimeError("the bank is down"))
    listing = (await visit(full)).json
    assert (listing["details"], listing["controls"]) == (True, True)
    (breaker,) = listing["breakers"]
    assert breaker["last_failure_message"] == "the bank is down"
    assert breaker["limits"] == {
        "fail_max": 3,
        "failure_rate": None,
        "slow_call_rate": None,
        "slow_call_duration": None,
    }


# Filters and pages


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=open", ["a"]),
        ("name=&state=open", ["a"]),
        ("state=open&state=disabled", ["a", "b"]),
        ("name=a", ["a"]),
        ("name=[bc]", ["b", "c"]),
        ("name=*&state=closed", ["c"]),
        ("name=A", []),
        ("after=a", ["b", "c"]),
        ("limit=2", ["a", "b"]),
        ("limit=1&after=b", ["c"]),
        ("colour=red", ["a", "b", "c"]),
    ],
)
async def test_the_list_can_be_filtered_and_paged(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, query: str, expected: list[str]
) -> None:
    registry.get("a").open()
    registry.get("b").disable()
    registry.get("c")
    assert names((await visit(monitor, f"/?{query}")).json) == expected


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("state=opened", "state='opened' is not allowed: give closed, open, half_open,"),
        ("state=", "state='' is not allowed"),
        ("limit=0", "limit='0' is not allowed: give a number from 1 to 1000."),
        ("limit=1001", "limit='1001' is not allowed"),
        ("limit=99999999999", "is not allowed"),
        ("limit=-1", "limit='-1' is not allowed"),
        ("limit=²", "is not allowed"),
        ("limit=", "limit='' is not allowed"),
    ],
)
async def test_a_wrong_value_is_refused_with_the_allowed_ones(
    monitor: CircuitBreakerMonitor, query: str, detail: str
) -> None:
    reply = await visit(monitor, f"/?{query}")
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert detail in reply.json["detail"]


async def test_a_pattern_matches_in_linear_time(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    """One that tries all places of each star would take minutes."""
    registry.get("x" * 500)
    registry.get("x" * 499 + "y")
    listing = (await visit(monitor, "/?name=*x*x*x*x*y")).json
    assert names(listing) == ["x" * 499 + "y"]


@given(
    distinct_names=st.lists(st.text(st.characters(codec="utf-8")), unique=True, max_size=30),
    limit=st.integers(1, 10),
)
def test_the_pages_list_every_breaker_exactly_once(distinct_names: list[str], limit: int) -> None:
    registry = BreakerRegistry()
    for name in distinct_names:
        registry.get(name)
    monitor = CircuitBreakerMonitor(registry=registry)

    async def pages() -> list[str]:
        collected, query = [], f"limit={limit}"
        while True:
            listing = (await visit(monitor, f"/?{query}")).json
            assert len(listing["breakers"]) <= limit
            collected += names(listing)
            if listing["next"] is None:
                return collected
            query = f"limit={limit}&after={quote(listing['next'], safe='')}"

    assert asyncio.run(pages()) == sorted(distinct_names)


@given(
    states=st.lists(st.sampled_from(CircuitBreakerState), max_size=12),
    filters=st.sets(st.sampled_from(CircuitBreakerState)),
    pattern=st.sampled_from(["*", "1*", "?", "[0-4]", "none"]),
)
def test_a_breaker_is_listed_if_it_matches_all_filters(
    states: list[CircuitBreakerState], filters: set[CircuitBreakerState], pattern: str
) -> None:
    fitting = {
        "*": {*map(str, range(12))},
        "1*": {"1", "10", "11"},
        "?": {*"0123456789"},
        "[0-4]": {*"01234"},
        "none": set(),
    }[pattern]
    registry = BreakerRegistry()
    for number, state in enumerate(states):
        registry.get(str(number), ramp=30)._change(Transition(state, "by hand"))
    query = "&".join([f"name={quote(pattern)}", *(f"state={state}" for state in filters)])
    monitor = CircuitBreakerMonitor(registry=registry)
    listing = asyncio.run(visit(monitor, f"/?{query}")).json
    assert set(names(listing)) == {
        str(number)
        for number, state in enumerate(states)
        if str(number) in fitting and (not filters or state in filters)
    }


# One breaker


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_breaker_of_any_name_is_served(name: str) -> None:
    registry = BreakerRegistry()
    registry.get(name)
    monitor = CircuitBreakerMonitor(registry=registry)
    scope = {"path": f"/{name}"}
    if name not in {"events", "stream"} and not name.startswith("-/"):
        assert asyncio.run(visit(monitor, **scope)).json["name"] == name
    assert asyncio.run(visit(monitor, "/", "GET", [HTML], path=f"/{name}")).status == 200


@pytest.mark.parametrize(
    "name", ["GET /orders/{id}", "/", "a/", "//", 'say "hi"', "x/events", "x/open", "a?b#c", "ü 💡"]
)
async def test_a_name_may_hold_slashes_and_quotes(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, name: str
) -> None:
    registry.get(name)
    registry.get("x")
    assert (await visit(monitor, path=f"/{name}")).json["name"] == name


async def test_an_unknown_name_gets_a_404(monitor: CircuitBreakerMonitor) -> None:
    reply = await visit(monitor, "/nobody")
    assert (reply.status, reply.json["title"]) == (404, "Not Found")
    assert reply.headers["content-type"] == "application/problem+json"


async def test_the_settings_in_force_are_listed_in_si_units(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get(
        "payments",
        failure_rate=0.5,
        slow_call_rate=0.9,
        slow_call_duration=timedelta(milliseconds=250),
        timeout_duration=timedelta(minutes=1),
        window=TimeWindow(30),
        exclude=[KeyError, asyncio.QueueFull],
        is_failure=bool,
        fallback={"secret": 1},
    )
    settings = (await visit(full, "/payments")).json["settings"]
    assert settings["timeout_duration"] == 60
    assert settings["slow_call_duration"] == 0.25
    assert settings["window"] == "30 s"
    assert settings["exclude"] == "KeyError, asyncio.queues.QueueFull"
    assert settings["is_failure"] == "bool"
    assert settings["fallback"] == "dict"
    assert settings["minimum_calls"] == 10
    assert settings["fail_max"] is None


async def test_a_count_window_is_listed_and_an_unused_window_is_null(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("rated", failure_rate=0.5, window=CountWindow(20))
    registry.get("streak")
    assert (await visit(full, "/rated")).json["settings"]["window"] == "20 calls"
    assert (await visit(full, "/streak")).json["settings"]["window"] is None


@pytest.mark.parametrize("fallback", [math.nan, math.inf])
async def test_a_number_that_json_lacks_is_listed_by_its_type(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, fallback: float
) -> None:
    registry.get("payments", fallback=fallback)
    reply = await visit(full, "/payments")
    assert reply.json["settings"]["fallback"] == "float"


async def test_failures_are_counted_by_the_types_of_exceptions(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments", fail_max=100)
    for error in (TimeoutError(), KeyError(), KeyError(), None):
        payments.acquire().failure(error)
    counts = (await visit(full, "/payments")).json["failure_types"]
    assert next(iter(counts)) == "KeyError"
    assert counts == {"KeyError": 2, "TimeoutError": 1, "no exception": 1}


async def test_exception_types_beyond_the_limit_are_counted_together(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    payments = registry.get("payments", fail_max=100)
    for number in range(30):
        payments.acquire().failure(type(f"Error{number}", (Exception,), {})())
    counts = (await visit(full, "/payments")).json["failure_types"]
    assert len(counts) == 21
    assert counts["others"] == 10


# HTTP


@pytest.mark.parametrize("path", ["/", "/payments", "/events"])
async def test_responses_are_never_stored_nor_sniffed(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, path: str
) -> None:
    registry.get("payments")
    reply = await visit(monitor, path)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["vary"] == "accept"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"


async def test_an_open_breakers_countdown_does_not_change_the_etag(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, config: BreakerConfig
) -> None:
    payments = registry.get("payments", defaults=config)
    payments.open()
    first = await visit(monitor)
    again = await visit(monitor, "/", "GET", [("if-none-match", first.headers["etag"])])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-length" not in again.headers


@pytest.mark.parametrize("path", ["/", "/payments"])
async def test_a_call_changes_the_etag(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, path: str
) -> None:
    payments = registry.get("payments")
    tag = (await visit(monitor, path)).headers["etag"]
    payments.acquire().success()
    reply = await visit(monitor, path, "GET", [("if-none-match", f'"other", {tag}')])
    assert reply.status == 200
    assert reply.headers["etag"] != tag


async def test_a_call_that_becomes_slow_changes_the_etag(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    clock = FakeClock()
    search = registry.get("search", slow_call_rate=1, slow_call_duration=2, clock=clock)
    hanging = search.acquire()
    tag = (await visit(monitor)).headers["etag"]
    clock.advance(3)
    reply = await visit(monitor)
    hanging.success()
    assert reply.headers["etag"] != tag
    assert reply.json["breakers"][0]["slow_calls_under_way"] == 1


async def test_one_of_several_etags_is_enough(monitor: CircuitBreakerMonitor) -> None:
    tag = (await visit(monitor)).headers["etag"]
    reply = await visit(monitor, "/", "GET", [("if-none-match", f'"other", {tag}')])
    assert reply.status == 304


@pytest.mark.parametrize("file", ["page.js", "page.css", "icon.svg?state=open"])
async def test_a_cached_file_of_the_page_is_not_sent_again(
    monitor: CircuitBreakerMonitor, file: str
) -> None:
    first = await visit(monitor, f"/static/{file}")
    again = await visit(
        monitor, f"/static/{file}", "GET", [("if-none-match", first.headers["etag"])]
    )
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == first.headers["cache-control"]
    assert again.headers.keys().isdisjoint({"content-length", "content-type"})
    other = await visit(monitor, f"/static/{file}", "GET", [("if-none-match", '"other"')])
    assert (other.status, other.body) == (200, first.body)


async def test_a_star_matches_any_etag(monitor: CircuitBreakerMonitor) -> None:
    assert (await visit(monitor, "/", "GET", [("if-none-match", "*")])).status == 304


async def test_a_browser_gets_the_page(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("payments")
    for path in ("/", "/payments"):
        reply = await visit(monitor, path, "GET", [HTML])
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert "content-security-policy" in reply.headers
        assert reply.headers["vary"] == "accept"
        assert "payments" in reply.text


async def test_the_page_has_its_files(monitor: CircuitBreakerMonitor) -> None:
    reply = await visit(monitor, "/static/page.css")
    assert reply.headers["content-type"].startswith("text/css")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert (await visit(monitor, "/static/other.css")).status == 404


@pytest.mark.parametrize("path", ["/", "/events", "/nobody", "/?limit=0"])
async def test_head_gets_the_headers_alone(monitor: CircuitBreakerMonitor, path: str) -> None:
    reply, full = await visit(monitor, path, "HEAD"), await visit(monitor, path)
    assert reply.status == full.status
    assert reply.body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_the_list_can_only_be_read(monitor: CircuitBreakerMonitor, method: str) -> None:
    reply = await visit(monitor, "/", method)
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, HEAD"


async def test_a_websocket_is_refused(monitor: CircuitBreakerMonitor) -> None:
    assert (await visit(monitor, type="websocket")).kinds == ["websocket.close"]


async def test_a_lifespan_is_ignored(monitor: CircuitBreakerMonitor) -> None:
    assert (await visit(monitor, type="lifespan")).messages == []


@pytest.mark.parametrize("path", ["/health/breakers/", "/health/breakers/payments"])
async def test_the_monitor_can_be_mounted(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, path: str
) -> None:
    registry.get("payments")
    app = Starlette(routes=[Mount("/health/breakers", monitor)])
    assert "payments" in (await visit(app, path)).text


async def test_a_breaker_is_listed_while_it_is_referenced() -> None:
    registry = BreakerRegistry(limit=1)
    held = [registry.get("a"), registry.get("b")]
    listing = (await visit(CircuitBreakerMonitor(registry=registry))).json
    assert names(listing) == ["a", "b"]
    assert all(isinstance(breaker, CircuitBreaker) for breaker in held)


@pytest.mark.parametrize("path", ["/", "/payments", "/payments/events", "/events"])
async def test_each_response_names_its_worker(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, path: str
) -> None:
    registry.get("payments")
    assert (await visit(monitor, path)).json["worker"]["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ""),
        (["bank"], "; 1 breaker lives in the default registry, which is not shown here"),
        (["bank", "tax"], "; 2 breakers live in the default registry, which is not shown here"),
    ],
)
async def test_breakers_outside_the_listed_registry_are_counted(
    monitor: CircuitBreakerMonitor,
    names: list[str],
    words: str,
) -> None:
    with fresh_registry():
        held = [CircuitBreaker(name=name) for name in names]
        assert (await visit(monitor)).json["unlisted"] == len(held)
        assert f"</span>{words}</p>" in (await visit(monitor, "/", "GET", [HTML])).text
