"""One guarded websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi.asgi.exchange import BEGUN, BROKEN, SETTLED, Exchange
from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from breaker_asgi.asgi.types import Message


class WebSocketExchange(Exchange):
    """A websocket is a success once it is accepted, or closed by the application."""

    def send(self, message: Message) -> Awaitable[None]:
        """Judge the handshake, or with `at_end` the whole conversation."""
        kind = message["type"]
        if self._stage != SETTLED:
            if kind == "websocket.http.response.start":
                self._stage = BEGUN
                return self._begin(message)
            if self._rejected:
                self.settle(IGNORED)
            elif kind == "websocket.accept":
                self._stage = BEGUN
                self._stop_the_clock()
                if not self._guard.at_end:
                    self.settle(SUCCESS)
            elif kind == "websocket.close":
                self.settle(FAILURE if message.get("code") in BROKEN else SUCCESS)
            elif kind == "websocket.http.response.body":
                self.settle(SUCCESS)
        return self._send(message)

    def end(self) -> None:
        """The application has returned, or raised."""
        if self._stage == BEGUN:
            self.settle(SUCCESS)  # the client has said goodbye
        super().end()
