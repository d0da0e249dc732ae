"""`Depends(breaker("payments"))`: a breaker for one route, by name.

FastAPI is imported when `breaker` or `install` is first called: `breaker_asgi` works without it.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import cache
from typing import Annotated, Any

from breaker_asgi._core import validation
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.extras import needs
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.permit import Block, Permit
from breaker_asgi._core.rejections import rejection_behind
from breaker_asgi.asgi.responses import PROBLEM_JSON, rejection, rejection_headers, retry_after
from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
from breaker_asgi.asgi.versions import (
    check_fastapi,
    denies_websockets_by_http,
    function_scoped,
    raised_after_handler,
    request_is_invalid,
    with_included,
)
from breaker_asgi.breaker import CircuitBreaker
from breaker_asgi.middleware.departures import client_has_left
from breaker_asgi.middleware.exchange import BROKEN, Exchange
from breaker_asgi.middleware.framework_signals import layers
from breaker_asgi.middleware.handlers import has_handler
from breaker_asgi.middleware.held_head import HoldingSend
from breaker_asgi.middleware.middleware import BreakerMiddleware
from breaker_asgi.middleware.rules import OWN, mark_of
from breaker_asgi.registry import BreakerRegistry, default_registry

Dependency = Callable[..., Awaitable[Permit]]

_UNAVAILABLE = 503
_TRY_AGAIN_LATER = 1013


def breaker(
    name: str, *, registry: BreakerRegistry = default_registry, **settings: Any
) -> Dependency:
    """Return a FastAPI dependency that guards a route by the breaker called `name`.

        @app.post("/pay")
        async def pay(permit: Annotated[Permit, Depends(breaker("payments", fail_max=3))]): ...

    The breaker is the one of that name in `registry` when a request comes; `settings` are those of
    `BreakerConfig`. An exception that leaves the route is a failure; an `HTTPException`
    below 500, an invalid request and what another dependency raises are not. With
    `BreakerMiddleware` installed the response's status counts too. A rejected request gets a 503
    with `Retry-After`. The same name gives the same object, so that FastAPI resolves it once a
    request and `app.dependency_overrides[breaker("payments")]` works.

    Raises `BreakerConfigError` if the breaker exists with other settings.
    """
    if not isinstance(name, str):
        remedy = 'Write Depends(breaker("payments"))'
        raise validation.not_allowed("name", name, "the name of a breaker", remedy)
    validation.instance("registry", registry, BreakerRegistry, "Leave it out for the default one")
    validation.known_settings("breaker", settings)
    registry.get(name, **settings)
    dependency = _dependency(name, registry)
    dependency.settings.update(settings)
    return dependency


@cache
def _dependency(name: str, registry: BreakerRegistry) -> "_NamedBreaker":
    return _NamedBreaker(name, registry)


class _NamedBreaker:
    """A dependency that guards a route by a breaker of a registry, by name."""

    def __init__(self, name: str, registry: BreakerRegistry) -> None:
        with needs("breaker()", "fastapi"):
            from fastapi import Depends  # noqa: PLC0415

        check_fastapi()
        self.name = name
        self.registry = registry
        self.settings: dict[str, Any] = {}
        self._used: CircuitBreaker | None = None
        """The breaker, held so that a full registry does not drop it."""
        # The exit of a function-scoped dependency runs before the response is sent: it gets the
        # route's exception before the exchange gets the response.
        permit = Annotated[Permit, function_scoped(Depends, self._guard())]
        parameter = inspect.Parameter("permit", inspect.Parameter.KEYWORD_ONLY, annotation=permit)
        self.__signature__ = inspect.Signature([parameter])

    async def __call__(self, permit: Permit) -> Permit:
        return permit

    @property
    def breaker(self) -> CircuitBreaker:
        """The registry's present breaker of the name."""
        settings = {} if self.name in self.registry else self.settings
        return self.registry.get(self.name, **settings)

    def _guard(self) -> Callable[..., AsyncIterator[Permit]]:
        from starlette.requests import HTTPConnection  # noqa: PLC0415

        async def guard(connection: HTTPConnection) -> AsyncIterator[Permit]:
            exchange = Exchange.of(connection.scope)
            self._used = guarded = self.breaker
            try:
                permit = await guarded.acquire_async()
            except CircuitBreakerError as error:
                if exchange is not None or CircuitBreakerError in connection.app.exception_handlers:
                    raise  # the middleware or the handler answers
                raise _unavailable(error, connection) from error
            if exchange is not None:
                exchange.add_permit(permit)
            try:
                with Block(permit):
                    yield permit
            except BaseException as error:
                returned = raised_after_handler(error, connection.scope)
                outcome = SUCCESS if returned else _outcome_of(error, guarded, self, connection)
                if outcome is not FAILURE and not (returned and exchange):
                    permit._settle(outcome, error)
                if exchange is None:  # else the response decides: an exception handler may answer
                    permit.raised(error)
                    _answer_rejection(error, connection)
                raise
            if request_is_invalid():
                permit.ignore()
            elif exchange is None:
                permit.success()

        return guard


