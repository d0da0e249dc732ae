"""promtool, on a scrape of breakers with hostile names."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from breaker_asgi.telemetry.metrics import METRICS
from breaker_asgi.telemetry.prometheus import BreakerCollector
from tests.telemetry.scraping import scrape


def test_promtool_accepts_a_scrape_with_hostile_names(hostile: BreakerCollector) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool (Debian's package prometheus): no scrape was checked by it")
    text = scrape(hostile)
    assert all(f" {metric.name}" in text for metric in METRICS)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )
    assert (checked.stdout + checked.stderr, checked.returncode) == (b"", 0)
