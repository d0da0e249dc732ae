"""Two workers with a store: the JSON of either has the sums over both."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.monitor.page.browsing import Monitor, Server, pids_of_two, stopped

SOON = 10.0
"""Seconds within which a worker has the figures of the other."""


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Monitor]:
    server = Server(2, ("payments",), STORE=f"sqlite:///{tmp_path}/breakers.db")
    server.start()
    yield Monitor(server)
    server.stop()


def fetch(monitor: Monitor, name: str = "", query: str = "") -> Any:
    with urllib.request.urlopen(monitor.url + name + query) as response:
        return json.load(response)


def fetch_of(monitor: Monitor, pid: int, successes: int) -> Any:
    """Return the breaker as the worker answers that has so many successes by then."""
    deadline, breaker = time.monotonic() + SOON, fetch(monitor, "payments")
    while (breaker["worker"]["pid"], breaker["successes"]) != (pid, successes):
        assert time.monotonic() < deadline, breaker["workers"]
        time.sleep(0.05)
        breaker = fetch(monitor, "payments")
    return breaker


def test_either_worker_has_the_sums_over_both(shared: Monitor) -> None:
    one, other = pids_of_two(shared)
    with stopped(other):
        shared.calls("payments", ok=3)
    with stopped(one):
        shared.calls("payments", ok=4, failed=1)
    for pid in (one, other):
        breaker = fetch_of(shared, pid, successes=7)
        assert breaker["failures"] == 1
        assert breaker["states"] == {"closed": 2}
        assert breaker["total"]["successes"] == 7
        assert sorted(row["successes"] for row in breaker["workers"]) == [3, 4]


def test_one_of_two_workers_can_be_chosen(shared: Monitor) -> None:
    one, other = pids_of_two(shared)
    with stopped(other):
        shared.calls("payments", ok=3)
    fetch_of(shared, one, successes=3)
    rows = fetch_of(shared, other, successes=3)["workers"]
    names = {row["successes"]: row["worker"] for row in rows}
    for successes in (0, 3):
        chosen = fetch(shared, "payments", f"?worker={names[successes]}")
        assert chosen["successes"] == successes
