"""Aids for the tests of applications that use breakers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from breaker_asgi.testing.fresh import fresh_registry

if TYPE_CHECKING:
    from breaker_asgi._core.config import Duration

__all__ = ["FakeClock", "fresh_registry"]


class FakeClock:
    """A clock that stands still until it is advanced.

    clock = FakeClock()
    breaker = CircuitBreaker(timeout_duration=60, clock=clock)
    clock.advance(61)
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, duration: Duration) -> None:
        """Let `duration` pass."""
        self.now += duration.total_seconds() if isinstance(duration, timedelta) else duration
