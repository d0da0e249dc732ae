"""Grafana's own models and promtool understand the dashboard."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.operations import grafana
from tests.operations.queries import (
    DASHBOARD,
    QUERIES,
)


def test_grafanas_models_know_every_key_of_the_dashboard() -> None:
    assert grafana.unknown(DASHBOARD) == []


def test_every_value_has_the_type_of_grafanas_models() -> None:
    assert [*grafana.mistyped(grafana.read(DASHBOARD))] == []


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda panel: panel.update(titel="Open"), ".panels[1].titel"),
        (lambda panel: panel["options"].update(grafMode="area"), ".panels[1].options.grafMode"),
        (lambda panel: panel["targets"][0].update(expression="up"), "targets[0].expression"),
    ],
)
def test_an_unknown_key_is_reported(spoil: Callable[[dict[str, Any]], None], where: str) -> None:
    spoilt = copy.deepcopy(DASHBOARD)
    spoil(spoilt["panels"][1])
    [place] = grafana.unknown(spoilt)
    assert place.endswith(where)


def test_an_unknown_value_is_reported() -> None:
    spoilt = copy.deepcopy(DASHBOARD)
    spoilt["panels"][1]["options"]["graphMode"] = "bars"
    spoilt["panels"][1]["gridPos"]["w"] = "wide"
    problems = [*grafana.mistyped(grafana.read(spoilt))]
    assert any("graph_mode: 'bars'" in problem for problem in problems)
    assert any("'wide'" in problem for problem in problems)


def test_prometheus_understands_every_query(tmp_path: Path, promtool: str) -> None:
    rules = [
        {"record": f"asked:{number}", "expr": query.promql} for number, query in enumerate(QUERIES)
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout
