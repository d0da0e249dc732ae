"""One guarded request and its response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi.asgi.responses import send_rejection
from breaker_asgi.errors import CircuitBreakerError

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
    from breaker_asgi.permit import Permit

SCOPE_KEY = "breaker_asgi"

_SERVER_ERROR = 500


class Exchange:
    """Settles the permits of one request by what the response turns out to be.

    The response is judged as early as it can be, without an `await` in between: by its status if
    that says failure, otherwise by its first body message. A handler's background tasks come later
    and have no part in it.
    """

    __slots__ = ("_send", "permits", "rejected", "started")

    def __init__(self, permit: Permit | None) -> None:
        self.permits = [] if permit is None else [permit]
        self.started = False
        self.rejected = False
        """Whether a breaker further in has rejected the request: its 503 says nothing of us."""

    @staticmethod
    def of(scope: Scope) -> Exchange | None:
        """The exchange that the request belongs to, if a middleware watches it."""
        return scope.get(SCOPE_KEY)

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and settle."""
        self._send = send
        outer = Exchange.of(scope)
        scope[SCOPE_KEY] = self
        try:
            await app(scope, receive, self.send)
        except CircuitBreakerError as error:
            self._settle(error)
            if outer is not None:
                outer.rejected = True
            if self.started:
                raise
            await send_rejection(error, scope, send)
        except BaseException as error:
            self._settle(error)
            raise
        finally:
            self.ignore()  # neither an answer nor an exception: the client has left
            if outer is None:
                del scope[SCOPE_KEY]
            else:
                scope[SCOPE_KEY] = outer

    async def send(self, message: Message) -> None:
        """Judge the response by its messages as they pass."""
        if message["type"] == "http.response.start":
            self.started = True
            if self.rejected:
                self.ignore()
            elif message["status"] >= _SERVER_ERROR:
                for permit in self.permits:
                    permit.failure()
            elif _is_event_stream(message):
                self.succeed()
        elif self.started:
            self.succeed()
        await self._send(message)

    def succeed(self) -> None:
        for permit in self.permits:
            permit.success()

    def ignore(self) -> None:
        for permit in self.permits:
            permit.ignore()

    def _settle(self, error: BaseException) -> None:
        for permit in self.permits:
            permit.raised(error)


def _is_event_stream(start: Message) -> bool:
    """Whether the first body message may be long in coming, and the response is good already."""
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )
