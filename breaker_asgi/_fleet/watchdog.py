"""Detects that a fleet's thread hangs, and in what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store

_HUNG = 0.5
"""Seconds without a reply after which a store counts as out."""


class Watchdog:
    """A store, as the thread calls it: one operation after the other, in steps."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._since: float | None = None
        """Time of the thread's last progress; None between two steps."""
        self._is_in_store = False

    @property
    def trouble(self) -> str | None:
        """The operation in which the thread hangs; None if it does not."""
        since = self._since
        if since is None or self._clock() - since <= _HUNG:
            return None
        return "it does not answer" if self._is_in_store else "a listener blocks its thread"

    def begin(self) -> None:
        """Mark a step as begun."""
        self._since = self._clock()

    def end(self) -> None:
        """Mark the step as finished."""
        self._since, self._is_in_store = None, False

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        operate = getattr(self._store, operation)

        def timed(*args: Any) -> Any:
            self._since, self._is_in_store = self._clock(), True
            try:
                return operate(*args)
            finally:
                self._since, self._is_in_store = self._clock(), False

        return timed
