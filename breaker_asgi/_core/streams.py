"""Streams that are judged by their first event or by their end, not by their head."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any
from weakref import ref

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.stream_events import Events


class Stream:
    """A stream under a permit, settled once: by its first event, or by its end.

    It is slow by the time to its first event. It fails where it breaks, where an event of it is an
    error, and where its reader waits for longer than `stream_idle_timeout` for anything of it. A
    reader that leaves before the first event says nothing, and is content after it.

    `settle` is given the outcome and, for a failure, a text that tells what failed; `answered` is
    called at the first event.
    """

    def __init__(
        self,
        config: BreakerConfig,
        events: Events,
        *,
        settle: Callable[[Outcome, str | None], object],
        answered: Callable[[], object],
    ) -> None:
        self._clock = config.clock
        self._idle = config.stream_idle
        self._until_end = config.stream == "end"
        self._events = events
        self._settle = settle
        self._answered = answered
        self._begun = False
        self._settled = False
        self._waits_since: float | None = None
        """When the reader began to wait, if it does."""
        self._watch()

    def waits(self) -> None:
        """Note that the reader begins to wait for the next piece."""
        self._waits_since = self._clock()

    def received(self, piece: Any) -> None:
        """Read a piece that has come: bytes of a response, or an item of a generator."""
        if self._settled:
            return
        since, self._waits_since = self._waits_since, None
        if since is not None and self._clock() - since > self._idle:
            self._end(FAILURE, self._stalled)
        else:
            for error in self._events.feed(piece):
                self._event(error)

    def _begin(self) -> None:
        if not self._begun and not self._settled:
            self._begun = True
            self._answered()
            if not self._until_end:
                self._end(SUCCESS)

    def ended(self) -> None:
        """Note that the stream has come to its end."""
        self._end(SUCCESS)

    def left(self) -> None:
        """Note that the reader wants no more of it."""
        self._end(SUCCESS if self._begun else IGNORED)

    def _event(self, error: tuple[Outcome, str] | None) -> None:
        if error is None:
            self._begin()
        else:
            self._end(*error)

    def _end(self, outcome: Outcome, because: str | None = None) -> None:
        if not self._settled:
            self._settled = True
            self._settle(outcome, because)

    @property
    def _stalled(self) -> str:
        return f"stalled for {self._idle:.3g} s"

    def _watch(self) -> None:
        """Look after the idle limit has passed, where there is an event loop to do so.

        In sync code a stream that stalls is seen when it goes on, or breaks.
        """
        if self._idle < math.inf:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            stream: ref[Stream] = ref(self)
            loop.call_later(self._idle, _look, stream, loop)

    def _look(self) -> float | None:
        """Settle a stream that has stalled. Return the seconds until the next look, if any."""
        if self._settled:
            return None
        waited = 0.0 if self._waits_since is None else self._clock() - self._waits_since
        if waited < self._idle:
            return self._idle - waited
        self._end(FAILURE, self._stalled)
        return None


def _look(stream: ref[Stream], loop: asyncio.AbstractEventLoop) -> None:
    living = stream()
    after = None if living is None else living._look()
    if after is not None:
        loop.call_later(after, _look, stream, loop)


def stricter(one: BreakerConfig, other: BreakerConfig) -> BreakerConfig:
    """Return the settings of the breaker that looks longer at a stream."""
    return max(one, other, key=lambda config: ("head", "event", "end").index(config.stream))
