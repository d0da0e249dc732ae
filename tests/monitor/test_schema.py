"""The monitor's responses conform to `docs/monitor.schema.json`, which is documented in full."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    BreakerSnapshot,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerMonitor,
    CircuitBreakerState,
    CountWindow,
    TimeWindow,
)
from breaker_asgi.cli import arguments as cli
from breaker_asgi.monitor.controls import ACTIONS
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History, RecentRates
from breaker_asgi.monitor.html import controls
from breaker_asgi.monitor.settings import settings
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.monitor.conftest import allow, as_ann, deny
from tests.monitor.readers import Reader, look, streaming
from tests.monitor.readers import settle as settle_down

DOCS = Path(__file__).parent.parent.parent / "docs"
SCHEMA = json.loads((DOCS / "monitor.schema.json").read_text())
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]
STATES = [state.value for state in CircuitBreakerState]
PLAIN, FULL = False, True


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": DEFINITIONS})


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


def check(name: str, text: str) -> Any:
    """Check that a text is JSON and conforms to a definition. Return its content."""
    content = json.loads(text, parse_constant=refuse)
    validator(name).validate(content)
    return content


# Responses conform to the schema in every situation.


class OddError(Exception): ...


def odd(_result: object) -> bool:
    return False


seconds = st.floats(0.2, 500) | st.integers(1, 500) | st.builds(timedelta, seconds=st.just(90))
share = st.floats(0.001, 1)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Return allowed settings."""
    optional: dict[str, Any] = {
        "fail_max": st.integers(1, 900),
        "half_open_calls": st.integers(1, 5),
        "half_open_timeout": seconds,
        "backoff": st.floats(1, 10),
        "jitter": st.floats(0, 1),
        "exclude": st.just([KeyError, lambda _error: False]),
        "ignore": st.just([BlockingIOError]),
        "profile": st.sampled_from(["http", "postgres"]),
        "is_failure": st.just(odd),
        "keep_messages": st.booleans(),
        "owner": st.sampled_from([None, "team-payments"]),
        "runbook": st.sampled_from([None, "https://wiki.example.com/payments"]),
        "throw_new_error_on_trip": st.booleans(),
        "fallback": st.sampled_from([1, 2.5, True, math.nan, -math.inf, "secret", (1,), odd, dict]),
        "timeout_duration": seconds,
    }
    settings: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=optional))
    if draw(st.booleans()):
        settings["failure_rate"] = draw(share)
    if draw(st.booleans()):
        settings |= {"stream": draw(st.sampled_from(["event", "end"])), "stream_idle_timeout": 5}
    if draw(st.booleans()):
        settings |= {"slow_call_rate": draw(share), "slow_call_duration": draw(seconds)}
    if "failure_rate" in settings or "slow_call_rate" in settings:
        windows = st.builds(CountWindow, st.integers(1, 20)) | st.builds(
            TimeWindow, st.integers(1, 99)
        )
        settings["window"] = draw(windows)
        if isinstance(settings["window"], TimeWindow):
            settings["minimum_calls"] = draw(st.integers(1, 5))
    return settings


names = st.text(min_size=1, max_size=5) | st.sampled_from(["GET /a/{b}", "events", "a/events"])
deeds = st.sampled_from(
    [
        ("call", None),
        ("call", OSError("text")),
        ("call", OddError()),
        ("call", KeyError()),
        ("call", BlockingIOError()),
        *(("post", action) for action in ACTIONS),
        ("wait", 0.0),
        ("wait", 3.0),
        ("wait", 700.0),
        ("tick", None),
    ]
)


