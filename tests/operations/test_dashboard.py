"""The dashboard can be imported as it is, and asks for what there is."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from breaker_asgi import CircuitBreakerState, Outcome
from tests.operations.queries import (
    DASHBOARD,
    OF_ALERTS,
    OF_DASHBOARD,
    PANELS,
    QUERIES,
    TARGET,
    TOLD,
    Query,
)

WIDTH = 24
ASKED = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
ORDER = [
    "Not closed now",
    "States",
    "Calls by outcome",
    "Rejected calls",
    "Failure rate",
    "Slow-call rate",
    "Failures in a row",
    "Half of the calls (p50)",
    "95 % of the calls (p95)",
    "Transitions",
    "Probes",
    "Store",
]
WORDS = {
    "state": {state.value for state in CircuitBreakerState},
    "from_state": {state.value for state in CircuitBreakerState},
    "to_state": {state.value for state in CircuitBreakerState},
    "outcome": {outcome.value for outcome in Outcome},
}


def everything(value: Any, key: str) -> list[Any]:
    """The values of a key, however deep."""
    nested = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [value[key]] if isinstance(value, dict) and key in value else []
    return found + [each for inner in nested for each in everything(inner, key)]


# That it can be imported.


def test_it_has_the_last_schema_of_classic_dashboards_and_a_name_of_its_own() -> None:
    assert DASHBOARD["schemaVersion"] == 42
    assert re.fullmatch(r"[a-z-]{8,40}", DASHBOARD["uid"])
    assert DASHBOARD["id"] is None  # or it would take the place of another one


def test_an_import_asks_for_the_data_source_and_every_query_goes_to_that_one() -> None:
    [asked] = DASHBOARD["__inputs"]
    assert (asked["type"], asked["pluginId"]) == ("datasource", "prometheus")
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["current"]["value"] == f"${{{asked['name']}}}"
    of_queries = everything([PANELS, [*variables.values()]], "datasource")
    assert {each["uid"] for each in of_queries} == {"${datasource}"}


def test_it_requires_the_panels_that_it_uses() -> None:
    required = {each["id"] for each in DASHBOARD["__requires"] if each["type"] == "panel"}
    assert required == {panel["type"] for panel in SHOWN}


def test_service_instance_and_breaker_can_be_chosen_and_all_are_at_first() -> None:
    chosen = {each["name"]: each for each in DASHBOARD["templating"]["list"][1:]}
    assert [*chosen] == ["job", "instance", "name"]
    for variable in chosen.values():
        assert variable["multi"]
        assert variable["current"]["value"] == ["$__all"]
        assert variable["allValue"] == ".+"
        assert variable["query"]["query"] == variable["definition"]


# How it looks.


def test_each_panel_has_a_number_of_its_own() -> None:
    numbers = [panel["id"] for panel in PANELS]
    assert len(set(numbers)) == len(numbers)


def test_no_panel_lies_on_another_one_or_beyond_the_edge() -> None:
    places = [
        {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        for at in (panel["gridPos"] for panel in PANELS)
    ]
    assert all(0 <= x < WIDTH for place in places for x, _ in place)
    assert not any(one & other for one, other in itertools.combinations(places, 2))


def test_it_shows_in_this_order_what_somebody_on_call_wants_to_know() -> None:
    assert [panel["title"] for panel in SHOWN if panel["type"] != "stat"] == ORDER


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Z].*\.", panel["description"])


def test_a_panel_that_may_be_empty_says_what_that_means() -> None:
    silent = [
        panel["title"]
        for panel in SHOWN
        if panel["fieldConfig"]["defaults"].get("noValue") is None
        and not all("or vector(0)" in target["expr"] for target in panel["targets"])
    ]
    assert silent == ["Calls by outcome", "Not exported"]


def test_each_state_has_one_colour_wherever_it_is_shown() -> None:
    colours: dict[str, set[str]] = {}
    for mapping in everything(PANELS, "mappings"):
        for each in (option for entry in mapping for option in entry["options"].values()):
            colours.setdefault(each["text"], set()).add(each["color"])
    assert {state.words for state in CircuitBreakerState} <= colours.keys()
    assert all(len(each) == 1 for each in colours.values())


# What it asks for.


@ASKED
def test_what_is_asked_for_is_told(query: Query) -> None:
    assert query.selectors
    for metric, matchers in query.selectors:
        assert metric in TOLD
        assert {*matchers} <= TOLD[metric] | TARGET
        for label, pattern in matchers.items():
            if label in WORDS and not pattern.startswith("$"):
                assert {*pattern.split("|")} <= WORDS[label]


@ASKED
def test_what_series_are_grouped_by_is_a_label_of_theirs(query: Query) -> None:
    labels = {label for metric, _ in query.selectors for label in TOLD[metric]} | TARGET
    assert query.grouping <= labels


@pytest.mark.parametrize("query", OF_DASHBOARD, ids=lambda query: query.where)
def test_a_legend_names_labels_that_are_left(query: Query) -> None:
    assert {*re.findall(r"\{\{(\w+)\}\}", query.legend)} <= query.grouping


@pytest.mark.parametrize("query", OF_DASHBOARD, ids=lambda query: query.where)
def test_a_query_heeds_what_was_chosen(query: Query) -> None:
    for metric, matchers in query.selectors:
        chosen = {"job": "$job", "instance": "$instance"}
        if "name" in TOLD[metric]:
            chosen["name"] = "$name"
        assert matchers.items() >= chosen.items()


def test_every_metric_but_one_is_looked_at() -> None:
    looked_at = {metric for query in [*OF_DASHBOARD, *OF_ALERTS] for metric, _ in query.selectors}
    assert TOLD.keys() - looked_at == {"circuitbreaker_slow_calls_total"}
