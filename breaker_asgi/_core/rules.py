"""The rules: when a breaker trips and closes, and how long it is open.

They are those of resilience4j, whose recorded behaviour the tests replay, with one addition: a
breaker that trips by `fail_max` opens again at the first failed probe.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

from breaker_asgi._core.generation import Transition
from breaker_asgi._core.state import CLOSED, CLOSING, HALF_OPEN, OPEN, CircuitBreakerState

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig


_random: random.Random = random.SystemRandom()
"""Numbers that differ in the children of a fork, and leave the application's seeds alone."""


class WindowStats(Protocol):
    """Counts that the rules judge: those of a record, or of all workers of a fleet."""

    @property
    def streak(self) -> int: ...

    @property
    def calls(self) -> int: ...

    @property
    def failures(self) -> int: ...

    @property
    def slow_calls(self) -> int: ...


def due_change(
    state: CircuitBreakerState, config: BreakerConfig, record: WindowStats
) -> Transition | None:
    """Return the change that is due after a call was added to `record` in `state`."""
    limit = config.effective_fail_max
    if state is CLOSED or state is CLOSING:
        if limit is not None and record.streak >= limit:
            return Transition(OPEN, f"{record.streak} failures in a row", by_failures=True)
        if config.rated and record.calls >= config.effective_minimum_calls:
            return _rate_exceeded(config, record)
    elif state is HALF_OPEN:
        if limit is not None and record.failures:
            return Transition(OPEN, "a probe failed", by_failures=True)
        if record.calls >= config.probes_to_judge:
            rate = _rate_exceeded(config, record)
            closed = CLOSING if config.ramp_time else CLOSED
            return rate or Transition(closed, "the probes succeeded")
    return None


def _rate_exceeded(config: BreakerConfig, record: WindowStats) -> Transition | None:
    limit = config.failure_rate
    if limit is not None and (rate := record.failures / record.calls) >= limit:
        reason = f"failure rate {rate:.0%} of {record.calls} calls, limit {limit:.0%}"
        return Transition(OPEN, reason, by_failures=True)
    limit = config.slow_call_rate
    if limit is not None and (rate := record.slow_calls / record.calls) >= limit:
        reason = f"slow-call rate {rate:.0%} of {record.calls} calls, limit {limit:.0%}"
        return Transition(OPEN, reason)
    return None


def open_time(config: BreakerConfig, openings: int) -> float:
    """Return the seconds of the open time at the `openings`-th opening in a row."""
    try:
        growth = config.effective_backoff ** (openings - 1)
        wait = min(config.timeout * growth, config.longest_timeout)
    except OverflowError:
        wait = config.longest_timeout
    jitter = config.effective_jitter
    return wait * (1 - jitter * _random.random()) if jitter else wait