class Shop:
    """Breakers, and the actions of a story on them."""

    def __init__(self, configs: dict[str, dict[str, Any]]) -> None:
        self.clock = FakeClock()
        self.registry = BreakerRegistry()
        self.breakers = [
            self.registry.get(name, **config, clock=self.clock) for name, config in configs.items()
        ]
        self.monitors = {
            PLAIN: CircuitBreakerMonitor(registry=self.registry),
            FULL: CircuitBreakerMonitor(
                registry=self.registry, authorize=allow, authorize_control=as_ann
            ),
        }

    async def do(self, kind: str, how: Any, breaker: CircuitBreaker) -> None:
        if kind == "call":
            self._call(breaker, how)
        elif kind == "post":
            reply = await visit(self.monitors[FULL], path=f"/{breaker.name}/{how}", method="POST")
            check("detail", reply.text)
        elif kind == "wait":
            self.clock.advance(how)
        else:
            History.of(self.registry).tick()

    def _call(self, breaker: CircuitBreaker, error: Exception | None) -> None:
        with suppress(CircuitBreakerError):
            permit = breaker.acquire()
            self.clock.advance(0.3)
            if error is None:
                permit.success()
            else:
                permit.raised(error)

    async def check(self) -> None:
        for details, monitor in self.monitors.items():
            listing = check("list", (await visit(monitor)).text)
            assert listing["details"] is details
            check("events", (await visit(monitor, "/-/events")).text)
            check("log", (await visit(monitor, "/-/log")).text)
            check("traffic", (await visit(monitor, "/-/traffic")).text)
            for breaker in self.breakers:
                if breaker.name in {"events", "stream"}:
                    continue
                content = check("detail", (await visit(monitor, path=f"/{breaker.name}")).text)
                assert ("settings" in content) is details


async def live(shop: Shop, story: list[tuple[tuple[str, Any], int]]) -> dict[bool, Reader]:
    """Play a story, watched by a stream of each kind."""
    readers = {details: Reader() for details in shop.monitors}
    async with (
        streaming(shop.monitors[PLAIN], readers[PLAIN]),
        streaming(shop.monitors[FULL], readers[FULL]),
    ):
        for deed, number in story:
            await shop.do(*deed, shop.breakers[number % len(shop.breakers)])
        look(shop.registry)
        await settle_down()
        await shop.check()
    return readers


def fields_of(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


async def test_hints_and_many_types_of_failures_conform_to_the_schema(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    wide = registry.get("wide", exclude=[KeyError], ignore=[BlockingIOError])
    for _ in range(10):
        wide.acquire().raised(KeyError())
    mixed = registry.get("mixed", fail_max=900)
    for number in range(25):
        mixed.acquire().failure(type(f"Error{number}", (Exception,), {})())
    mixed.acquire().failure()
    details = [check("detail", (await visit(full, f"/{name}")).text) for name in ("wide", "mixed")]
    assert [hint["setting"] for hint in details[0]["hints"]] == ["exclude"]
    assert len(details[1]["failure_types"]) == 21


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/?state=ajar", "GET", 400),
        ("/?limit=0", "GET", 400),
        ("/events?limit=x", "GET", 400),
        ("/-/log?kind=x", "GET", 400),
        ("/-/traffic?name=nobody", "GET", 404),
        ("/nobody", "GET", 404),
        ("/nobody/open", "POST", 404),
        ("/", "PUT", 405),
    ],
)
async def test_a_refusal_conforms_to_the_schema(
    full: CircuitBreakerMonitor, path: str, method: str, status: int
) -> None:
    assert check("problem", (await visit(full, path, method)).text)["status"] == status


async def test_a_denial_conforms_to_the_schema(registry: BreakerRegistry) -> None:
    closed = CircuitBreakerMonitor(registry=registry, authorize=deny)
    for path, method in (("/", "GET"), ("/x/open", "POST")):
        reply = await visit(closed, path, method)
        assert reply.headers["content-type"] == "application/problem+json"
        assert check("problem", reply.text)["status"] == 403


@pytest.mark.parametrize("name", ["list", "breaker", "detail", "events", "stream_figures"])
def test_an_unknown_field_violates_the_schema(name: str) -> None:
    assert not validator(name).is_valid({"surprise": 1})
    errors = validator(name).iter_errors({"surprise": 1})
    assert any("surprise" in error.message for error in errors)


# The schema is complete.


