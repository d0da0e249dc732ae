"""Detects that a fleet's thread hangs, and in what; and that the store is slow."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store

_HUNG = 0.5
"""Seconds without a reply after which a store counts as out; a slow one gets twice its time."""
_LONGEST = 5.0
"""Seconds without a reply after which a slow store counts as out, too."""
_SLOW = 0.5
"""Seconds that half of the last exchanges have to take until a store counts as slow."""
_LAST = 7
"""Exchanges of which the median is taken."""


class Watchdog:
    """A store, as the thread calls it: one operation after the other, in steps."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._since: float | None = None
        """Time of the thread's last progress; None between two steps."""
        self._is_in_store = False
        self._took: deque[float] = deque(maxlen=_LAST)
        """Seconds of the last exchanges."""

    @property
    def label(self) -> str:
        """The store's name."""
        return self._store.label

    @property
    def trouble(self) -> str | None:
        """The operation in which the thread hangs; None if it does not."""
        since, usual = self._since, self.slowness or 0.0
        patience = min(max(_HUNG, 2 * usual), _LONGEST)
        if since is None or self._clock() - since <= patience:
            return None
        return "it does not answer" if self._is_in_store else "a listener blocks its thread"

    @property
    def slowness(self) -> float | None:
        """The seconds of an exchange, if half of the last ones took too long."""
        took = list(self._took)
        usual = median(took) if len(took) > _LAST // 2 else 0.0
        return usual if usual > _SLOW else None

    def begin(self) -> None:
        """Mark a step as begun."""
        self._since = self._clock()

    def end(self) -> None:
        """Mark the step as finished."""
        self._since, self._is_in_store = None, False

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        operate = getattr(self._store, operation)

        def timed(*args: Any) -> Any:
            self._since, self._is_in_store = began, _ = self._clock(), True
            try:
                answer = operate(*args)
            finally:
                self._since, self._is_in_store = ended, _ = self._clock(), False
            if operation == "sync":
                self._took.append(ended - began)
            return answer

        return timed
