"""Stand-ins: they carry an operator's commands to breakers that only other workers have made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi._core.state import CLOSED
from breaker_asgi._fleet.link import IN_STEP, Link

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi._fleet.link import Surroundings
    from breaker_asgi.breaker import CircuitBreaker

KEPT = 30.0
"""Seconds for which a stand-in that is closed is kept: then the others have published the same."""


class _StandIn(NamedTuple):
    """A breaker without calls, which the stand-ins hold."""

    breaker: CircuitBreaker
    link: Link
    since: float


class StandIns:
    """The breakers that this worker has made only to change them in others.

    They follow the fleet, and judge nothing: their settings may be other ones than there.
    """

    def __init__(self, fleet: Surroundings) -> None:
        self._fleet = fleet
        self._kept: dict[str, _StandIn] = {}

    def keep(self, breaker: CircuitBreaker) -> None:
        """Keep a stand-in in step with the breakers of its name."""
        link = breaker._fleet = Link(self._fleet, breaker, stands_in=True)
        self._kept[breaker.name] = _StandIn(breaker, link, self._fleet.now())
        self._fleet.schedule(link)

    def get(self, name: str) -> CircuitBreaker | None:
        """Return the stand-in of a name; None without one."""
        kept = self._kept.get(name)
        return kept and kept.breaker

    async def settle(self, name: str, seconds: float) -> bool:
        """Wait until the store has what a stand-in has. Forget it if that takes longer."""
        kept = self._kept.get(name)
        is_settled = kept is not None and await kept.link.settle(seconds)
        if not is_settled:
            self._kept.pop(name, None)
        return is_settled

    def links(self, others: Iterable[Link]) -> list[Link]:
        """Return the links of all that are still of use: no link of a breaker has their name."""
        if not self._kept:
            return []
        made = {link.name for link in others}
        for name, kept in [*self._kept.items()]:
            if kept.link.status == IN_STEP and (name in made or self._is_over(kept)):
                self._kept.pop(name, None)
        return [kept.link for kept in [*self._kept.values()]]

    def _is_over(self, kept: _StandIn) -> bool:
        generation, config = kept.breaker._generation, kept.breaker.config
        is_old = config.clock() - generation.since > KEPT < self._fleet.now() - kept.since
        return generation.state is CLOSED and is_old

    def clear(self) -> None:
        """Forget all, in a child process."""
        self._kept.clear()
