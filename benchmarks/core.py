"""A guarded call against a bare one: succeeding, failing and rejected, async and sync."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from benchmarks import breakers, running, windows
from benchmarks.calls import (
    CLOCKS,
    FAIL,
    FAIL_IF,
    FAILING,
    REJECTED,
    SUCCEED,
    SUCCEEDING,
    Dependency,
    Mix,
    Target,
    runner,
    warm,
)
from benchmarks.guards import (
    COUNT,
    COUNT_SLOW,
    FAIL_MAX,
    FLOOR,
    LIMIT,
    OURS,
    TIME,
    TIME_SLOW,
    Function,
    Guard,
)
from benchmarks.peers import PEERS
from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, Timings, UnfitError, measure, problems, ratio

_KNOCKS = LIMIT + 50


@dataclass(frozen=True, slots=True)
class Scenario:
    """Every guard in one situation."""

    title: str
    note: str
    bare: Target
    mix: Mix
    asynchronous: bool = True
    base: str = "bare"
    """The case whose time the aims multiply."""
    aims: Mapping[Guard, float] = field(default_factory=dict)
    beside: Mapping[str, Target] = field(default_factory=dict)
    """Other functions that nothing guards."""

    def unguarded(self, target: Target) -> Run:
        return self.warmed(target.of(asynchronous=self.asynchronous))

    def closed(self, guard: Guard) -> Run:
        _open(guard, asynchronous=self.asynchronous)  # a guard that never opens is not timed
        return self.warmed(guard.wrap(self.bare.of(asynchronous=self.asynchronous)))

    def rejecting(self, guard: Guard) -> Run:
        dependency, call = _open(guard, asynchronous=self.asynchronous)
        calls_before = dependency.calls
        run = self.warmed(call)

        def checked(calls: int) -> float:
            took = run(calls)
            if dependency.calls != calls_before:
                raise UnfitError("an open breaker let calls through")
            return took

        return checked

    def warmed(self, call: Function) -> Run:
        return warm(runner(call, self.mix, asynchronous=self.asynchronous))


_RAISE_ONLY = "raise only"
_HEALTHY = "A closed breaker whose window is full of good calls."
_FAILS = f"A closed breaker; {FAILING.true} calls fail, one succeeds, and so on."
_REJECTS = "An open breaker."

SCENARIOS = (
    Scenario(
        "Succeeding, async",
        _HEALTHY,
        SUCCEED,
        SUCCEEDING,
        aims={FAIL_MAX: 2.8, COUNT: 2.8, TIME: 3.5, COUNT_SLOW: 4.2, TIME_SLOW: 4.2},
        beside=CLOCKS,
    ),
    Scenario("Failing, async", _FAILS, FAIL_IF, FAILING, aims=dict.fromkeys(OURS, 3.2)),
    Scenario(
        "Rejected, async",
        _REJECTS,
        SUCCEED,
        REJECTED,
        base=_RAISE_ONLY,
        aims=dict.fromkeys(OURS, 1.6),
    ),
    Scenario(
        "Succeeding, sync",
        _HEALTHY,
        SUCCEED,
        SUCCEEDING,
        asynchronous=False,
        base=FLOOR.name,
        aims=dict.fromkeys(OURS, 1.0),
    ),
    Scenario("Failing, sync", _FAILS, FAIL_IF, FAILING, asynchronous=False),
    Scenario("Rejected, sync", _REJECTS, SUCCEED, REJECTED, asynchronous=False, base=_RAISE_ONLY),
)


def tables(rounds: int) -> Iterator[Table]:
    for scenario in SCENARIOS:
        yield compare(scenario, rounds)
    yield running.table(rounds)
    yield breakers.table(rounds)
    yield windows.table(rounds)


def compare(scenario: Scenario, rounds: int) -> Table:
    rejecting = scenario.mix is REJECTED
    unguarded = {"bare": scenario.bare, **scenario.beside}
    cases = [Case(name, partial(scenario.unguarded, one)) for name, one in unguarded.items()]
    if rejecting:
        cases.append(Case(_RAISE_ONLY, partial(scenario.unguarded, FAIL)))
    prepare = scenario.rejecting if rejecting else scenario.closed
    cases += [Case(guard.name, partial(prepare, guard)) for guard in (FLOOR, *OURS, *PEERS)]
    timings = measure(cases, rounds)
    bases = list(dict.fromkeys(["bare", scenario.base]))
    aims = {guard.name: aim for guard, aim in scenario.aims.items()}
    return Table(
        scenario.title,
        ["case", "ns", *(f"x {base}" for base in bases), "aim", "is"],
        [_row(name, timings, bases, aims.get(name)) for name in timings],
        scenario.note,
        problems(timings),
    )


def _row(name: str, timings: dict[str, Timings], bases: list[str], aim: float | None) -> list[str]:
    timed = timings[name]
    if timed.problem is not None:
        return [name, timed.blank, *("-" for _ in bases), "", ""]
    ratios = [ratio(timed, timings[base]) for base in bases]
    judged = ["", ""] if aim is None else [f"{aim:.1f}", mark(met=ratios[-1] <= aim)]
    return [name, f"{timed.typical:,.0f}", *map(number, ratios), *judged]


def _open(guard: Guard, *, asynchronous: bool) -> tuple[Dependency, Function]:
    """Return a guarded function whose breaker is open; raise an error if nothing opens it."""
    dependency = Dependency()
    call = guard.wrap(dependency.target.of(asynchronous=asynchronous))
    if dependency.knock(call, _KNOCKS) == _KNOCKS:
        raise UnfitError(f"guards nothing: {_KNOCKS} calls failed in a row, none was rejected")
    return dependency, call
