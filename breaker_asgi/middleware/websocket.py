"""One guarded websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from breaker_asgi._core.rejections import rejection_behind
from breaker_asgi.middleware.exchange import BROKEN, Exchange
from breaker_asgi.middleware.settling import BEGUN, SETTLED, WAITING

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
                return self._close(message)
            elif kind == "websocket.http.response.body":
                self.settle(SUCCESS)
        return self._send(message)

    def _close(self, message: Message) -> Awaitable[None]:
        """Judge a close by the application; frameworks close after an exception, too."""
        error = self._being_handled()
        rejection = rejection_behind(error, self._before)
        if rejection is None:
            broken = message.get("code") in BROKEN
            left = broken and self._client_has_left(error)
            self.settle(IGNORED if left else FAILURE if broken else SUCCESS, error)
        elif self._stage == WAITING and not isinstance(getattr(error, "code", None), int):
            return self._answer(rejection)
        else:
            self.settle(IGNORED, error)
        return self._send(message)

    def end(self) -> None:
        """Settle once the application has returned or raised."""
        if self._stage == BEGUN:
            self.settle(SUCCESS)  # the client has closed it
        super().end()
