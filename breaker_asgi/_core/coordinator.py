"""The coordinator: what the core asks of the fleet that a breaker belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.probes import Probes


class Coordinator(Protocol):
    """A breaker's place in a fleet."""

    alone: bool
    """True while the breaker is open in this worker only."""

    def probes(self, config: BreakerConfig) -> Probes:
        """Return the permits of a half-open generation."""
        ...

    def ends(self, generation: Generation) -> None:
        """Take note that the breaker leaves a generation; its lock is held."""
        ...

    def changed_state(self, before: Generation, after: Generation) -> None:
        """Log a change of state, and pass it on."""
        ...

    def number_of(self, generation: Generation) -> int | None:
        """Return the number of a generation for all workers; None if that is not known."""
        ...

    def count_late_result(self, calls: int, failures: int, slow_calls: int) -> None:
        """Count what has become of calls that were admitted in an earlier generation."""
        ...

    def lacks_a_probe(self) -> bool:
        """Return True if a call that comes now has to wait for a probe."""
        ...

    def wait(self) -> None:
        """Wait in a thread until a probe has come, within the fleet's patience."""
        ...

    async def ready(self) -> None:
        """Wait on the event loop until a probe has come, within the fleet's patience."""
        ...