def _unavailable(error: CircuitBreakerError, connection: Any) -> Exception:
    from starlette.exceptions import HTTPException, WebSocketException  # noqa: PLC0415

    if connection.scope["type"] == "websocket" and not denies_websockets_by_http():
        return WebSocketException(_TRY_AGAIN_LATER, "Temporarily unavailable.")
    headers = rejection_headers(retry_after(error.retry_after))
    fields = {name.decode(): value.decode() for name, value in headers}
    fields["content-type"] = PROBLEM_JSON.decode()
    return HTTPException(_UNAVAILABLE, "Temporarily unavailable.", fields)


def _answer_rejection(error: BaseException, connection: Any) -> None:
    """Raise the 503 if `error` was raised from a rejection, and no handler answers it."""
    rejection = rejection_behind(error)
    if rejection is not None and _is_unanswered(error, connection):
        raise _unavailable(rejection, connection) from error


def _is_unanswered(error: BaseException, connection: Any) -> bool:
    """Return True if no exception handler answers, and a response can still be sent."""
    from starlette.websockets import WebSocketState  # noqa: PLC0415

    if not isinstance(error, Exception) or has_handler(error, connection.app.exception_handlers):
        return False
    waiting = WebSocketState.CONNECTING
    return getattr(connection, "application_state", waiting) is waiting


def _outcome_of(
    error: BaseException, guarded: CircuitBreaker, dependency: Dependency, connection: Any
) -> Outcome:
    """Return the outcome of an exception that leaves a route, which may not be the route's own."""
    from fastapi.exceptions import (  # noqa: PLC0415
        RequestValidationError,
        WebSocketRequestValidationError,
    )
    from starlette.exceptions import WebSocketException  # noqa: PLC0415

    if (
        isinstance(error, RequestValidationError | WebSocketRequestValidationError)
        or client_has_left(error)
        or _is_of_another_dependency(error, dependency, connection)
    ):
        return IGNORED
    outcome = guarded.outcome_of(error)
    if isinstance(error, WebSocketException) and guarded.config.failures is None:
        return SUCCESS if outcome is FAILURE and error.code not in BROKEN else outcome
    return outcome


def _is_of_another_dependency(
    error: BaseException, dependency: Dependency, connection: Any
) -> bool:
    """Return True if it was raised before the handler was called, by a dependency without ours.

    A handler may call another application in process, whose dependencies are part of its work.
    """
    from fastapi.dependencies.utils import solve_dependencies  # noqa: PLC0415

    solving, trace = None, error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code is solve_dependencies.__code__:
            request = frame.f_locals.get("request")
            if getattr(request, "scope", None) is connection.scope:
                solving = frame
        trace = trace.tb_next
    if solving is None:
        return False
    dependants = _all_below(solving.f_locals.get("sub_dependant"))
    return all(dependant.call is not dependency for dependant in dependants)


