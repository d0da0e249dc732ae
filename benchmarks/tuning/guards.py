"""Guards of simulated calls: breakers of ours, and rules of others behind the same two methods."""

from __future__ import annotations

from typing import Any, Protocol

from breaker_asgi import CircuitBreaker, CircuitBreakerError
from breaker_asgi.testing import FakeClock


class Ticket(Protocol):
    """The right to one call, to be settled by its outcome."""

    def success(self) -> None: ...

    def failure(self) -> None: ...


class Guard(Protocol):
    """A breaker, as far as a simulated caller uses it."""

    def admit(self) -> Ticket | None:
        """Return a ticket; None if the call is rejected."""


class Breaker:
    """A breaker of ours."""

    __slots__ = ("breaker",)

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker

    def admit(self) -> Any:
        try:
            return self.breaker.acquire()
        except CircuitBreakerError:
            return None


class Never:
    """A guard that rejects nothing."""

    def admit(self) -> Never:
        return self

    def success(self) -> None: ...

    def failure(self) -> None: ...


class Rule:
    """A rule of another library: it admits by its own evidence, and its tickets are all alike."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def admit(self) -> Rule | None:
        return self if self.admits(self.clock.now) else None

    def success(self) -> None:
        self.settle(self.clock.now, failed=False)

    def failure(self) -> None:
        self.settle(self.clock.now, failed=True)

    def admits(self, now: float) -> bool:
        """Return True if a call may be made now."""
        raise NotImplementedError

    def settle(self, now: float, *, failed: bool) -> None:
        """Record the outcome of a call."""
        raise NotImplementedError
