"""Calls that are drawn before any policy is asked, so that all policies meet the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from random import Random
from typing import Any, NamedTuple, Protocol

BASE = 0.01
"""Share of the calls that fail on a good day."""
_WORKERS = 840
"""Drawn numbers of workers: a multiple of the sizes, so that each gets the same share."""
_ENDPOINTS = 10


class Phase(NamedTuple):
    """A stretch of time in which a dependency behaves in one way."""

    seconds: float
    failing: float = BASE
    """Share of the calls that fail."""
    level: float = 0.0
    """The situation's own measure: seconds of a call, slow endpoints, calls a second."""
    is_sick: bool = False


class Draw(NamedTuple):
    """A call that is about to arrive, and its luck."""

    number: int
    at: float
    phase: int
    worker: int
    service: int
    endpoint: int
    luck: float
    """Decides for failure: below the failing share of its phase it fails."""
    pace: float
    """Normally distributed; decides for the duration where durations spread."""


class Call(NamedTuple):
    """A call with its fate. Under load the dependency may decide otherwise."""

    number: int
    at: float
    phase: int
    worker: int
    service: int
    luck: float
    failed: bool
    seconds: float


class Dependency(Protocol):
    """A dependency whose answers depend on the calls that reach it."""

    def answer(self, call: Call, now: float) -> tuple[bool, float]:
        """Return True if a call fails that is made now, and its seconds."""
        ...


Fate = Callable[["Situation", Draw], tuple[bool, float]]
"""Returns True if a call fails, and its seconds."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A dependency's story, and the traffic to it."""

    title: str
    phases: Sequence[Phase]
    fate: Fate
    rate: float = 50.0
    """Calls a second of all workers."""
    workers: int = 8
    services: int = 1
    classic_errors: int = 12
    """`error_threshold` of Semian's classic breaker, as its own experiments set it."""
    is_sick_part: Callable[[Call], bool] = lambda _: True
    """True for calls to the part of the dependency that gets sick."""
    dependency: Callable[[Situation], Dependency] | None = None
    retries: int = 0
    slow_after: float | None = None
    """Seconds that make a call slow, where slow calls count; half of the window opens."""
    has_frontier: bool = False
    """True if only the phase decides how many calls fail, so that a best trade is defined."""
    factor: float = 1.0
    """The factor of the rate, and of the capacity."""

    def stretched(self, rate: float, phases: float) -> Situation:
        """Return the same story with another rate of calls and other durations."""
        longer = [phase._replace(seconds=phase.seconds * phases) for phase in self.phases]
        return replace(self, rate=self.rate * rate, phases=longer, factor=self.factor * rate)

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that every breaker has here besides its own."""
        if self.slow_after is None:
            return {}
        return {"slow_call_rate": 0.5, "slow_call_duration": self.slow_after}

    @property
    def ends(self) -> list[float]:
        """The ends of the phases."""
        return [*accumulate(phase.seconds for phase in self.phases)]

    def worst(self) -> tuple[float, float]:
        """Return the beginning and the end of the worst stretch of sick phases."""
        stretches: list[tuple[float, float, float]] = []
        end = 0.0
        for is_sick, several in groupby(self.phases, key=lambda phase: phase.is_sick):
            phases = [*several]
            start, end = end, end + sum(phase.seconds for phase in phases)
            if is_sick:
                stretches.append((max(phase.failing for phase in phases), start, end))
        _, start, end = max(stretches, key=lambda stretch: stretch[0])
        return start, end


def draw(situation: Situation, seed: int) -> list[Call]:
    """Return the calls of a situation; the same ones for the same seed."""
    dice = Random(f"{situation.title}: {seed}")
    calls: list[Call] = []
    now = 0.0
    ends, phase = situation.ends, 0
    fate, rate, services = situation.fate, situation.rate, situation.services
    while (now := now + dice.expovariate(rate)) < ends[-1]:
        while now >= ends[phase]:
            phase += 1
        drawn = Draw(
            number=len(calls),
            at=now,
            phase=phase,
            worker=int(dice.random() * _WORKERS),
            service=int(dice.random() * services),
            endpoint=int(dice.random() * _ENDPOINTS),
            luck=dice.random(),
            pace=dice.gauss(0.0, 1.0),
        )
        failed, seconds = fate(situation, drawn)
        calls.append(
            Call(drawn.number, now, phase, drawn.worker, drawn.service, drawn.luck, failed, seconds)
        )
    return calls
