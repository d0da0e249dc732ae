"""What the guide says of the metrics is so: their names and labels, and the questions."""

from __future__ import annotations

import re

from breaker_asgi.telemetry.collector import LIMIT
from breaker_asgi.telemetry.durations import BUCKETS
from breaker_asgi.telemetry.metrics import METRICS
from tests.telemetry.guide import GUIDE

EXPOSED = {
    each.name + "_total" * (each.kind == "counter"): (each.kind, {*each.labels} - {"name"})
    for each in METRICS
}


def test_the_table_has_all_metrics_with_their_types_and_labels() -> None:
    rows = re.findall(r"^\| `(circuitbreaker_\w+)` \| (\w+) \| ([^|]*)\|", GUIDE, re.MULTILINE)
    found = {name: (kind, {*re.findall(r"\w+", labels)} - {"le"}) for name, kind, labels in rows}
    assert found == EXPOSED


def test_it_speaks_of_no_metric_that_there_is_not() -> None:
    spoken = set(re.findall(r"(?<!resilience4j_)\b(circuitbreaker_\w+)", GUIDE))
    parts = {f"circuitbreaker_call_duration_seconds_{end}" for end in ("bucket", "sum", "count")}
    assert spoken <= EXPOSED.keys() | parts


def test_the_defaults_are_those_of_the_table_of_settings() -> None:
    assert f"| `limit` | {LIMIT} |" in GUIDE
    told = re.search(r"\| `buckets` \| (.*?) ms, (.*?) s \|", GUIDE)
    assert told is not None
    milliseconds, seconds = ([float(each) for each in part.split(", ")] for part in told.groups())
    assert tuple([each / 1000 for each in milliseconds] + seconds) == BUCKETS
