"""A breaker that is gone, and in no state any more, is on no panel.

In prometheus-client's multiprocess mode its gauges can't be removed: all of them are 0.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.operations.queries import OF_DASHBOARD, OF_DOCUMENTS, Query

GONE = {
    'state{name="gone", state="closed"': "1+0x20 0+0x40",
    'state{name="gone", state="open"': "0+0x10 1+0x9 0+0x40",
    'failure_rate{name="gone"': "0.7+0x20 0+0x40",
    'failure_rate_threshold{name="gone"': "0.5+0x20 0+0x40",
}
THERE = {
    'state{name="bank", state="closed"': "1+0x60",
    'state{name="bank", state="open"': "0+0x10 1+0x9 0+0x40",
    'failure_rate{name="bank"': "0.7+0x60",
    'failure_rate_threshold{name="bank"': "0.5+0x60",
}
INPUT_SERIES = [
    {"series": f'circuitbreaker_{series}, job="shop", instance="a:1"}}', "values": values}
    for series, values in {**GONE, **THERE}.items()
]
BANK = '{job="shop", name="bank"}'


def query_at(where: str, word: str) -> Query:
    [query] = [
        query
        for query in [*OF_DASHBOARD, *OF_DOCUMENTS]
        if query.where == where and word in query.text
    ]
    return query


@pytest.mark.parametrize(
    ("query", "labels", "value"),
    [
        pytest.param(query_at("Breakers", "count"), "{}", 1, id="how many there are"),
        pytest.param(query_at("States", "max"), BANK, 0, id="states"),
        pytest.param(query_at("Failure rate", "min by"), BANK, 0.5, id="limits"),
        pytest.param(
            query_at("rollout.md", "threshold"),
            'circuitbreaker_failure_rate{job="shop", name="bank", instance="a:1"}',
            0.7,
            id="what would have opened",
        ),
    ],
)
def test_a_breaker_that_is_gone_is_not_shown(
    query: Query, labels: str, value: float, tmp_path: Path, promtool: str
) -> None:
    there_alone = [{"labels": labels, "value": value}]
    question = {"expr": query.promql, "eval_time": "45m", "exp_samples": there_alone}
    case = {"interval": "1m", "input_series": INPUT_SERIES, "promql_expr_test": [question]}
    (tmp_path / "case.yml").write_text(yaml.safe_dump({"tests": [case]}))
    command = [promtool, "test", "rules", "case.yml"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
