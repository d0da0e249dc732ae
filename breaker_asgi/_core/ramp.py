"""The gentle return: after the probes have succeeded, a growing share of the calls is admitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from breaker_asgi._core.config import BreakerConfig

LEAST_SHARE: Final = 0.1
_ALMOST_ONE: Final = 1 - 1e-9
"""Ten times a tenth, as floats add up, is one call."""


class Ramp:
    """The share of the calls that are admitted, by the time since the breaker began to close.

    It grows as Envoy's slow start does. The calls are spread evenly, not drawn by lot: of ten calls
    at a share of 0.3 three are admitted, never one or five.
    """

    __slots__ = ("_aggression", "_owed", "_seconds")

    def __init__(self, config: BreakerConfig) -> None:
        self._seconds = config.ramp_time
        self._aggression = config.effective_ramp_aggression
        self._owed = 0.0
        """Calls that are still to be admitted, below one."""

    def share(self, elapsed: float) -> float:
        """Return the share of the calls that are admitted after `elapsed` seconds."""
        if elapsed >= self._seconds:
            return 1.0
        grown: float = (max(elapsed, 0.0) / self._seconds) ** (1 / self._aggression)
        return max(LEAST_SHARE, grown)

    def admits(self, elapsed: float) -> bool:
        """Return True if the next call is one of those that are admitted."""
        self._owed += self.share(elapsed)
        if self._owed < _ALMOST_ONE:
            return False
        self._owed -= 1
        return True
