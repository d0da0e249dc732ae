"""The queries of the guide, and its route for several workers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.programs import promtool_passes
from tests.telemetry.guide import GUIDE


def test_the_documented_queries_are_valid(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool (Debian's package prometheus): the PromQL was not checked")
    blocks = re.findall(r"^```promql\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    parts = [part for block in blocks for part in re.split(r"^#.*\n", block, flags=re.MULTILINE)]
    questions = [part for part in parts if part.strip()]
    assert len(questions) == 10
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "groups:\n- name: questions\n  rules:\n"
        + "".join(
            f"  - record: question:number{number}\n    expr: >-\n      {' '.join(query.split())}\n"
            for number, query in enumerate(questions)
        )
    )
    checked = subprocess.run(
        [promtool, "check", "rules", str(rules)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "10 rules found" in checked.stdout


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    pairs = {"name": "bank", **labels}.items()
    label_text = ",".join(f'{label}="{value}"' for label, value in pairs)
    return {"series": f"circuitbreaker_{name}{{{label_text}}}", "values": values}


def of_eight_workers(name: str, values: str, **labels: str) -> list[dict[str, str]]:
    """Return series of workers: each on its own port, and eight that share a port elsewhere."""
    eight = values.replace("1", "8")
    return [
        *(series(name, values, **labels, instance=str(port)) for port in range(8)),
        series(name, eight, **labels, instance="shared"),
    ]


@pytest.mark.parametrize(
    ("question", "series", "answer"),
    [
        pytest.param(
            "For how many minutes",
            [series("state", "_x40 0+0x9 1+0x9", state="open")],
            10,
            id="of a service that is twenty minutes old",
        ),
        pytest.param(
            "Which are flapping",
            [
                *of_eight_workers("state", "1+0x60", state="closed"),
                *of_eight_workers(
                    "transitions_total", "0+0x55 1+0x5", from_state="closed", to_state="open"
                ),
            ],
            None,
            id="eight workers that trip once each",
        ),
        pytest.param(
            "Which are flapping",
            [
                series("state", "1+0x60", state="closed"),
                series("transitions_total", "0+1x60", from_state="closed", to_state="open"),
            ],
            10,
            id="one that trips each minute",
        ),
        pytest.param(
            "Do probes fail",
            [
                *of_eight_workers("state", "1+0x60", state="open"),
                *of_eight_workers("probes_total", "0+0x55 1+0x5", outcome="failure"),
            ],
            None,
            id="eight workers that probe once each",
        ),
        pytest.param(
            "Do probes fail",
            [
                series("state", "1+0x60", state="open"),
                series("probes_total", "0+1x60", outcome="failure"),
            ],
            10,
            id="one that probes each minute",
        ),
    ],
)
def test_a_documented_query_has_the_right_answer(
    question: str, series: list[dict[str, str]], answer: float | None, tmp_path: Path
) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool (Debian's package prometheus): the PromQL was not asked")
    match = re.search(rf"^# {question}.*\n((?:(?!#|```).*\n)+)", GUIDE, re.MULTILINE)
    assert match is not None
    samples = [] if answer is None else [{"labels": '{name="bank"}', "value": answer}]
    expectation = {"expr": match[1], "eval_time": "59m", "exp_samples": samples}
    case = {"interval": "1m", "input_series": series, "promql_expr_test": [expectation]}
    promtool_passes(promtool, tmp_path, case)


def test_the_route_of_several_workers_works(tmp_path: Path) -> None:
    """Put the guide's second route in place of its first."""
    blocks = re.findall(r"^```(?:python|py)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    first, merged = (block for block in blocks if '@app.get("/metrics")' in block)
    script = "\n".join(
        [
            first.partition('@app.get("/metrics")')[0],
            merged,
            "from starlette.testclient import TestClient",
            "from breaker_asgi import default_registry",
            "from breaker_asgi.telemetry.durations import clockwork",
            "default_registry.get('payments')",
            "clockwork.tick()",
            "print(TestClient(app).get('/metrics').text)",
        ]
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'circuitbreaker_state{name="payments",state="closed"} 1.0' in ran.stdout, ran.stderr
