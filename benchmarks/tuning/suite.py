"""All tables of tuning: each situation, the scores, and the aims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.tables import Table
from benchmarks.tuning import aims, load, sharing, situations
from benchmarks.tuning.calls import Situation, draw
from benchmarks.tuning.policies import OURS, PEERS, Policy
from benchmarks.tuning.scores import Figures, figures_of, mean, text
from benchmarks.tuning.sharing import Sharing
from benchmarks.tuning.simulation import Simulation

SITUATIONS = [*situations.ERRORS, *situations.SLOW, *situations.HARDER, *load.LOAD]

_COSTS = (1, 4)
_HEADER = ("ok / errors / lost", "detect / recover / load")
_NOTE = """\
Percent of all calls: answered, failed, and good ones that were rejected (under load: all that were
rejected). Seconds until half of the calls are rejected in a second of the worst sick stretch;
seconds after it until 90 % are admitted over ten seconds; and calls a second on what is sick."""
_SCORES_NOTE = """\
Over Semian's seven experiments with errors. Waste: points of `ok` below the most that is possible
at the same errors. Cost: good calls rejected, and failing calls admitted times 1 or 4, in percent
of the calls. `never` wastes nothing: read both together."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the command line."""

    seeds: Sequence[int] = (0, 1)
    rates: float = 1.0
    """The factor of all rates."""
    phases: float = 1.0
    """The factor of all durations."""
    workers: int = 8
    """Workers of the fleet."""
    policies: Sequence[Policy] = field(default_factory=lambda: [*OURS, *PEERS])

    @property
    def sharings(self) -> dict[str, Sharing]:
        return {
            aims.ALONE: sharing.alone,
            aims.FLEET: sharing.fleet_of(self.workers),
            aims.ONE: sharing.as_one,
        }


def tables(options: Options) -> Iterator[Table]:
    """Yield the tables."""
    results = aims.Results()
    for situation in SITUATIONS:
        yield table(situation, options, results)
    yield _scores(options, results)
    yield aims.table(results)


def table(situation: Situation, options: Options, results: aims.Results) -> Table:
    """Run a situation with all policies, and add their figures to the results."""
    situation = situation.stretched(options.rates, options.phases)
    drawn = [(seed, draw(situation, seed)) for seed in options.seeds]
    rows = []
    for policy in options.policies:
        cells: list[str] = []
        for name, share in options.sharings.items():
            figures: list[Figures] = []
            for seed, calls in drawn:
                simulation = Simulation(situation, calls, seed)
                guards = share(policy, situation, simulation, seed)
                if guards is not None:
                    simulation.guards = guards
                    figures.append(figures_of(situation, calls, simulation.run()))
            if figures:
                results[situation.title, policy.name, name] = mean(figures)
            cells += _cells(mean(figures), situation) if figures else ["", ""]
        rows.append([policy.name, *cells])
    columns = [f"{name}: {title}" for name in options.sharings for title in _HEADER]
    return Table(f"{situation.title}, {situation.rate:g}/s", ["policy", *columns], rows, _NOTE)


def _cells(figures: Figures, situation: Situation) -> list[str]:
    times = [text(figures.detect, 0), text(figures.recover, 0), text(figures.load, 0)]
    if situation.slow_after is not None:
        first, most = text(figures.first_rejection), text(figures.most_under_way, 0)
        times.append(f"first {first}, {most} stuck")
    return [
        " / ".join(map(text, (figures.ok, figures.errors, figures.lost))),
        " / ".join(times),
    ]


def _scores(options: Options, results: aims.Results) -> Table:
    rows = []
    for policy in options.policies:
        row = [policy.name]
        for name in options.sharings:
            measured = aims.of_errors(results, policy.name, name)
            sums = [sum(figures.waste for figures in measured)]
            sums += [sum(figures.cost(cost) for figures in measured) for cost in _COSTS]
            row += [text(value) if measured else "" for value in sums]
        rows.append(row)
    columns = [
        f"{name}: {title}"
        for name in options.sharings
        for title in ("waste", *(f"cost x{cost}" for cost in _COSTS))
    ]
    return Table("Waste and cost", ["policy", *columns], rows, _SCORES_NOTE)
