"""Dependencies that fail by the load on them, and the situations with them."""

from __future__ import annotations

from bisect import bisect
from heapq import heapify, heapreplace

from benchmarks.tuning.calls import Call, Draw, Phase, Situation

_QUICK = 0.05
"""Seconds of a call that does not wait."""
_PATIENCE = 1.0
"""Seconds after which a caller gives up."""


class Slots:
    """Services that make a number of calls at a time; a call waits for a second at most."""

    def __init__(self, situation: Situation, slots: int = 15) -> None:
        slots = max(1, round(slots * situation.factor))
        self._free_at = [[0.0] * slots for _ in range(situation.services)]
        for free_at in self._free_at:
            heapify(free_at)

    def answer(self, call: Call, now: float) -> tuple[bool, float]:
        free_at = self._free_at[call.service]
        waits = max(0.0, free_at[0] - now)
        if waits > _PATIENCE:
            return True, _PATIENCE
        heapreplace(free_at, now + waits + call.seconds)
        return call.failed, waits + call.seconds


class Queue:
    """A server that takes one call after the other, those included whose callers have gone.

    The level of a phase is the number of calls that it makes in a second; without any it refuses.
    """

    def __init__(self, situation: Situation) -> None:
        self._ends, self._phases = situation.ends, situation.phases
        self._factor = situation.factor
        self._free_at = 0.0

    def answer(self, call: Call, now: float) -> tuple[bool, float]:  # noqa: ARG002
        start = max(now, self._free_at)
        capacity = self.capacity(start) * self._factor
        if not capacity:
            return True, _QUICK
        self._free_at = start + 1 / capacity
        seconds = self._free_at - now + _QUICK
        return seconds > _PATIENCE, min(seconds, _PATIENCE)

    def capacity(self, now: float) -> float:
        place = min(bisect(self._ends, now), len(self._ends) - 1)
        return self._phases[place].level


class Growing(Queue):
    """A server that comes back with little capacity, which grows with the time."""

    def capacity(self, now: float) -> float:
        level = super().capacity(now)
        up = now - self._ends[1]
        return min(level, 20 + 100 * max(0.0, up) / 40) if level and up >= 0 else level


class Cache(Queue):
    """A server whose capacity grows with its answers, as they fill a cache; an outage empties it.

    Answers whose callers have gone fill nothing.
    """

    filled_by = 1_000

    def __init__(self, situation: Situation) -> None:
        super().__init__(situation)
        self._answers = float(self.filled_by)

    def capacity(self, now: float) -> float:
        level = super().capacity(now)
        if not level:
            self._answers = 0.0
        return level and 20 + 100 * min(1.0, self._answers / self.filled_by)

    def answer(self, call: Call, now: float) -> tuple[bool, float]:
        failed, seconds = super().answer(call, now)
        self._answers += (not failed) / self._factor
        return failed, seconds


class Refusing:
    """A server that refuses at once what exceeds its capacity."""

    def __init__(self, situation: Situation) -> None:
        self._ends, self._phases = situation.ends, situation.phases
        self._factor = situation.factor
        self._room, self._at = 1.0, 0.0

    def answer(self, call: Call, now: float) -> tuple[bool, float]:
        capacity = self._phases[call.phase].level * self._factor
        self._room = min(max(1.0, capacity / 10), self._room + (now - self._at) * capacity)
        self._at = now
        if self._room < 1:
            return True, _QUICK
        self._room -= 1
        return False, _QUICK


def _by_load(_situation: Situation, _draw: Draw) -> tuple[bool, float]:
    return False, _QUICK


def _story(sick: Phase, healthy: float) -> list[Phase]:
    sick = sick._replace(is_sick=True)
    return [Phase(60, level=healthy), sick, Phase(150, level=healthy)]


STORM = Situation(
    "retry storm", _story(Phase(30, level=40), 100), _by_load, 80, dependency=Queue, retries=3
)
DOWN = Situation("down, back slowly", _story(Phase(30), 120), _by_load, 80, dependency=Growing)
HALF = Situation(
    "half the capacity",
    [Phase(5, level=100), Phase(120, level=40, is_sick=True)],
    _by_load,
    80,
    dependency=Refusing,
)
COLD = Situation("cold cache", _story(Phase(30), 120), _by_load, 80, dependency=Cache)
"""The situation for which a breaker closes gently (`ramp`)."""
LOAD = [STORM, DOWN, HALF, COLD]
