"""Two workers with a store: the JSON of either has the sums over both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
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
    wanted = pid, successes
    return fetch_until(
        monitor, "payments", lambda made: (made["worker"]["pid"], made["successes"]) == wanted
    )


def fetch_until(monitor: Monitor, name: str, fits: Callable[[Any], bool]) -> Any:
    """Return the first answer that fits."""
    deadline, content = time.monotonic() + SOON, fetch(monitor, name)
    while not fits(content):
        assert time.monotonic() < deadline, content
        time.sleep(0.05)
        content = fetch(monitor, name)
    return content


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


def test_the_command_line_changes_a_breaker_that_only_another_worker_has(shared: Monitor) -> None:
    one, other = pids_of_two(shared)
    with stopped(one):
        shared.add("mail")
    fetch_until(
        shared, "", lambda listed: listed["worker"]["pid"] == one and len(listed["breakers"]) == 2
    )
    with stopped(other):
        command = [sys.executable, "-m", "breaker_asgi.cli", "force-open", shared.url, "mail"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert done.stdout == "mail: closed -> forced open\n"
    with stopped(one):
        mail = fetch_until(shared, "mail", lambda breaker: breaker["state"] == "forced_open")
        assert mail["worker"]["pid"] == other


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
