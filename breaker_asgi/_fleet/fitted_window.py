"""The window of a fleet in seconds, as stores add calls up."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from breaker_asgi._core.windows import CountWindow

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig

LONGEST = 600
"""Seconds after which a call of a `CountWindow` is too old for the fleet."""
_GROWTH = 10
"""The most that a window grows at once: the traffic may come back."""


class FittedWindow:
    """The seconds in which the fleet makes the calls of a breaker's window.

    Those of a `TimeWindow` are given. Those of a `CountWindow` follow the traffic of all workers:
    as few as hold its calls, so that it has that many or some more, and none older than ten
    minutes.
    """

    __slots__ = ("_calls", "seconds")

    def __init__(self, config: BreakerConfig) -> None:
        self._calls = 0
        """The calls that it is to hold; 0 if it is not fitted."""
        self.seconds = 0
        """The seconds for which calls matter; 0 where no rate looks at them."""
        if not config.rated:
            return
        if isinstance(config.window, CountWindow):
            self._calls, self.seconds = config.window.calls, LONGEST
        else:
            self.seconds = int(config.window.seconds)  # type: ignore[arg-type] # never a timedelta

    def fit(self, calls: int) -> None:
        """Fit the seconds to an answer of the store, which found so many calls in them."""
        if self._calls:
            ratio = min(self._calls / max(calls, 1), _GROWTH)
            fitted = ceil(self.seconds * ratio) + 1  # the current second is not over
            if calls < self._calls or fitted < self.seconds:
                self.seconds = min(fitted, LONGEST)
