"""Aims for the default and for the guide's example."""

from __future__ import annotations

from itertools import product
from math import isnan, nan

from benchmarks.tables import Table, mark
from benchmarks.tuning.load import COLD
from benchmarks.tuning.policies import ADAPTIVE, DEFAULT, GUIDE, RAMP, ROUTES, STEADY
from benchmarks.tuning.scores import Figures, text
from benchmarks.tuning.situations import ERRORS, HARDER, SLOW

ALONE, FLEET, ONE = "per worker", "fleet", "one breaker"
Results = dict[tuple[str, str, str], Figures]
"""Figures by situation, policy and sharing."""

_HICCUP, _SPIKE = HARDER[-1].title, ERRORS[1].title
_MOST_LOST = {_HICCUP: 3.0, _SPIKE: 10.0}
_MOST_WASTE = 7.0
_LEAST_COLD = 78.0


def of_errors(results: Results, policy: str, sharing: str) -> list[Figures]:
    """Return the figures of Semian's experiments with errors, or none if one is missing."""
    keys = [(situation.title, policy, sharing) for situation in ERRORS]
    return [results[key] for key in keys] if all(key in results for key in keys) else []


def table(results: Results) -> Table:
    rows = []
    for sharing in (ALONE, FLEET, ONE):
        for policy, (title, most) in product((DEFAULT, STEADY), _MOST_LOST.items()):
            figures = results.get((title, policy, sharing))
            lost = nan if figures is None else figures.lost_of_good
            rows.append(_row(f"{policy}: % of good lost, {title}", sharing, lost, most=most))
        for policy in (GUIDE, ROUTES):
            measured = of_errors(results, policy, sharing)
            waste = sum(figures.waste for figures in measured) if measured else nan
            rows.append(_row(f"{policy}: waste", sharing, waste, most=_MOST_WASTE))
            margin = _least_margin(results, policy, sharing)
            rows.append(_row(f"{policy}: least ok above {ADAPTIVE}", sharing, margin, least=0))
        cold = results.get((COLD.title, RAMP, sharing))
        good = nan if cold is None else cold.ok
        rows.append(_row(f"{RAMP}, {COLD.title}: ok", sharing, good, least=_LEAST_COLD))
    return Table("Aims", ["aim", "shared by", "is", "aim", "met"], rows)


def _row(
    name: str, sharing: str, value: float, *, least: float | None = None, most: float | None = None
) -> list[str]:
    if isnan(value):
        return [name, sharing, "-", "", "not measured"]
    if most is not None:
        return [name, sharing, text(value), f"<= {most:g}", mark(met=value <= most)]
    assert least is not None
    return [name, sharing, text(value), f">= {least:g}", mark(met=value >= least)]


def _least_margin(results: Results, policy: str, sharing: str) -> float:
    """Return the points of `ok` above Semian's adaptive breaker where they are fewest of nine.

    That has no fleet: there it is one for all.
    """
    margins = []
    for situation in [*ERRORS, *SLOW]:
        ours = results.get((situation.title, policy, sharing))
        theirs = results.get((situation.title, ADAPTIVE, ONE if sharing == FLEET else sharing))
        if ours is None or theirs is None:
            return nan
        margins.append(ours.ok - theirs.ok)
    return min(margins)