def objects(schema: Any = SCHEMA, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of the schema that stands for a value, with its path."""
    if isinstance(schema, list):
        for number, item in enumerate(schema):
            yield from objects(item, f"{path}/{number}")
    elif isinstance(schema, dict):
        yield path, schema
        for key, value in schema.items():
            if key in {"properties", "$defs"}:
                for name, inner in value.items():
                    yield from objects(inner, f"{path}/{key}/{name}")
            elif key in {"items", "anyOf", "oneOf", "prefixItems", "additionalProperties"}:
                yield from objects(value, f"{path}/{key}")


PARTS = dict(objects())
FIELDS = {
    name: inner for part in PARTS.values() for name, inner in part.get("properties", {}).items()
}


def kinds_of(part: dict[str, Any]) -> set[str]:
    kinds = part.get("type", [])
    return {kinds} if isinstance(kinds, str) else set(kinds)


def test_monitor_schema_is_valid_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_everything_has_a_title_and_a_description() -> None:
    named = [
        path for path in PARTS if re.search(r"/(properties|\$defs)/[^/]+$|/prefixItems/", path)
    ]
    lacking = [path for path in named if not {"title", "description"} <= PARTS[path].keys()]
    assert len(named) > 100
    assert lacking == []


def test_every_number_has_its_unit() -> None:
    numbers = [path for path, part in PARTS.items() if {"integer", "number"} & kinds_of(part)]
    own = [path for path in numbers if not path.endswith("/properties/fallback")]
    assert [path for path in own if "x-unit" not in PARTS[path]] == []


def test_every_object_is_closed() -> None:
    shared = "/$defs/known"  # closed by the definitions that use it
    parts = {path: part for path, part in PARTS.items() if kinds_of(part) == {"object"}}
    closed = {"additionalProperties", "unevaluatedProperties"}
    assert [path for path, part in parts.items() if not closed & part.keys()] == [shared]


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_the_document_mentions_every_field(name: str) -> None:
    assert f"`{name}`" in (DOCS / "monitor.md").read_text()


@pytest.mark.parametrize("value", [*STATES, *ACTIONS])
def test_the_document_mentions_every_state_and_action(value: str) -> None:
    assert f"`{value}`" in (DOCS / "monitor.md").read_text()


# The schema matches the code.


def test_the_states_are_those_of_the_code() -> None:
    assert DEFINITIONS["state"]["enum"] == STATES
    assert [*DEFINITIONS["state_counts"]["properties"]] == ["total", *STATES]
    assert [*DEFINITIONS["summary"]["properties"]][: len(STATES) + 1] == ["total", *STATES]


def test_the_actions_are_those_of_the_code() -> None:
    actions = DEFINITIONS["action"]["enum"]
    assert actions == [*ACTIONS]
    assert {*actions} == {*cli.ACTIONS} == {action.path for action in controls.ACTIONS}


def test_the_kinds_of_events_are_those_of_the_code(registry: BreakerRegistry) -> None:
    event_log, payments = EventLog.of(registry), registry.get("payments")
    payments.open()
    event_log.rejections(payments, 1)
    kinds = {event["kind"] for event in event_log.newest_first()[:10]}
    options = [
        DEFINITIONS[option["$ref"].rpartition("/")[2]] for option in DEFINITIONS["event"]["oneOf"]
    ]
    assert {option["properties"]["kind"]["const"] for option in options} == kinds


def test_the_events_of_the_stream_are_those_that_the_page_listens_to() -> None:
    script = (Path(controls.__file__).parent / "static/stream.js").read_text()
    (names,) = re.findall(r"for \(const name of (\[.*?\])\)", script)
    kinds = {name.removeprefix("stream_") for name in DEFINITIONS if name.startswith("stream_")}
    assert {*json.loads(names)} == kinds


def test_the_fields_of_a_breaker_are_those_of_its_snapshot_and_its_figures() -> None:
    figures = [*RecentRates.__annotations__, "limits", "alone", "states", "role"]
    figures += ["owner", "runbook", "description"]
    assert [*DEFINITIONS["known"]["properties"]] == [*BreakerSnapshot.__slots__, *figures]


def test_the_settings_are_those_of_the_code() -> None:
    assert [*DEFINITIONS["settings"]["properties"]] == [*settings(BreakerConfig())]
