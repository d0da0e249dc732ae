"""Trips are on the panel, the first one of a breaker too, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.programs import promtool_passes
from tests.operations.queries import OF_DASHBOARD, Query

QUESTIONS = [
    query for query in OF_DASHBOARD if query.where in {"Trips", "Transitions"}
]  # the red lines, and the panel


@pytest.mark.parametrize("query", QUESTIONS, ids=lambda query: query.where)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param("_x40 1+0x20", [1], id="a breaker that is made as its route is called"),
        pytest.param("0+0x40 1+0x20", [1], id="one that was there"),
        pytest.param("1+0x40 2+0x20", [1], id="one that has tripped before"),
        pytest.param("5+0x40 1+0x20", [1], id="one whose service begins anew"),
        pytest.param("_x40 0+0x20", [], id="one that has never tripped"),
        pytest.param("1+0x60", [], id="one that has tripped long ago"),
        pytest.param("1+0x30 stale _x9 1+0x20", [], id="one whose scrapes have failed"),
    ],
)
def test_the_panel_shows_a_trip(
    query: Query, values: str, expected: list[int], tmp_path: Path, promtool: str
) -> None:
    trips = 'circuitbreaker_transitions_total{from_state="closed", to_state="open"'
    input_series = [
        {"series": f'{trips}, name="bank", job="shop", instance="a:1"}}', "values": values}
    ]
    question = {
        "expr": f"vector(1) and on () ({query.promql})",
        "eval_time": "11m",
        "exp_samples": [{"labels": "{}", "value": value} for value in expected],
    }
    case = {"interval": "15s", "input_series": input_series, "promql_expr_test": [question]}
    promtool_passes(promtool, tmp_path, case)
