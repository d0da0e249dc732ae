"""Calculations of the benchmarks, and their reports of cases without a measurement."""

from __future__ import annotations

import pytest

from benchmarks.calls import Dependency, finish
from benchmarks.guards import FLOOR, LIMIT, OURS, Guard
from benchmarks.shared import fleets, growth
from benchmarks.tables import Table
from benchmarks.timing import PIECES, Case, Run, UnfitError, measure, median_ratio, problems, ratio


def taking(*nanoseconds: float) -> Case:
    """Return a case with a duration for each round; the first one is the trial's."""
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


def test_two_cases_need_the_same_number_of_rounds() -> None:
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


def test_a_library_that_is_not_installed_is_no_problem() -> None:
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


def test_the_simulated_fleet_agrees_and_its_traffic_is_proportional_to_its_processes() -> None:
    alone, few = growth.World(1), growth.World(4)
    assert few.steady() == pytest.approx(4 * alone.steady(), rel=0.1)
    at_the_store, agreed = few.trip()
    assert 0 < at_the_store < agreed < 1


def test_a_fleet_that_costs_too_much_is_shown_with_the_aims_that_it_misses() -> None:
    cheap = fleets.Costs(400, 80, 5_000, 51_000, 2_600, 0.5)
    assert fleets.judged(cheap) == "met"
    assert fleets.judged(cheap._replace(answer=401, cores=4)) == "MISSED: answer, cores"
