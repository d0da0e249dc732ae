"""The probes of the whole fleet, as one of its breakers holds them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from breaker_asgi._core.outcome import FAILURE, IGNORED, Outcome
from breaker_asgi._core.probes import Probes
from breaker_asgi.stores.protocol import Counts, Settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.probes import Borrower
    from breaker_asgi._core.windows import Place

_KEPT = 1.0
"""Seconds for which a probe that no call has used is kept."""


class Lease(NamedTuple):
    """A probe that the store has lent. Its times are the breaker's clock's."""

    name: str
    generation: int
    granted: float
    """When the store lent it, and then when its call began."""
    kept_until: float
    """When it is given back if no call has used it."""
    until: float

    def is_valid(self, now: float) -> bool:
        """Return True if it has not ended, and the clock was not set back before its beginning."""
        return self.granted <= now <= self.until


class LeaseRequests(Protocol):
    """A link, as far as its probes need it."""

    wanted: int
    alone: bool
    ended: deque[Settled]

    @property
    def is_out(self) -> bool: ...

    def want(self, probes: int) -> bool: ...

    def changed(self) -> None: ...


class LeasedProbes(Probes):
    """Permits that the store lends; while it is out, as many as the breaker's settings allow."""

    __slots__ = ("_calls", "_clock", "_leased", "_leases", "_link", "_slow_after", "_wasted")

    def __init__(self, link: LeaseRequests, config: BreakerConfig) -> None:
        super().__init__(config)
        self._free, self._calls = 0, config.half_open_calls
        self._clock, self._slow_after = config.clock, config.slow_after
        self._link = link
        self._leased: dict[int, Lease] = {}
        """Leases in use, by permit; `_lent` are permits of this process alone."""
        self._leases: deque[Lease] = deque()
        self._wasted: float | None = None
        """When the latest lease was granted that no call has used."""

    def patience(self, now: float) -> float:
        """Return the seconds for which a lease granted now is kept for the call that will use it.

        If the last one was not used, its caller had gone before it came, and calls are rare here.
        Then it is kept for twice as long as it took until the next call, but not for longer than a
        probe may take: meanwhile other workers are refused.
        """
        rare = 0.0 if self._wasted is None else 2 * (now - self._wasted)
        return max(_KEPT, min(rare, self._timeout))

    def term(self, patience: float) -> float:
        """Return the seconds that a lease has to last if it is kept for `patience` seconds."""
        return self._timeout + (patience if patience > _KEPT else 0.0)

    def grant(self, name: str, generation: int, now: float, patience: float) -> None:
        """Add a lease that the store has granted."""
        until = now + self.term(patience)
        self._leases.append(Lease(name, generation, now, now + patience, until))

    @property
    def holds_some(self) -> bool:
        """True if there are leases that no call has taken yet."""
        return bool(self._leases)

    def lend(self, permit: Borrower, now: float) -> bool:
        while self._leases:
            lease = self._leases.popleft()
            if lease.is_valid(now):
                self._forget_lost(now)
                self._wasted = None
                until = min(lease.until, now + self._timeout)
                self._leased[id(permit)] = lease._replace(granted=now, until=until)
                return True
            self._wasted = lease.granted
        if self._link.is_out or self._link.alone or self._is_in_vain(now):
            self._free, self._calls = self._free + self._calls, 0
            return super().lend(permit, now)
        self._link.want(max(self._link.wanted, 1))  # for the next call
        return False

    def holds(self, permit: Borrower) -> bool:
        lease = self._leased.get(id(permit))
        if lease is None:
            return super().holds(permit)
        return lease.is_valid(self._clock())

    def end(self, permit: Borrower, outcome: Outcome) -> bool:
        self._answered.discard(id(permit))
        lease = self._leased.pop(id(permit), None)
        if lease is None:
            return super().end(permit, outcome)
        if not lease.is_valid(self._clock()):
            return False
        counts = None
        if outcome is not IGNORED:
            counts = Counts(1, int(outcome is FAILURE), int(self._is_slow(permit)))
        self._settle(lease, counts)
        return True

    def under_way(self, now: float, slow_after: float) -> tuple[int, int]:
        calls, slow_calls = super().under_way(now, slow_after)
        return calls + len(self._leased), slow_calls + len(self._overdue_leases(now, slow_after))

    def _overdue_leases(self, now: float, slow_after: float) -> dict[int, Lease]:
        return {
            key: lease
            for key, lease in self._leased.items()
            if lease.is_valid(now)
            and now - lease.granted > slow_after
            and key not in self._answered
        }

    def count_overdue(self, now: float, slow_after: float, place: Place) -> int:
        overdue = self._overdue_leases(now, slow_after)
        for key, lease in overdue.items():
            del self._leased[key]
            self._slow[key] = place
            self._settle(lease, Counts(1, 0, 1))
        return len(overdue) + super().count_overdue(now, slow_after, place)

    def _settle(self, lease: Lease, counts: Counts | None) -> None:
        self._link.ended.append(Settled(lease.name, lease.generation, counts))
        self._link.changed()

    def _is_in_vain(self, now: float) -> bool:
        """Return True if calls are too rare to wait for a lease, in all workers."""
        return self._wasted is not None and now - self._wasted > 2 * self._timeout

    def _forget_lost(self, now: float) -> None:
        """Forget leases that were not settled in time."""
        for key in [key for key, lease in self._leased.items() if not lease.is_valid(now)]:
            del self._leased[key]

    def unused(self, now: float) -> Iterator[Settled]:
        """Yield the leases that no call has used in time, to be given back."""
        while self._leases and not self._leases[0].granted <= now <= self._leases[0].kept_until:
            lease = self._leases.popleft()
            self._wasted = lease.granted
            yield Settled(lease.name, lease.generation, None)

    def drop(self) -> None:
        """Forget all leases: they belong to the parent process."""
        self._leases.clear()
        self._leased.clear()

    def _is_slow(self, permit: Borrower) -> bool:
        started = permit.started
        return started is not None and self._clock() - started > self._slow_after
