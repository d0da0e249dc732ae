"""Timing in interleaved rounds: a disturbance of the machine affects all cases alike."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeAlias

Run: TypeAlias = Callable[[int], float]
"""A function that makes about the given number of calls, and returns the nanoseconds of one."""

SLICE = 12_000_000
"""Nanoseconds for which a case runs in each round."""
PIECES = 9
"""Pieces of a slice, whose median counts: an interruption spoils one or two of them."""

NOT_INSTALLED = "not installed"

_TRIAL_CALLS = 20
_LONGEST_PROBLEM = 120


class UnfitError(Exception):
    """A case is not worth timing."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case to time. `prepare` is called before every slice, and is not timed itself."""

    name: str
    prepare: Callable[[], Run]


@dataclass(slots=True)
class Timings:
    """The times of a case in each round, or the reason why it could not be timed."""

    rounds: list[float] = field(default_factory=list)
    problem: str | None = None

    @property
    def typical(self) -> float:
        return median(self.rounds)

    @property
    def blank(self) -> str:
        """The text of a table in place of a figure."""
        return NOT_INSTALLED if self.problem == NOT_INSTALLED else "-"


def measure(cases: Iterable[Case], rounds: int) -> dict[str, Timings]:
    """Time every case once a round, in another order each time.

    A case that raises is left out from then on, and its timings say why.
    """
    cases = list(cases)
    timings = {case.name: Timings() for case in cases}
    sizes: dict[str, int] = {}
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds + 1):
            for case in random.sample(cases, len(cases)):
                timed = timings[case.name]
                if timed.problem is not None:
                    continue
                try:
                    took = _run(case, sizes.get(case.name, _TRIAL_CALLS))
                except Exception as error:  # noqa: BLE001
                    timed.problem = _in_one_line(error)
                    continue
                if number == 0:
                    sizes[case.name] = max(1, int(SLICE / PIECES / took))
                else:
                    timed.rounds.append(took)
    finally:
        gc.enable()
    return timings


def problems(timings: Mapping[str, Timings]) -> list[str]:
    """Return the reasons why cases were not timed, but for libraries that are not installed."""
    return [
        f"{name}: {timed.problem}"
        for name, timed in timings.items()
        if timed.problem not in {None, NOT_INSTALLED}
    ]


def ratio(timings: Timings, base: Timings) -> float:
    """Return the median of the ratios to `base`, each within one round."""
    return median_ratio(timings.rounds, base.rounds)


def median_ratio(rounds: Sequence[float], base: Sequence[float]) -> float:
    return median(one / other for one, other in zip(rounds, base, strict=True))


def _run(case: Case, calls: int) -> float:
    gc.collect(0)  # the garbage of the case before
    run = case.prepare()
    return median(run(calls) for _ in range(PIECES))


def _in_one_line(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return NOT_INSTALLED
    text = str(error) if isinstance(error, UnfitError) else f"{type(error).__name__}: {error}"
    return text if len(text) <= _LONGEST_PROBLEM else f"{text[:_LONGEST_PROBLEM]}..."
