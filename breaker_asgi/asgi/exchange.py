"""One guarded request and its response."""

from __future__ import annotations

from sys import exception as being_handled
from typing import TYPE_CHECKING

from breaker_asgi.asgi.departures import client_has_left
from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.counted import was_counted
from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.permit import Block
from breaker_asgi.predicates import ask
from breaker_asgi.rejections import rejection_behind
from breaker_asgi.statuses import http_status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breaker_asgi.asgi.fallback import Answer
    from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.errors import CircuitBreakerError
    from breaker_asgi.permit import Permit
    from breaker_asgi.window import Record

SCOPE_KEY = "breaker_asgi"

_ERROR, _SERVER_ERROR = 400, 500
_EVENT_STREAM = b"text/event-stream"

BROKEN = range(1011, 1015)
"""The close codes of a websocket that tell of a fault of the server's, as a 5xx does."""

WAITING, BEGUN, SETTLED = range(3)
"""Nothing was sent; the response has begun; its outcome is known."""


class Guard:
    """What guards a route, and how its responses are judged."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        answer: Answer,
        is_failure: Callable[[int, Scope], object] | None = None,
        *,
        at_end: bool = False,
    ) -> None:
        self.breaker = breaker
        self.answer = answer
        self.last_good = answer.last_good
        self.is_failure = is_failure
        self.at_end = at_end
        """Whether a response is a success once it has ended, not once its body has begun."""
        self.times = breaker.config.times
        """Whether it matters how long a request takes."""
        self.is_simple = is_failure is None and not at_end and not self.times
        """Whether nothing matters but a status of 500, and that the body begins."""

    def refuse(
        self, error: CircuitBreakerError, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Answer in place of the application."""
        self._tell(scope)
        return self.answer(error, scope, receive, send)

    def turn_away(self, scope: Scope) -> tuple[Message, ...]:
        """The answer to a request that is rejected, where that takes no more; else nothing."""
        simple = self.answer.is_plain and scope["type"] == "http"
        wait = self.breaker._turn_away() if simple else None
        if wait is None:
            return ()
        self._tell(scope)
        return self.answer.plain(self.breaker.name, wait, scope).messages(scope)

    def _tell(self, scope: Scope) -> None:
        if (watching := Exchange.of(scope)) is not None:
            watching.leave_to_others()


