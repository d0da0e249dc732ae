"""The reading of what comes in pieces: the body of a response, or the items of a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.stream_events import Items
from breaker_asgi._core.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.outcome import Outcome
    from breaker_asgi._core.permit import Permit
    from breaker_asgi._core.stream_events import Events


class Reading:
    """The reading of a body: the call is over when it ends, when it is closed, or when it breaks.

    `raised` settles the permit by what breaks it.
    """

    is_of_events = False

    def __init__(self, permit: Permit, raised: Callable[[BaseException], object]) -> None:
        self._permit = permit
        self._raised = raised

    def waits(self) -> None:
        """Note that the reader begins to wait for the next piece."""

    def received(self, piece: Any) -> None:
        """Read a piece that has come."""

    def ended(self) -> None:
        """Note that all has come."""
        self._permit.success()

    def left(self) -> None:
        """Note that the reader wants no more."""
        self._permit.success()

    def broke(self, error: BaseException) -> None:
        """Note that the rest will not come: it has broken, or its reader has left a generator."""
        if isinstance(error, GeneratorExit):
            self.left()
        else:
            self._raised(error)


class StreamReading(Reading):
    """The reading of a stream that is judged by its first event, or by its end."""

    is_of_events = True

    def __init__(
        self, permit: Permit, raised: Callable[[BaseException], object], events: Events
    ) -> None:
        super().__init__(permit, raised)
        config = permit.breaker.config
        self._stream = Stream(config, events, settle=self._settle, answered=permit.answered)
        self.waits = self._stream.waits  # type: ignore[method-assign]
        self.received = self._stream.received  # type: ignore[method-assign]
        self.ended = self._stream.ended  # type: ignore[method-assign]
        self.left = self._stream.left  # type: ignore[method-assign]

    def _settle(self, outcome: Outcome, because: str | None) -> None:
        self._permit._settle(outcome, None, because)


class _GeneratorReading(Reading):
    """The reading of a generator that is one call: a reader that leaves it says nothing."""

    def left(self) -> None:
        self._permit.ignore()


def reading_of_generator(permit: Permit) -> Reading:
    """Return the reading of a generator. In a stream each item is an event."""
    breaker = permit.breaker
    if breaker.config.stream == "head":
        return _GeneratorReading(permit, permit.raised)
    return StreamReading(permit, permit.raised, Items(breaker.outcome_of_result))