def install(app: Any) -> None:
    """Install what has to be set on a FastAPI application itself.

    A `CircuitBreakerError` that leaves a handler or a dependency is answered by the 503 with its
    problem document, without the middleware too. The OpenAPI schema describes that 503 at each
    guarded route, unless the route describes its own.
    """
    check_fastapi()
    app.add_exception_handler(CircuitBreakerError, _answer)
    if app.middleware_stack is not None:  # it has started, and does not read its handlers again
        _handlers_in(app.middleware_stack).add_exception_handler(CircuitBreakerError, _answer)
    app.router.middleware_stack = _raising_rejections(app.router.middleware_stack)
    schema_before = app.openapi

    def openapi() -> dict[str, Any]:
        schema: dict[str, Any] = schema_before()
        for path, methods in _guarded_operations(app):
            for method in methods:
                operation = schema.get("paths", {}).get(path, {}).get(method.lower())
                if operation is not None:
                    operation["responses"].setdefault("503", _response())
        return schema

    app.openapi = openapi


def _handlers_in(stack: ASGIApp) -> Any:
    """Return the layer of a started application that has its exception handlers."""
    from starlette.middleware.exceptions import ExceptionMiddleware  # noqa: PLC0415

    for layer in layers(stack):
        if isinstance(layer, ExceptionMiddleware):
            return layer
    raise RuntimeError(
        "install(app) comes too late: the application has started, and a middleware hides its "
        "exception handlers. Call install(app) where the application is made."
    )


def _raising_rejections(app: ASGIApp) -> ASGIApp:
    """Raise the rejection that an exception was raised from, if no handler takes the exception.

    The head of a stream is held back for a moment, so that the rejection can be answered.
    """

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        rejection = None
        holding = HoldingSend(send)
        watched = scope["type"] != "http" or Exchange.of(scope) is not None
        try:
            await app(scope, receive, send if watched else holding)
            if holding.head is not None:
                await holding.head.leave()
        except Exception as error:
            rejection = rejection_behind(error)
            if holding.head is not None:
                await holding.head.gives_way_to(rejection)
            handlers, _ = scope.get("starlette.exception_handlers", ((), ()))
            if rejection in (None, error) or has_handler(error, handlers):
                raise
        if rejection is not None:
            raise rejection

    return raising


async def _answer(request: Any, error: CircuitBreakerError) -> Any:
    return rejection(error.retry_after, request.scope)


def _guarded_operations(app: Any) -> Iterator[tuple[str, Iterable[str]]]:
    everywhere = any(issubclass(layer.cls, BreakerMiddleware) for layer in app.user_middleware)
    for route in with_included(app.routes):
        mark = mark_of(getattr(route, "endpoint", None))
        if mark is not None and (everywhere or mark is not OWN or _depends_on_a_breaker(route)):
            yield getattr(route, "path_format", "") or "", route.methods or ()


def _depends_on_a_breaker(route: Any) -> bool:
    dependants = _all_below(getattr(route, "dependant", None))
    return any(hasattr(dependant.call, "breaker") for dependant in dependants)


def _all_below(dependant: Any) -> Iterator[Any]:
    """Yield FastAPI's description of a dependency, and of all its dependencies."""
    if dependant is not None:
        yield dependant
        for dependency in dependant.dependencies:
            yield from _all_below(dependency)


def _response() -> dict[str, Any]:
    """Describe the 503 for OpenAPI."""
    texts = {name: {"type": "string"} for name in ("type", "title", "detail")}
    numbers = {name: {"type": "integer"} for name in ("status", "retry_after")}
    schema = {"type": "object", "title": "Problem", "properties": texts | numbers}
    return {
        "description": "Temporarily unavailable.",
        "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
        "content": {"application/problem+json": {"schema": schema}},
    }
