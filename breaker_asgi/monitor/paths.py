"""The paths of breakers, apart from the monitor's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.scope import Elsewhere, Scope

OWN = "-/"
"""The begin of the monitor's own paths, which no breaker's address has."""


def find(workers: Scope, path: str) -> CircuitBreaker | Elsewhere | None:
    """Return the breaker that is listed by a label; a leading `~` is removed if needed.

    So a breaker whose name begins like the monitor's own paths has an address, too.
    """
    if path.startswith(OWN):
        return None
    return workers.find(path) or workers.find(path.removeprefix("~"))
