"""Our own breakers, and the guard that one would write by hand.

Every guard that is measured trips by `LIMIT` failures in a row, with no success between them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from breaker_asgi import CircuitBreaker, CountWindow, TimeWindow

Function: TypeAlias = Callable[..., Any]

LIMIT = 100
OPEN_SECONDS = 3600.0


Maker: TypeAlias = Callable[[], Callable[[], Any]]
"""Returns a function that creates breakers, after imports and settings are done."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A way to guard a function."""

    name: str
    wrap: Callable[[Function], Function]
    """Guards a function by a breaker of its own."""
    maker: Maker | None = None


class RejectedError(Exception):
    """The exception of the hand-written guard when it is open."""


def floor(function: Function) -> Function:
    """Guard a function by one `if`, one `try` and two counters: less is hardly a breaker."""
    streak = 0
    calls = 0

    async def guarded(*args: Any, **kwargs: Any) -> Any:
        nonlocal streak, calls
        if streak >= LIMIT:
            raise RejectedError
        try:
            result = await function(*args, **kwargs)
        except Exception:
            streak += 1
            calls += 1
            raise
        streak = 0
        calls += 1
        return result

    def guarded_sync(*args: Any, **kwargs: Any) -> Any:
        nonlocal streak, calls
        if streak >= LIMIT:
            raise RejectedError
        try:
            result = function(*args, **kwargs)
        except Exception:
            streak += 1
            calls += 1
            raise
        streak = 0
        calls += 1
        return result

    return guarded if inspect.iscoroutinefunction(function) else guarded_sync


def by_breaker(name: str, maker: Maker) -> Guard:
    """Return a guard by breakers that are decorators."""

    def wrap(function: Function) -> Function:
        guarded: Function = maker()()(function)
        return guarded

    return Guard(name, wrap, maker)


def ours(name: str, **settings: Any) -> Guard:
    make = partial(CircuitBreaker, timeout_duration=OPEN_SECONDS, **settings)
    return by_breaker(f"ours, {name}", lambda: make)


_COUNT = {"failure_rate": 1.0, "window": CountWindow(LIMIT), "minimum_calls": LIMIT}
_TIME = {"failure_rate": 1.0, "window": TimeWindow(60), "minimum_calls": LIMIT}
_SLOW = {"slow_call_rate": 1.0, "slow_call_duration": 1.0}

FLOOR = Guard("floor", floor)
FAIL_MAX = ours("fail_max", fail_max=LIMIT)
COUNT = ours("count window", **_COUNT)
TIME = ours("time window", **_TIME)
COUNT_SLOW = ours("count window, slow calls", **_COUNT, **_SLOW)
TIME_SLOW = ours("time window, slow calls", **_TIME, **_SLOW)
OURS = (FAIL_MAX, COUNT, TIME, COUNT_SLOW, TIME_SLOW)
