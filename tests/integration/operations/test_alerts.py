"""promtool accepts the rules, and their tests fail for every spoilt rule."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operations.queries import ALERTS, FOLDER

OPEN = 'sum without (state) (circuitbreaker_state{state=~"open|half_open"}) > bool 0'
LATELY = f"avg_over_time((\n              {OPEN}\n            )[5m:15s])"
PRESENT = "and group without (state) (present_over_time(circuitbreaker_state[2m]))"
PROBED = "+ sum without (instance, pod, node, outcome) (increase(circuitbreaker_probes_total[10m]))"
WORKERS = "sum without (state) (circuitbreaker_state)"
REJECTED = "sum without (instance, pod, node) (rate(circuitbreaker_rejected_calls_total[5m]))"
SLOW_NOW = "min_over_time(circuitbreaker_slow_calls_under_way[5m])"
HAD = "and group by (cluster, namespace, job) (present_over_time(circuitbreaker_not_exported[6h]))"


def judge(folder: Path, promtool: str) -> subprocess.CompletedProcess[str]:
    command = [promtool, "test", "rules", "alerts.test.yml"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def cases_of(alerts: set[str]) -> dict[str, Any]:
    """Return the tests of some alerts: all of them take seconds."""
    document: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())
    document["tests"] = [
        test
        for test in document["tests"]
        if any(expected["alertname"] in alerts for expected in test["alert_rule_test"])
    ]
    return document


def write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document))


def test_prometheus_accepts_the_rules(promtool: str) -> None:
    command = [promtool, "check", "rules", str(FOLDER / "alerts.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_the_alerts_fire_as_documented(promtool: str) -> None:
    done = judge(FOLDER, promtool)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("rule", "spoilt"),
    [
        pytest.param("open|half_open", "open", id="half-open is not open"),
        pytest.param(LATELY, OPEN, id="a scrape fails"),
        pytest.param("avg_over_time((", "max_over_time((", id="open for a moment"),
        pytest.param("max without (instance, pod, node)", "max without ()", id="for each pod"),
        pytest.param(") > 0\n        for: 10m", ") >= 0\n        for: 10m", id="nobody calls"),
        pytest.param(PROBED, "", id="every call is a probe"),
        pytest.param("circuitbreaker_probes", "circuitbreaker_calls", id="others are called"),
        pytest.param("for: 10m", "for: 5m", id="open, and not for long"),
        pytest.param(f"/ (max_over_time(({WORKERS})[15m:30s]) > 0)", "", id="workers add up"),
        pytest.param(f"(max_over_time(({WORKERS})[15m:30s]) > 0)", WORKERS, id="workers restart"),
        pytest.param('from_state="closed", ', "", id="failed probes are flapping"),
        pytest.param(") > 3.5", ") > 30", id="no flapping is enough"),
        pytest.param(") > 3.5", ") > 3", id="three trips are flapping"),
        pytest.param(PRESENT, "", id="one that is gone is open"),
        pytest.param(") > 0.5", ") > 0.3", id="a third is much"),
        pytest.param(f"and {REJECTED} > 1", "", id="one a minute is much"),
        pytest.param("_way[5m]) >= 5", "_way[5m]) >= 1", id="a few that hang are much"),
        pytest.param(") > 0.5\n          )", ") >= 0.5\n          )", id="half that hang are most"),
        pytest.param(f"{SLOW_NOW} >= 5", f"{SLOW_NOW.replace('min', 'max')} >= 5", id="at times"),
        pytest.param("[2m]) == 0", "[2m]) <= 1", id="a store that works is down"),
        pytest.param("for: 5m", "for: 1m", id="a store is down at once"),
        pytest.param("|disabled", "", id="disabled is not by hand"),
        pytest.param("for: 12h", "for: 1h", id="forgotten at once"),
        pytest.param("(up == 1)", "(up)", id="nothing is missing of what is down"),
        pytest.param(HAD, "", id="everybody has breakers"),
        pytest.param("for: 15m", "for: 1m", id="missing at once"),
        pytest.param("_not_exported) > 0", "_not_exported) >= 0", id="none are too many"),
    ],
)
def test_a_spoilt_rule_fails_the_tests_of_the_rules(
    rule: str, spoilt: str, tmp_path: Path, promtool: str
) -> None:
    rules = (FOLDER / "alerts.yml").read_text()
    assert rule in rules
    groups = yaml.safe_load(rules.replace(rule, spoilt))["groups"]
    changed = [alert for group in groups for alert in group["rules"] if alert not in ALERTS]
    write(tmp_path / "alerts.yml", {"groups": [{"name": "spoilt", "rules": changed}]})
    write(tmp_path / "alerts.test.yml", cases_of({alert["alert"] for alert in changed}))
    done = judge(tmp_path, promtool)
    assert done.returncode != 0
    assert "exp:" in done.stdout + done.stderr  # a test has failed, and not all of promtool
