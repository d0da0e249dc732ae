"""Watches whether a fleet's thread gets on, and what it waits for if it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store

_HUNG = 0.5
"""Seconds after which a store that does not answer is taken for one that is out."""


class Watch:
    """A store, as the thread asks it: one thing after the other, in steps that begin and end."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._since: float | None = None
        """When the thread last got on; None between two steps."""
        self._asks = False

    @property
    def trouble(self) -> str | None:
        """What the thread has been waiting for, for too long."""
        since = self._since
        if since is None or self._clock() - since <= _HUNG:
            return None
        return "it does not answer" if self._asks else "a listener holds up who asks it"

    def begin(self) -> None:
        """A step begins."""
        self._since = self._clock()

    def end(self) -> None:
        """It is over, or was another process's."""
        self._since, self._asks = None, False

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        ask = getattr(self._store, operation)

        def answer(*args: Any) -> Any:
            self._since, self._asks = self._clock(), True
            try:
                return ask(*args)
            finally:
                self._since, self._asks = self._clock(), False

        return answer
