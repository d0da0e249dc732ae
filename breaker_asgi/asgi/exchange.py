"""One guarded request and its response."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.events import log_once
from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.permit import Block

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breaker_asgi.asgi.fallback import Answer
    from breaker_asgi.asgi.last_good import LastGood
    from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.permit import Permit
    from breaker_asgi.window import Record

SCOPE_KEY = "breaker_asgi"

_SERVER_ERROR = 500
_EVENT_STREAM = b"text/event-stream"


class Guard(NamedTuple):
    """What guards a route, and how its responses are judged."""

    breaker: CircuitBreaker
    answer: Answer
    is_failure: Callable[[int, Scope], object] | None = None
    at_end: bool = False
    """Whether a response is a success once it has ended, not once its body has begun."""
    last_good: LastGood | None = None
    """What has to see the good responses."""

    is_simple: bool = False
    """Whether neither `is_failure` nor `at_end` asks for a closer look."""


class Exchange:
    """Settles the calls of one request by what the response turns out to be.

    The response is judged as early as it can be, without an `await` in between: by its status if
    that says failure, otherwise by its first body message. A handler's background tasks come later
    and have no part in it.

    The request of a calm breaker needs no permit: the record that it was made under is enough.
    """

    pending = True
    """Whether nothing has been settled yet."""
    _record: Record | None = None
    _since: float | None = None
    """When it began, if that matters: only a request of a calm breaker has these two."""
    _permits: tuple[Permit, ...] = ()
    """Our own, where there is one, and those of breakers further in."""
    _simple = False
    """Whether nothing matters but a status of 500, and that the body begins."""
    _rejected = False
    _started = False
    _answered = False

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._scope = scope
        self._receive = receive
        self._send = send

    @staticmethod
    def of(scope: Scope) -> Exchange | None:
        """The exchange that the request belongs to, if a middleware watches it."""
        return scope.get(SCOPE_KEY)

    async def run(self, app: ASGIApp) -> None:
        """Pass the request on, and settle; or answer it, if it is rejected."""
        scope, breaker = self._scope, self._guard.breaker
        outer: Exchange | None = scope.get(SCOPE_KEY)
        try:
            self._record = breaker._calm
            if self._record is None:
                await self._run_with_permit(app, breaker.acquire())
            else:
                self._simple = self._guard.is_simple
                if breaker.config.slow_after:
                    self._simple = False
                    self._since = breaker.config.clock()
                scope[SCOPE_KEY] = self
                await app(scope, self._receive, self.send)
        except CircuitBreakerError as error:
            self.raised(error)
            if outer is not None:
                outer.leave_to_others()
            await self._answer_late(error)
        except BaseException as error:
            self.raised(error)
            raise
        finally:
            if self.pending:
                self.settle(IGNORED)  # neither an answer nor an exception: the client has left
            if outer is not None:
                scope[SCOPE_KEY] = outer
            else:
                scope.pop(SCOPE_KEY, None)

    async def _run_with_permit(self, app: ASGIApp, permit: Permit) -> None:
        self._permits = (permit,)
        self._scope[SCOPE_KEY] = self
        with Block(permit):
            await app(self._scope, self._receive, self.send)

    async def _answer_late(self, error: CircuitBreakerError) -> None:
        """Answer a rejection that has left the application, unless something was sent already."""
        if not self._started:
            await self._guard.answer(error, self._scope, self._receive, self._send)
        elif not self._answered:
            raise error

    def hand(self, permit: Permit) -> None:
        """Settle `permit` too, by what the response turns out to be."""
        self._permits += (permit,)
        self._simple = False

    def leave_to_others(self) -> None:
        """A breaker further in has rejected the request: its 503 says nothing of us."""
        self._rejected = True
        self._simple = False

    def send(self, message: Message) -> Awaitable[None]:
        """Judge the response by its messages as they pass."""
        if self.pending:
            if message["type"] == "http.response.start":
                self._started = True
                if message["status"] >= _SERVER_ERROR or not self._simple:
                    return self._begin(message)
                for name, value in message.get("headers", ()):
                    if name == b"content-type" and value.startswith(_EVENT_STREAM):
                        return self._begin(message)
            elif self._started:
                if self._simple and self._record is not None:
                    self.pending = False
                    self._guard.breaker._go_well(self._record)
                elif not (self._guard.at_end and message.get("more_body")):
                    self.settle(SUCCESS)
        return self._send(message)

    def _begin(self, start: Message) -> Awaitable[None]:
        status = start["status"]
        error = sys.exception() if status >= _SERVER_ERROR else None
        if isinstance(error, CircuitBreakerError):
            return self._answer(error)
        if self._rejected:
            self.settle(IGNORED)
        elif self._fails(status):
            self.settle(FAILURE)
        elif any(value.startswith(_EVENT_STREAM) for _, value in start.get("headers", ())):
            self.settle(SUCCESS)  # its first event may be long in coming
        else:
            self._stop_the_clock()
        return self._send(start)

    def _fails(self, status: int) -> bool:
        judge = self._guard.is_failure
        if judge is None:
            return status >= _SERVER_ERROR
        try:
            return bool(judge(status, self._scope))
        except Exception as error:  # noqa: BLE001
            log_once(judge, "is_failure", error)
            return status >= _SERVER_ERROR

    def _stop_the_clock(self) -> None:
        """The response has begun: what comes after it does not make the request slow."""
        if self._since is not None:
            config = self._guard.breaker.config
            if config.clock() - self._since <= config.slow_after:
                self._since = None
        for permit in self._permits:
            permit.answered()

    def _answer(self, error: CircuitBreakerError) -> Awaitable[None]:
        """Answer in place of the error page that is about to be sent, and swallow the latter.

        Starlette's outermost layer and other frameworks send it while they handle the exception.
        """
        send, self._send = self._send, _swallow
        self.settle(IGNORED, error)
        self._answered = True
        return self._guard.answer(error, self._scope, self._receive, send)

    def settle(self, outcome: Outcome, exception: BaseException | None = None) -> None:
        """Settle all calls alike."""
        self.pending = False
        record = self._record
        if record is not None:
            self._guard.breaker._settle(record, outcome, exception, self._since)
        for permit in self._permits:
            permit._settle(outcome, exception)

    def raised(self, error: BaseException) -> None:
        """Settle by an exception that left the application, as each breaker judges it."""
        if not self.pending:
            return
        self.pending = False
        if self._record is not None:
            breaker = self._guard.breaker
            breaker._settle(self._record, breaker.outcome_of(error), error, self._since)
        for permit in self._permits:
            permit._settle(permit.breaker.outcome_of(error), error)


class WebSocketExchange(Exchange):
    """A websocket is a success once it is accepted, or closed by the application."""

    def send(self, message: Message) -> Awaitable[None]:
        """Judge the handshake, or with `at_end` the whole conversation."""
        kind = message["type"]
        if self.pending:
            if kind == "websocket.http.response.start":
                self._started = True
                return self._begin(message)
            if kind == "websocket.accept":
                self._started = True
                self._stop_the_clock()
                if not self._guard.at_end:
                    self.settle(SUCCESS)
            elif kind in {"websocket.close", "websocket.http.response.body"}:
                self._started = True
                self.settle(SUCCESS)
        return self._send(message)


async def _swallow(_: Message) -> None:
    """Send nothing."""