class Exchange:
    """Settles the calls of one request by what the response turns out to be.

    The response is judged as early as it can be, without an `await` in between: by its status if
    that says failure, otherwise by its first body message. A handler's background tasks come later
    and have no part in it.

    The request of a calm breaker needs no permit: the record that it was made under is enough.
    """

    record: Record | None
    """What it was admitted under, if its breaker was calm and gave no permit."""
    _stage = WAITING
    _since: float | None = None
    """When it began, where that matters and no permit knows."""
    _permits: tuple[Permit, ...] = ()
    """Our own, where there is one, and those of breakers further in."""
    _simple = False
    """Whether there is a record, no permit, and nothing to know but the status."""
    _error: BaseException | None = None
    _before: BaseException | None = None
    """What was being handled where the request came from: an application may be called by one."""
    _counted: tuple[CircuitBreaker, ...] = ()
    """Breakers that have counted the request as a failure, further in or here."""
    _failed = False
    _rejected = False
    _answered = False
    _outer: Exchange | None = None
    """That of a middleware further out."""

    # No __init__: it would double the time that making one takes, and every request needs one.

    @staticmethod
    def of(scope: Scope) -> Exchange | None:
        """The exchange that the request belongs to, if a middleware watches it."""
        return scope.get(SCOPE_KEY)

    def begin(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> Send:
        """Watch over a request: what the application is to send by."""
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
        self.record = record = breaker._calm
        if guard.is_simple:
            self._simple = record is not None
        elif record is not None and guard.times:
            self._since = breaker.config.clock()
        if guard.last_good is not None:
            return guard.last_good.watch(scope, self.send, self.went_well)
        return self.send

    async def run(self, app: ASGIApp, send: Send) -> None:
        """Pass the request on, if the breaker gives a permit for it."""
        permit = await self._guard.breaker.acquire_async()
        self._permits = (permit,)
        with Block(permit):
            await app(self._scope, self._receive, send)

    def went_well(self) -> bool:
        """Whether the outcome is known, and a success."""
        return self._stage == SETTLED and not self._failed

    def end(self) -> None:
        """The application has returned, or raised."""
        if self._stage != SETTLED:
            self.settle(IGNORED)  # neither an answer nor an exception: the client has left
        if self._outer is None:
            del self._scope[SCOPE_KEY]
        else:
            self._scope[SCOPE_KEY] = self._outer

    async def end_by(self, error: BaseException) -> bool:
        """Settle by what left the application. True if it was a rejection, and is answered."""
        begun = self._stage != WAITING
        if self._stage != SETTLED:
            self._settle_by(error)
        if begun and not self._answered:
            return False
        rejection = rejection_behind(error, self._before)
        if rejection is None or not isinstance(error, Exception):
            return False
        if not begun:
            await self._guard.refuse(rejection, self._scope, self._receive, self._send)
        return True

    def hand(self, permit: Permit) -> None:
        """Settle `permit` too, by what the response turns out to be."""
        self._permits += (permit,)
        self._simple = False

    def hears_of(self, error: BaseException | None) -> None:
        """Some framework is about to make a 500 of an exception."""
        self._error = error

    def leave_to_others(self) -> None:
        """A breaker further in has rejected the request: its 503 says nothing of us."""
        self._rejected = True
        self._simple = False
        if self._outer is not None:
            self._outer.leave_to_others()

    def send(self, message: Message) -> Awaitable[None]:
        """Judge the response by its messages as they pass."""
        stage = self._stage
        if stage != SETTLED:
            if message["type"] == "http.response.start":
                self._stage = BEGUN
                if not self._simple or message["status"] >= _ERROR or _is_stream(message):
                    return self._begin(message)
            elif stage == BEGUN:
                if self._simple:
                    self._stage = SETTLED
                    self._guard.breaker._go_well(self.record)  # type: ignore[arg-type]
                elif not (self._guard.at_end and message.get("more_body")):
                    self.settle(SUCCESS)
        return self._send(message)

    def _begin(self, start: Message) -> Awaitable[None]:
        status = start["status"]
        error = None
        if not self._rejected and status >= _ERROR:
            error = self._being_handled()
            rejection = rejection_behind(error, self._before)
            if error is not None and rejection is not None:
                if status == _SERVER_ERROR != http_status(error):
                    return self._answer(rejection)
                self.leave_to_others()  # the answer is somebody's own
        if self._rejected:
            self.settle(IGNORED)
        elif self._fails(status):
            self._settle_failed(status, error)
        elif _is_stream(start):
            self.settle(SUCCESS)  # its first event may be long in coming
        else:
            self._stop_the_clock()
        return self._send(start)

    def _settle_failed(self, status: int, error: BaseException | None) -> None:
        """Settle by an error's page as by the error: it depends on our place which of them we see.

        Any other status is the word of whoever has made a response of the error.
        """
        if error is not None and status == _SERVER_ERROR:
            self._settle_by(error)
        else:
            self.settle(IGNORED if self._tells_of_the_client(error) else FAILURE, error)

    def _being_handled(self) -> BaseException | None:
        """Return what the application raised, if the response is made while that is handled."""
        error = being_handled()
        return self._error if error is self._before else error

    def _tells_of_the_client(self, error: BaseException | None) -> bool:
        return error is not None and client_has_left(error, self._server())

    def _server(self) -> Send:
        """Return what sends to the server, past the exchanges of middleware further out."""
        send = self._send
        while isinstance(outer := getattr(send, "__self__", None), Exchange):
            send = outer._send
        return send

    def _fails(self, status: int) -> bool:
        by_status = status >= _SERVER_ERROR
        judge = self._guard.is_failure
        if judge is None:
            return by_status
        return bool(ask(judge, "is_failure", by_status, status, self._scope))

    def _stop_the_clock(self) -> None:
        """The response has begun: what comes after it does not make the request slow."""
        if self._since is not None and self._guard.breaker._was_quick(self._since):
            self._since = None
        for permit in self._permits:
            permit.answered()

    def _answer(self, error: CircuitBreakerError) -> Awaitable[None]:
        """Answer in place of the error page that is about to be sent, and swallow the latter.

        Starlette's outermost layer and other frameworks send it while they handle the exception.
        """
        self.settle(IGNORED, error)
        self._answered = True
        send, self._send = self._send, _swallow
        return self._guard.refuse(error, self._scope, self._receive, send)

    def settle(self, outcome: Outcome, exception: BaseException | None = None) -> None:
        """Settle all calls alike."""
        self._stage = SETTLED
        self._failed = outcome is not SUCCESS
        if self.record is not None:
            self._settle_own(outcome, exception)
        for permit in self._permits:
            self._settle_permit(permit, outcome, exception)

    def _settle_by(self, error: BaseException) -> None:
        """Settle by an exception, as each breaker judges it."""
        self._stage = SETTLED
        self._failed = True
        if self.record is not None:
            self._settle_own(self._outcome_of(error, self._guard.breaker), error)
        for permit in self._permits:
            self._settle_permit(permit, self._outcome_of(error, permit.breaker), error)

    def _outcome_of(self, error: BaseException, breaker: CircuitBreaker) -> Outcome:
        outcome = breaker.config.judgement.outcome_of(error, self._before)
        left = outcome is FAILURE and self._tells_of_the_client(error)
        return IGNORED if left else outcome

    def _settle_own(self, outcome: Outcome, exception: BaseException | None) -> None:
        """Settle a request that needed no permit."""
        breaker = self._guard.breaker
        if outcome is FAILURE:
            outcome = self._once(breaker)
            if was_counted(breaker, exception, self._failures):
                outcome = IGNORED
        breaker._settle(self.record, outcome, exception, self._since)

    def _settle_permit(
        self, permit: Permit, outcome: Outcome, exception: BaseException | None
    ) -> None:
        if outcome is FAILURE and not permit.settled:
            outcome = self._once(permit.breaker)
        permit._settle(outcome, exception)

    def _once(self, breaker: CircuitBreaker) -> Outcome:
        """Return what a failure is to a breaker: it counts a request once, however often asked."""
        if breaker in self._counted:
            return IGNORED
        watching: Exchange | None = self
        while watching is not None:
            watching._counted += (breaker,)
            watching = watching._outer
        return FAILURE


def _is_stream(start: Message) -> bool:
    """Return True for a stream of server-sent events."""
    headers = start.get("headers")
    try:
        if headers[0][0] == b"content-length":  # type: ignore[index]
            return False  # as most responses begin, and no stream does
    except (TypeError, IndexError):  # none, or to be read once
        headers = headers_of(start)
    for name, value in headers:  # type: ignore[union-attr]
        if name == b"content-type":
            return bool(value.startswith(_EVENT_STREAM))
    return False


async def _swallow(_: Message) -> None:
    """Send nothing."""
