"""Figures of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf, isfinite
from typing import NamedTuple

from benchmarks.tuning.calls import Call, Situation
from benchmarks.tuning.simulation import ANSWERED, FAILED, REJECTED, Run

_RECOVERED = 0.9
_OVER = 10
"""Seconds over which 90 % have to be admitted for a recovery."""


class Figures(NamedTuple):
    """Figures of one run, or their means."""

    ok: float
    errors: float
    lost: float
    """Good calls that were rejected; like `ok` and `errors` in percent of all calls."""
    lost_of_good: float
    """The same, in percent of the good calls."""
    waste: float
    """Points of `ok` below the most that is possible with the same errors."""
    detect: float
    """Seconds of the worst sick stretch until half of the calls are rejected in a second."""
    recover: float
    """Seconds after it until 90 % are admitted over ten seconds."""
    load: float
    """Calls a second on the sick dependency, meanwhile."""
    most_under_way: float
    first_rejection: float
    """Seconds after the beginning of the sick stretch."""

    def cost(self, of_a_failure: float) -> float:
        """Return the cost, in percent of the calls, where a failure costs so much."""
        return self.lost + of_a_failure * self.errors


def mean(figures: Sequence[Figures]) -> Figures:
    return Figures(*(sum(column) / len(figures) for column in zip(*figures, strict=True)))


def figures_of(situation: Situation, calls: Sequence[Call], run: Run) -> Figures:
    """Return the figures of a run; a time that never comes is infinite."""
    fates = run.fates
    share = 100 / len(calls)
    ok, errors = fates.count(ANSWERED) * share, fates.count(FAILED) * share
    by_load = situation.dependency is not None
    good = len(calls) - (0 if by_load else sum(call.failed for call in calls))
    lost = sum(fates[call.number] == REJECTED and (by_load or not call.failed) for call in calls)
    detect = recover = load = first = inf
    if any(phase.is_sick for phase in situation.phases):
        start, end = situation.worst()
        sick = [call for call in calls if situation.is_sick_part(call)]
        detect = _detected(sick, fates, start, end)
        recover = _recovered(sick, fates, end)
        load = sum(start <= moment < end for moment in run.sent) / (end - start)
        rejected = (call.at for call in sick if start <= call.at and not fates[call.number])
        first = next(rejected, inf) - start
    waste = possible(situation, calls, fates) * share - ok if situation.has_frontier else inf
    return Figures(
        ok=ok,
        errors=errors,
        lost=lost * share,
        lost_of_good=100 * lost / good,
        waste=waste,
        detect=detect,
        recover=recover,
        load=load,
        most_under_way=run.most_under_way,
        first_rejection=first,
    )


def possible(situation: Situation, calls: Sequence[Call], fates: bytearray) -> float:
    """Return the most good answers that can be had with no more errors than these.

    The frontier admits the calls of the phases that fail least, as many as the errors allow.
    """
    total: Counter[float] = Counter()
    failing: Counter[float] = Counter()
    for call in calls:
        share = situation.phases[call.phase].failing
        total[share] += 1
        failing[share] += call.failed
    left, good = float(fates.count(FAILED)), 0.0
    for share in sorted(total, key=lambda share: failing[share] / total[share]):
        admitted = min(1.0, left / failing[share]) if failing[share] else 1.0
        good += admitted * (total[share] - failing[share])
        left -= admitted * failing[share]
    return good


def _detected(calls: Sequence[Call], fates: bytearray, start: float, end: float) -> float:
    seconds = _by_second(calls, fates, start, end)
    detected = (second for second, (admitted, every) in seconds if 2 * admitted <= every)
    return next(detected, inf) + 1


def _recovered(calls: Sequence[Call], fates: bytearray, end: float) -> float:
    seconds = _by_second(calls, fates, end, inf)
    last = seconds[-1][0] if seconds else -1
    by_second = dict(seconds)
    for start in range(last + 1):
        several = [
            by_second[second] for second in range(start, start + _OVER) if second in by_second
        ]
        if sum(one for one, _ in several) >= _RECOVERED * sum(every for _, every in several):
            return float(start)
    return inf


def _by_second(
    calls: Sequence[Call], fates: bytearray, start: float, end: float
) -> list[tuple[int, tuple[int, int]]]:
    """Return the admitted calls and all of each second with calls."""
    admitted: Counter[int] = Counter()
    every: Counter[int] = Counter()
    for call in calls:
        if start <= call.at < end:
            second = int(call.at - start)
            every[second] += 1
            admitted[second] += fates[call.number] != REJECTED
    return [(second, (admitted[second], count)) for second, count in sorted(every.items())]


def text(value: float, digits: int = 1) -> str:
    """Format a figure; a dash for one that does not exist."""
    return f"{value + 0:,.{digits}f}" if isfinite(value) else "-"
