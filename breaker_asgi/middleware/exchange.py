"""One guarded request and its response."""

from __future__ import annotations

from sys import exception as being_handled
from typing import TYPE_CHECKING

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from breaker_asgi._core.permit import Block
from breaker_asgi._core.predicates import ask
from breaker_asgi._core.rejections import rejection_behind
from breaker_asgi._core.statuses import http_status
from breaker_asgi._core.stream_events import events_of
from breaker_asgi._core.streams import Stream, stricter
from breaker_asgi.middleware.handlers import is_taken_for_another
from breaker_asgi.middleware.held_head import Body, has_length, hold, nothing
from breaker_asgi.middleware.route_guard import SCOPE_KEY, RouteGuard
from breaker_asgi.middleware.settling import BEGUN, SETTLED, WAITING, Settling

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from breaker_asgi._core.errors import CircuitBreakerError
    from breaker_asgi._core.outcome import Outcome
    from breaker_asgi._core.permit import Permit
    from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
    from breaker_asgi.middleware.held_head import Head

_ERROR, _SERVER_ERROR = 400, 500

BROKEN = range(1011, 1015)
"""The close codes of a websocket that mean a server error, as a 5xx does."""


class Exchange(Settling):
    """Settles the calls of one request by its response.

    The response is judged as early as possible, without an `await` in between: by its status if
    that is a failure, otherwise by its first body message. A handler's background tasks run later
    and do not count.

    On the fast path a request needs no permit: the window record at its admission is enough.
    """

    _error: BaseException | None = None
    _answered = False
    _head: Head | None = None
    """The head of the response, while it is held back."""
    _stream: Stream | None = None
    """The body, if it is a stream that is judged by its events."""

    # No __init__: it would double the time that making one takes, and every request needs one.

    @staticmethod
    def of(scope: Scope) -> Exchange | None:
        """Return the exchange of a request, if a middleware guards it."""
        return scope.get(SCOPE_KEY)

    def begin(self, guard: RouteGuard, scope: Scope, receive: Receive, send: Send) -> Send:
        """Begin a request, and return the `send` for the application."""
        self._guard = guard
        self._scope = scope
        self._receive = receive
        self._send = send
        outer = scope.setdefault(SCOPE_KEY, self)
        if outer is not self:
            self._outer = outer
            scope[SCOPE_KEY] = self
        if (before := being_handled()) is not None:
            self._before = before
        breaker = guard.breaker
        self._failures = breaker.failures
        self.record = record = breaker._fast_record
        if record is not None:
            self._simple = guard.is_simple
            if guard.times and not self._begin_timing(breaker):
                self.record = None
        if guard.last_good is not None:
            return guard.last_good.watch(scope, self.send, self.went_well)
        return self.send

    async def run(self, app: ASGIApp, send: Send) -> None:
        """Pass the request on, if the breaker gives a permit for it."""
        permit = await self._guard.breaker.acquire_async()
        self._permits = (permit,)
        with Block(permit):
            await app(self._scope, self._receive, send)

    def end(self) -> None:
        """Settle once the application has returned or raised, and restore the scope."""
        if self._stage != SETTLED:
            if self._stream is not None:
                self._stream.left()
            if self._head is not None:
                self._head.leave_soon()
        if self._stage != SETTLED:
            self.settle(IGNORED)  # neither an answer nor an exception: the client has left
        if self._outer is None:
            del self._scope[SCOPE_KEY]
        else:
            self._scope[SCOPE_KEY] = self._outer

    async def end_by(self, error: BaseException) -> bool:
        """Settle by an exception. Return True if it was a rejection, and is answered."""
        begun = self._stage != WAITING
        rejection = rejection_behind(error, self._before) if isinstance(error, Exception) else None
        if self._head is not None and await self._head.gives_way_to(rejection):
            begun = False
            self._send = self._head.to_client
        if self._stream is not None and self._is_departure(error):
            self._stream.left()
        elif self._stage != SETTLED:
            self._settle_by(error)
        if rejection is None or (begun and not self._answered):
            return False
        if not begun:
            await self._guard.refuse(rejection, self._scope, self._receive, self._send)
        return True

    def _is_departure(self, error: BaseException) -> bool:
        """Return True if the client has left; some servers cancel the request then."""
        return not isinstance(error, Exception) or self._client_has_left(error)

    def add_permit(self, permit: Permit) -> None:
        """Settle `permit` too, by the same response."""
        self._permits += (permit,)
        self._simple = False

    def set_exception(self, error: BaseException | None) -> None:
        """Record an exception that a framework is about to turn into a 500."""
        self._error = error

    def send(self, message: Message) -> Awaitable[None]:
        """Judge the response by its messages as they pass."""
        stage = self._stage
        if stage != SETTLED:
            if message["type"] == "http.response.start":
                self._stage = BEGUN
                if (
                    not self._simple
                    or message["status"] >= _ERROR
                    or not has_length(message)
                    or (self._since is not None and not self._stop_the_clock())
                ):
                    return self._begin(message)
            elif stage == BEGUN:
                if self._simple:
                    self._stage = SETTLED
                    self._guard.breaker._count_fast_success(self.record)  # type: ignore[arg-type]
                elif self._head is not None and self._head.holds(message):
                    return nothing()
                elif self._stream is not None:
                    return self._send_piece(self._stream, message)
                elif not (self._guard.at_end and message.get("more_body")):
                    self.settle(SUCCESS)
        return self._send(message)

    def _begin(self, start: Message) -> Awaitable[None]:
        self._simple = False
        status = start["status"]
        error = None
        if not self._rejected and status >= _ERROR:
            error = self._being_handled()
            rejection = rejection_behind(error, self._before)
            if error is not None and rejection is not None:
                by_itself = status == _SERVER_ERROR != http_status(error)
                if by_itself or is_taken_for_another(error, self._scope):
                    return self._answer(rejection)
                self.mark_rejected_upstream()  # the application has a response of its own
        if self._rejected:
            self.settle(IGNORED)
        elif self._fails(status):
            self._settle_failed(status, error)
        else:
            body = Body.of(start)
            if not body.has_length:
                return self._begin_stream(start, body)
            self._stop_the_clock()
        return self._send(start)

    def _begin_stream(self, start: Message, body: Body) -> Awaitable[None]:
        """Begin a body without a `Content-Length`."""
        self._stream = self._stream_of(body)
        if self._stream is None:
            self._stop_the_clock()
        else:
            self._stream.waits()
        self._head = head = hold(start, body, self._send, lambda: self._head_leaves(body))
        if head is None:
            self._head_leaves(body)
            return self._send(start)
        self._send = head.send
        return nothing()

    def _stream_of(self, body: Body) -> Stream | None:
        """Return the stream of a body, if a breaker judges it by its events."""
        config = self._guard.breaker.config
        for permit in self._permits:
            config = stricter(config, permit.breaker.config)
        events = None if config.stream == "head" else events_of(body.kind, body.encoding)
        if events is None:
            return None
        return Stream(config, events, settle=self._settle_stream, answered=self._stop_the_clock)

    def _head_leaves(self, body: Body) -> None:
        if self._stream is not None:
            if self._head is not None and self._head.has_whole_body:
                self._stream.ended()
        elif body.is_of_events and self._stage != SETTLED:
            self.settle(SUCCESS)  # its first event may be long in coming

    def _settle_stream(self, outcome: Outcome, because: str | None) -> None:
        if self._stage != SETTLED:
            self.settle(outcome, None, because)

    async def _send_piece(self, stream: Stream, message: Message) -> None:
        """Send a piece of a stream. The idle time until the next piece is the application's."""
        if body := message.get("body"):
            stream.received(body)
        if not message.get("more_body"):
            stream.ended()
        await self._send(message)
        stream.waits()

    def _settle_failed(self, status: int, error: BaseException | None) -> None:
        """Settle by an error's page as by the error: the middleware's place decides which it gets.

        Any other status was chosen by the handler that answered the error.
        """
        if error is not None and status == _SERVER_ERROR != http_status(error):
            self._settle_by(error)
        else:
            outcome = IGNORED if self._client_has_left(error) else FAILURE
            self.settle(outcome, error, f"status {status}" if error is None else None)

    def _being_handled(self) -> BaseException | None:
        """Return the exception of the application that is handled while it responds, if any."""
        error = being_handled()
        return self._error if error is self._before else error

    def _fails(self, status: int) -> bool:
        by_status = status >= _SERVER_ERROR
        judge = self._guard.is_failure
        if judge is None:
            return by_status
        return bool(ask(judge, "is_failure", by_status, status, self._scope))

    def _answer(self, error: CircuitBreakerError) -> Awaitable[None]:
        """Send the rejection in place of the error page, and drop the page.

        Starlette's outermost layer and other frameworks send it while they handle the exception.
        """
        self.settle(IGNORED, error)
        self._answered = True
        send, self._send = self._send, _swallow
        return self._guard.refuse(error, self._scope, self._receive, send)


async def _swallow(_: Message) -> None:
    """Send nothing."""
