"""Rules of other libraries, written anew from their documents, with their own numbers."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Self

from benchmarks.tuning.calls import Situation
from benchmarks.tuning.guards import Rule
from breaker_asgi.testing import FakeClock


class Window:
    """Calls of the last seconds, in steps: their number, and how many of them were good."""

    def __init__(self, seconds: float, step: float) -> None:
        self._seconds, self._step = seconds, step
        self._steps: deque[list[float]] = deque()
        self.calls = self.good = 0

    def add(self, now: float, *, good: bool) -> None:
        if not self._steps or now >= self._steps[-1][0] + self._step:
            self._steps.append([now // self._step * self._step, 0, 0])
        last = self._steps[-1]
        last[1] += 1
        last[2] += good
        self.calls += 1
        self.good += good

    def forget(self, now: float) -> None:
        while self._steps and self._steps[0][0] <= now - self._seconds:
            _, calls, good = self._steps.popleft()
            self.calls -= int(calls)
            self.good -= int(good)


class SemianClassic(Rule):
    """Semian's breaker: errors within 20 s open, until 15 s after the last one; 2 successes."""

    _within, _open_time, _successes_to_close = 20.0, 15.0, 2

    def __init__(self, clock: FakeClock, errors: int) -> None:
        super().__init__(clock)
        self._limit = errors
        self._errors: deque[float] = deque(maxlen=errors)
        self._last = 0.0
        self._is_open = self._is_half_open = False
        self._successes = 0

    @classmethod
    def make(cls, situation: Situation, clock: FakeClock, _dice: Random) -> Self:
        return cls(clock, situation.classic_errors)

    def admits(self, now: float) -> bool:
        if self._is_open and now >= self._last + self._open_time:
            self._is_open, self._is_half_open, self._successes = False, True, 0
        return not self._is_open

    def settle(self, now: float, *, failed: bool) -> None:
        if failed:
            while self._errors and self._errors[0] + self._within < now:
                self._errors.popleft()
            self._errors.append(now)
            self._last = now
            if self._is_half_open or len(self._errors) == self._limit:
                self._is_open, self._is_half_open = True, False
        elif self._is_half_open:
            self._successes += 1
            if self._successes == self._successes_to_close:
                self._is_half_open = False
                self._errors.clear()


class SemianAdaptive(Rule):
    """Semian's PID controller: each second it moves the share that it rejects."""

    _proportional, _integral, _window, _dead_zone = 1.0, 0.2, 10.0, 0.25
    _cap, _usual, _widest = 0.1, 0.05, 10.0
    _young, _slow_up, _slow_down, _up, _down = 1_800, 0.0083, 0.049, 0.017, 0.095
    """Weights of an observation, after half an hour and before."""

    def __init__(self, clock: FakeClock, dice: Random) -> None:
        super().__init__(clock)
        self._dice = dice
        self._recent = Window(self._window, 0.1)
        self._ideal = self._usual
        self._observed = 0
        self._sum = self._share = 0.0
        self._next = 1.0

    @classmethod
    def make(cls, _situation: Situation, clock: FakeClock, dice: Random) -> Self:
        return cls(clock, dice)

    def admits(self, now: float) -> bool:
        while now >= self._next:
            self._tick(self._next)
            self._next += 1
        return self._dice.random() >= self._share

    def settle(self, now: float, *, failed: bool) -> None:
        self._recent.add(now, good=not failed)

    def _tick(self, now: float) -> None:
        recent = self._recent
        recent.forget(now)
        failing = 1 - recent.good / recent.calls if recent.calls else 0.0
        if failing <= self._cap:
            self._observe(failing)
        excess = failing - self._ideal
        if 0 < excess <= self._dead_zone * self._ideal:
            excess = 0.0
        error = excess - (1 - excess) * self._share
        self._sum += error
        change = self._proportional * error + self._integral * self._sum
        self._share = min(1.0, max(0.0, self._share + change))
        self._sum = min(self._widest, max(-self._widest, self._sum))

    def _observe(self, failing: float) -> None:
        self._observed += 1
        is_young, rises = self._observed < self._young, failing > self._ideal
        up, down = (self._up, self._down) if is_young else (self._slow_up, self._slow_down)
        weight = up if rises else down
        self._ideal += weight * (failing - self._ideal)


class Throttling(Rule):
    """Client-side throttling as the SRE book has it: K is 2, in two minutes; rejections count."""

    _seconds, _accepts_factor, _most = 120.0, 2.0, 1.0
    _counts_rejections = True

    def __init__(self, clock: FakeClock, dice: Random) -> None:
        super().__init__(clock)
        self._dice = dice
        self._recent = Window(self._seconds, self._seconds / 60)

    @classmethod
    def make(cls, _situation: Situation, clock: FakeClock, dice: Random) -> Self:
        return cls(clock, dice)

    def admits(self, now: float) -> bool:
        recent = self._recent
        recent.forget(now)
        excess = recent.calls - self._accepts_factor * recent.good
        rejects = self._dice.random() < min(self._most, excess / (recent.calls + 1))
        if rejects and self._counts_rejections:
            recent.add(now, good=False)
        return not rejects

    def settle(self, now: float, *, failed: bool) -> None:
        self._recent.add(now, good=not failed)


class FailsafeGo(Throttling):
    """The throttler of failsafe-go: from 10 % failing in a minute it rejects, up to 90 %."""

    _seconds, _accepts_factor, _most = 60.0, 1 / 0.9, 0.9
    _counts_rejections = False


class Envoy(Throttling):
    """Envoy's admission control: from 5 % failing in 30 s it rejects, up to 80 %."""

    _seconds, _accepts_factor, _most = 30.0, 1 / 0.95, 0.8
    _counts_rejections = False
