"""The paths of breakers, apart from the monitor's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

OWN = "-/"
"""The begin of the monitor's own paths, which no breaker's address has."""


def find(registry: BreakerRegistry, path: str) -> CircuitBreaker | None:
    """Return the breaker with a label; a leading `~` is removed if needed.

    So a breaker whose name begins like the monitor's own paths has an address, too.
    """
    if path.startswith(OWN):
        return None
    return registry.labelled(path) or registry.labelled(path.removeprefix("~"))
