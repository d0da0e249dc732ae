"""The guide's table of metrics and its defaults, compared with the code."""

from __future__ import annotations

import re

from breaker_asgi.telemetry.collector import LIMIT
from breaker_asgi.telemetry.durations import BUCKETS
from breaker_asgi.telemetry.metrics import METRICS
from tests.telemetry.guide import GUIDE

EXPOSED = {
    metric.name + "_total" * (metric.kind == "counter"): (metric.kind, {*metric.labels} - {"name"})
    for metric in METRICS
}


def test_the_table_has_all_metrics_with_their_types_and_labels() -> None:
    rows = re.findall(r"^\| `(circuitbreaker_\w+)` \| (\w+) \| ([^|]*)\|", GUIDE, re.MULTILINE)
    documented = {
        name: (kind, {*re.findall(r"\w+", labels)} - {"le"}) for name, kind, labels in rows
    }
    assert documented == EXPOSED


def test_the_guide_names_only_existing_metrics() -> None:
    spoken = set(re.findall(r"(?<!resilience4j_)\b(circuitbreaker_\w+)", GUIDE))
    parts = {f"circuitbreaker_call_duration_seconds_{end}" for end in ("bucket", "sum", "count")}
    assert spoken <= EXPOSED.keys() | parts


def test_the_table_of_settings_has_the_defaults() -> None:
    assert f"| `limit` | {LIMIT} |" in GUIDE
    match = re.search(r"\| `buckets` \| (.*?) ms, (.*?) s \|", GUIDE)
    assert match is not None
    milliseconds, seconds = (
        [float(bound) for bound in part.split(", ")] for part in match.groups()
    )
    assert tuple([bound / 1000 for bound in milliseconds] + seconds) == BUCKETS
