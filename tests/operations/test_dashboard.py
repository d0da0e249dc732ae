"""The dashboard can be imported unchanged, and queries metrics that exist."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from breaker_asgi import CircuitBreakerState, Outcome
from tests.operations.queries import (
    DASHBOARD,
    EXPORTED,
    OF_ALERTS,
    OF_DASHBOARD,
    PANELS,
    QUERIES,
    TARGET,
    Query,
)

WIDTH = 24
EACH_QUERY = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
DATA_PANELS = [panel for panel in PANELS if panel["type"] != "row"]
ORDER = [
    "Not closed now",
    "States",
    "Length of the outage",
    "Probes failed in the outage",
    "Rejected in the outage",
    "Calls by outcome",
    "Rejected calls",
    "Failure rate",
    "Slow-call rate",
    "Failures in a row",
    "Half of the calls (p50)",
    "95 % of the calls (p95)",
    "Slow calls under way",
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
    """Return the values of a key at any depth."""
    nested = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    values = [value[key]] if isinstance(value, dict) and key in value else []
    return values + [item for inner in nested for item in everything(inner, key)]


# Import


def test_the_dashboard_has_the_latest_classic_schema_and_its_own_uid() -> None:
    assert DASHBOARD["schemaVersion"] == 42
    assert re.fullmatch(r"[a-z-]{8,40}", DASHBOARD["uid"])
    assert DASHBOARD["id"] is None  # or it would replace another dashboard


def test_every_query_uses_the_data_source_chosen_at_import() -> None:
    [source] = DASHBOARD["__inputs"]
    assert (source["type"], source["pluginId"]) == ("datasource", "prometheus")
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["current"]["value"] == f"${{{source['name']}}}"
    of_queries = everything([PANELS, [*variables.values()]], "datasource")
    assert {source["uid"] for source in of_queries} == {"${datasource}"}


def test_the_dashboard_requires_the_panels_that_it_uses() -> None:
    required = {entry["id"] for entry in DASHBOARD["__requires"] if entry["type"] == "panel"}
    assert required == {panel["type"] for panel in DATA_PANELS}


def test_service_instance_and_breaker_can_be_chosen_and_default_to_all() -> None:
    chosen = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"][1:]}
    assert [*chosen] == ["job", "instance", "name"]
    for variable in chosen.values():
        assert variable["multi"]
        assert variable["current"]["value"] == ["$__all"]
        assert variable["allValue"] == ".+"
        assert variable["query"]["query"] == variable["definition"]


# Layout


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


def test_the_panels_are_in_the_order_of_an_incident() -> None:
    assert [panel["title"] for panel in DATA_PANELS if panel["type"] != "stat"] == ORDER


@pytest.mark.parametrize("panel", DATA_PANELS, ids=lambda panel: panel["title"])
def test_a_panel_has_a_description(panel: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Z].*\.", panel["description"])


def test_a_panel_that_may_be_empty_has_a_text_for_it() -> None:
    silent = [
        panel["title"]
        for panel in DATA_PANELS
        if panel["fieldConfig"]["defaults"].get("noValue") is None
        and not all("or vector(0)" in target["expr"] for target in panel["targets"])
    ]
    assert silent == ["Calls by outcome", "Not exported"]


def test_each_state_has_one_colour_wherever_it_is_shown() -> None:
    colours: dict[str, set[str]] = {}
    for mapping in everything(PANELS, "mappings"):
        for option in (option for entry in mapping for option in entry["options"].values()):
            colours.setdefault(option["text"], set()).add(option["color"])
    assert {state.words for state in CircuitBreakerState} <= colours.keys()
    assert all(len(used) == 1 for used in colours.values())


# Queries


@EACH_QUERY
def test_a_query_uses_exported_metrics_and_labels(query: Query) -> None:
    assert query.selectors
    for metric, matchers in query.selectors:
        assert metric in EXPORTED
        assert {*matchers} <= EXPORTED[metric] | TARGET
        for label, pattern in matchers.items():
            if label in WORDS and not pattern.startswith("$"):
                assert {*pattern.split("|")} <= WORDS[label]


@EACH_QUERY
def test_a_query_groups_by_labels_of_its_metrics(query: Query) -> None:
    labels = {label for metric, _ in query.selectors for label in EXPORTED[metric]} | TARGET
    assert query.grouping <= labels


@pytest.mark.parametrize("query", OF_DASHBOARD, ids=lambda query: query.where)
def test_a_legend_names_labels_that_are_left(query: Query) -> None:
    assert {*re.findall(r"\{\{(\w+)\}\}", query.legend)} <= query.grouping


@pytest.mark.parametrize("query", OF_DASHBOARD, ids=lambda query: query.where)
def test_a_query_filters_by_the_chosen_variables(query: Query) -> None:
    for metric, matchers in query.selectors:
        chosen = {"job": "$job", "instance": "$instance"}
        if "name" in EXPORTED[metric]:
            chosen["name"] = "$name"
        assert matchers.items() >= chosen.items()


def test_every_metric_but_one_is_queried() -> None:
    queried = {metric for query in [*OF_DASHBOARD, *OF_ALERTS] for metric, _ in query.selectors}
    assert EXPORTED.keys() - queried == {"circuitbreaker_slow_calls_total"}
