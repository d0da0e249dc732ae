"""The Prometheus queries of the dashboard, the alert rules and the documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from breaker_asgi.telemetry.metrics import METRICS

DOCS = Path(__file__).parent.parent.parent / "docs"
FOLDER = DOCS / "operations"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]

TARGET = {"job", "instance", "pod", "node", "cluster", "namespace"}
"""Labels that come from the scrape, not from the service."""

_ENDS = {"gauge": "", "counter": "_total", "histogram": "_bucket"}
EXPORTED: dict[str, set[str]] = {"up": set()} | {
    f"{metric.name}{_ENDS[metric.kind]}": {
        *metric.labels,
        *(["le"] if metric.kind == "histogram" else []),
    }
    for metric in METRICS
}
"""The metrics that a service exports, with their labels."""

_SELECTOR = re.compile(r"\b(circuitbreaker_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_GRAFANA = {"$__rate_interval": "5m", "$__range": "1h"}


@dataclass(frozen=True)
class Query:
    where: str
    """The title of the panel, the name of the alert, or the document."""
    text: str
    legend: str = ""

    @property
    def promql(self) -> str:
        """The query for Prometheus, for every service, instance and breaker."""
        text = self.text
        for variable, value in _GRAFANA.items():
            text = text.replace(variable, value)
        return re.sub(r"\$(job|instance|name)\b", ".+", text)

    @property
    def selectors(self) -> list[tuple[str, dict[str, str]]]:
        """Metrics, each with the labels that it is selected by."""
        return [
            (metric, dict(_MATCHER.findall(matchers)))
            for metric, matchers in _SELECTOR.findall(self.text)
        ]

    @property
    def grouping(self) -> set[str]:
        """Labels that series are grouped or matched by."""
        return {
            label.strip() for labels in _LABELS.findall(self.text) for label in labels.split(",")
        } - {""}


def _of_dashboard() -> list[Query]:
    panels = [
        Query(panel["title"], target["expr"], target["legendFormat"])
        for panel in PANELS
        for target in panel.get("targets", ())
    ]
    annotations = [
        Query(annotation["name"], annotation["target"]["expr"], annotation["titleFormat"])
        for annotation in DASHBOARD["annotations"]["list"]
        if "target" in annotation
    ]
    return [*panels, *annotations]


def _of_documents() -> Iterator[Query]:
    for page in sorted(DOCS.rglob("*.md")):
        for block in re.findall(
            r"^```promql\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
        ):
            for text in re.sub(r"^#.*\n", "", block, flags=re.MULTILINE).split("\n\n"):
                yield Query(page.name, text.strip())


OF_DASHBOARD = _of_dashboard()
OF_ALERTS = [Query(alert["alert"], alert["expr"]) for alert in ALERTS]
OF_DOCUMENTS = [*_of_documents()]
QUERIES = [*OF_DASHBOARD, *OF_ALERTS, *OF_DOCUMENTS]
