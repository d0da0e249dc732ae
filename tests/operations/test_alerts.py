"""The alert rules load unchanged, fire when they should, and link to the runbook."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.operations.queries import ALERTS, DOCS, FOLDER
from tests.test_docs import anchors

CASES: list[dict[str, Any]] = [
    case
    for group in yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
    for case in group["alert_rule_test"]
]
EACH = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
SEVERITIES = {
    "CircuitBreakerOpenForLong": "warning",
    "CircuitBreakerFlapping": "warning",
    "CircuitBreakerRejectsMuch": "critical",
    "CircuitBreakerCallsHang": "warning",
    "CircuitBreakerStoreDown": "warning",
    "CircuitBreakerSetByHand": "info",
    "CircuitBreakerMetricsMissing": "warning",
    "CircuitBreakerNotExported": "info",
}


@EACH
def test_an_alert_has_tests_in_which_it_fires_and_in_which_it_does_not(
    alert: dict[str, Any],
) -> None:
    fires = {bool(case.get("exp_alerts")) for case in CASES if case["alertname"] == alert["alert"]}
    assert fires == {True, False}


@EACH
def test_an_alert_has_a_severity_and_a_description(alert: dict[str, Any]) -> None:
    assert alert["labels"] == {"severity": SEVERITIES[alert["alert"]]}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert "{{ $labels.job }}" in alert["annotations"]["description"]
    assert alert["annotations"]["description"].endswith((".", "?"))


@EACH
def test_an_alert_links_to_its_section_of_the_runbook(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    path = DOCS.parent / page.removeprefix("https://runbooks.example/")
    assert anchor in anchors(path)
