"""The reading of a response's body, which settles the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi.streams import Stream

if TYPE_CHECKING:
    from breaker_asgi.clients.downstream import Downstream, Sent
    from breaker_asgi.outcome import Outcome
    from breaker_asgi.permit import Permit
    from breaker_asgi.streams import Events


class Reading:
    """The reading of a body: the call is over when it ends, when it is closed, or when it breaks.

    `sent` is the body of the request, whose errors say nothing of the dependency.
    """

    def __init__(self, permit: Permit, downstream: Downstream[Any, Any], sent: Sent | None) -> None:
        self.permit = permit
        self._downstream = downstream
        self._sent = sent

    def waits(self) -> None:
        """The reader begins to wait for the next piece."""

    def received(self, piece: bytes) -> None:
        """A piece has come."""

    def ended(self) -> None:
        """All has come."""
        self.permit.success()

    def left(self) -> None:
        """The reader wants no more."""
        self.permit.success()

    def broke(self, error: BaseException) -> None:
        """The body has broken."""
        self._downstream.raised(self.permit, error, self._sent)


class StreamReading(Reading):
    """The reading of a stream that is judged by its first event, or by its end."""

    def __init__(
        self, permit: Permit, downstream: Downstream[Any, Any], sent: Sent | None, events: Events
    ) -> None:
        super().__init__(permit, downstream, sent)
        config = permit.breaker.config
        self._stream = Stream(config, events, settle=self._settle, answered=permit.answered)

    def waits(self) -> None:
        self._stream.waits()

    def received(self, piece: bytes) -> None:
        self._stream.received(piece)

    def ended(self) -> None:
        self._stream.ended()

    def left(self) -> None:
        self._stream.left()

    def broke(self, error: BaseException) -> None:
        self._stream.over()
        super().broke(error)

    def _settle(self, outcome: Outcome, because: str | None) -> None:
        self.permit._settle(outcome, None, because)
