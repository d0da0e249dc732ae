"""A shop in trouble, for the pictures: a dozen dependencies with simulated calls.

Within a minute the payments fail, the recommendations fail and are probed, and some are slow.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker, CircuitBreakerError
from breaker_asgi._core.windows import CountWindow

HOUR = 3_600.0


class Clock:
    """A monotonic clock that can be set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


ERRORS = (
    httpx.ConnectTimeout("no answer from 10.0.4.17:8443 within 0.5 s"),
    httpx.ReadTimeout("no answer from 10.0.4.17:8443 within 2 s"),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
)


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """A dependency: its rate of calls per second, and the seconds that a call takes."""

    name: str
    rate: float
    takes: float
    failing: float = 0.002
    slow: float = 0.01
    down: tuple[float, float] = (math.inf, math.inf)
    """The span in which it fails, in seconds of the story."""
    hangs_from: float = math.inf
    since: float = 2 * HOUR
    by_hand: str = ""
    settings: dict[str, Any] = field(default_factory=lambda: RATES)


RATES: dict[str, Any] = {
    "failure_rate": 0.5,
    "slow_call_rate": 0.8,
    "slow_call_duration": 0.25,
    "window": CountWindow(100),
    "minimum_calls": 20,
}
SHOP = (
    Dependency(
        name="payments",
        since=9 * HOUR,
        rate=16,
        takes=0.09,
        down=(35, 90),
        settings=RATES | {"timeout_duration": 60},
    ),
    Dependency(
        name="recommendations",
        rate=9,
        takes=0.03,
        down=(8, 35),
        hangs_from=35,
        settings=RATES | {"timeout_duration": 40, "half_open_calls": 3},
    ),
    Dependency(name="sms gateway", since=9 * HOUR, rate=2.5, takes=0.2, failing=0.15),
    Dependency(name="search", since=3.1 * HOUR, rate=24, takes=0.14, slow=0.66),
    Dependency(name="shipping rates", since=0.4 * HOUR, rate=6, takes=0.12, slow=0.3, failing=0.12),
    Dependency(
        name="fraud check",
        since=5.3 * HOUR,
        rate=5,
        takes=0.07,
        failing=0.2,
        by_hand="metrics_only",
    ),
    Dependency(name="newsletter", rate=0.4, takes=0.05, since=30 * HOUR, by_hand="disable"),
    Dependency(name="accounts", since=0.6 * HOUR, rate=11, takes=0.012),
    Dependency(name="catalogue", since=52 * HOUR, rate=34, takes=0.008),
    Dependency(name="images", since=52 * HOUR, rate=28, takes=0.02),
    Dependency(name="inventory", since=7.2 * HOUR, rate=14, takes=0.016, failing=0.03),
    Dependency(name="pricing", since=26.5 * HOUR, rate=18, takes=0.005),
    Dependency(
        name="tax office",
        since=19 * HOUR,
        rate=0.7,
        takes=0.31,
        failing=0.1,
        settings={"fail_max": 5},
    ),
)


class Shop:
    """A shop that calls its dependencies until it is closed."""

    def __init__(self, registry: BreakerRegistry) -> None:
        self._chance = random.Random(7)
        self._began = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        for dependency in SHOP:
            breaker = registry.add(_breaker(dependency))
            self._do(self._visit(dependency, breaker))

    def close(self) -> None:
        for task in [*self._tasks]:
            task.cancel()

    def _do(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _visit(self, dependency: Dependency, breaker: CircuitBreaker) -> None:
        phase = self._chance.uniform(0, math.tau)
        while True:
            tide = 1 + 0.4 * math.sin(phase + (time.monotonic() - self._began) / 5)
            await asyncio.sleep(self._chance.expovariate(dependency.rate * tide))
            self._do(self._call(dependency, breaker))

    async def _call(self, dependency: Dependency, breaker: CircuitBreaker) -> None:
        now = time.monotonic() - self._began
        takes = dependency.takes * self._chance.lognormvariate(0, 0.35)
        if self._chance.random() < dependency.slow:
            takes += self._chance.uniform(0.25, 0.6)
        down = dependency.down[0] <= now < dependency.down[1]
        fails = self._chance.random() < (0.93 if down else dependency.failing)
        with suppress(CircuitBreakerError, httpx.HTTPError):
            async with breaker:
                await asyncio.sleep(HOUR if now > dependency.hangs_from else takes)
                if fails:
                    raise self._chance.choices(ERRORS, (6, 3, 1))[0]


def _breaker(dependency: Dependency) -> CircuitBreaker:
    settings = {"half_open_timeout": 120, "keep_messages": True} | dependency.settings
    clock = Clock()
    breaker = CircuitBreaker.from_config(BreakerConfig(clock=clock, **settings), dependency.name)
    if dependency.by_hand:
        getattr(breaker, dependency.by_hand)()
    clock.ahead = dependency.since
    return breaker
