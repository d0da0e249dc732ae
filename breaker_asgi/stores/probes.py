"""The probes of the whole fleet, as one of its breakers holds them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi.generation import Probes
from breaker_asgi.outcome import FAILURE, IGNORED, Outcome
from breaker_asgi.stores.protocol import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi.permit import Permit
    from breaker_asgi.stores.member import Member

_UNUSED = 1.0
"""Seconds after which a probe that nobody has used is given back."""


class Lease(NamedTuple):
    """A probe that the store has lent."""

    name: str
    generation: int
    granted: float
    """On the breaker's clock."""


class Ended(NamedTuple):
    """A probe that is over."""

    lease: str
    generation: int
    counts: Counts | None
    """None if it said nothing, and goes back."""


class FleetProbes(Probes):
    """Permits that the store lends; while it is out, as many as the breaker's settings say."""

    __slots__ = ("_calls", "_leases", "_member", "_of")

    def __init__(self, member: Member, calls: int, timeout: float) -> None:
        super().__init__(0, timeout)
        self._calls = calls
        self._member = member
        self._of: dict[Permit, Lease] = {}
        self._leases: deque[Lease] = deque()

    def grant(self, lease: Lease) -> None:
        """Take a lease in that the store has given."""
        self._leases.append(lease)

    @property
    def holds_some(self) -> bool:
        """Whether there are some that no call has got yet."""
        return bool(self._leases)

    def lend(self, permit: Permit, now: float) -> bool:
        while self._leases:
            lease = self._leases.popleft()
            if self._is_valid(lease, now):
                self._of[permit] = lease
                self._lent[permit] = now
                return True
        if self._member._fleet.is_out or self._member.alone:
            self._free, self._calls = self._free + self._calls, 0
            return super().lend(permit, now)
        self._member.want(max(self._member.wanted, 1))  # for whoever comes next
        return False

    def end(self, permit: Permit, outcome: Outcome) -> bool:
        lease = self._of.pop(permit, None)
        if lease is None:
            return super().end(permit, outcome)
        lent = self._lent.pop(permit, None) is not None
        if not lent or not self._is_valid(lease, permit.breaker.config.clock()):
            return False
        counts = None
        if outcome is not IGNORED:
            counts = Counts(1, int(outcome is FAILURE), int(_is_slow(permit)))
        self._member.ended.append(Ended(lease.name, lease.generation, counts))
        self._member.changed()
        return True

    def _is_valid(self, lease: Lease, now: float) -> bool:
        return lease.granted <= now <= lease.granted + self._timeout

    def unused(self, now: float) -> Iterator[Ended]:
        """The leases that no call has used for a second, to be given back."""
        while self._leases and not 0 <= now - self._leases[0].granted <= _UNUSED:
            lease = self._leases.popleft()
            yield Ended(lease.name, lease.generation, None)

    def drop(self) -> None:
        """Forget all leases: they are another process's."""
        self._leases.clear()
        self._of.clear()


def _is_slow(permit: Permit) -> bool:
    config = permit.breaker.config
    return permit._started is not None and config.clock() - permit._started > config.slow_after
