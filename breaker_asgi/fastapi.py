"""`Depends(breaker("payments"))`: a breaker for one route, by name.

FastAPI is imported when `breaker` or `install` is first called: `breaker_asgi` works without it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from functools import cache
from typing import Annotated, Any

from breaker_asgi.asgi.departures import client_has_left
from breaker_asgi.asgi.exchange import BROKEN, Exchange
from breaker_asgi.asgi.middleware import BreakerMiddleware
from breaker_asgi.asgi.protection import OWN, mark_of
from breaker_asgi.asgi.responses import PROBLEM_JSON, rejection, rejection_headers, retry_after
from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
from breaker_asgi.breaker import CircuitBreaker
from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.permit import Block, Permit
from breaker_asgi.registry import default_registry
from breaker_asgi.rejections import rejection_behind

Dependency = Callable[..., Awaitable[Permit]]

_UNAVAILABLE = 503


def breaker(name: str, **settings: Any) -> Dependency:
    """A FastAPI dependency that guards a route by the breaker called `name`.

        @app.post("/pay")
        async def pay(permit: Annotated[Permit, Depends(breaker("payments", fail_max=3))]): ...

    The breaker is the default registry's; `settings` are those of `BreakerConfig`. An exception
    that leaves the route is a failure; an `HTTPException` below 500, an invalid request and what
    another dependency raises are not. With `BreakerMiddleware` installed the response's status
    counts too. A rejected request gets a 503 with `Retry-After`. The same name gives the same
    object, so that FastAPI resolves it once a request and
    `app.dependency_overrides[breaker("payments")]` works.

    Raises `BreakerConfigError` if the breaker exists with other settings.
    """
    default_registry.get(name, **settings)
    return _dependency(name)


@cache
def _dependency(name: str) -> Dependency:
    from fastapi import Depends  # noqa: PLC0415
    from starlette.requests import HTTPConnection  # noqa: PLC0415

    guarded = default_registry.get(name)

    async def guard(connection: HTTPConnection) -> AsyncIterator[Permit]:
        exchange = Exchange.of(connection.scope)
        try:
            permit = await guarded.acquire_async()
        except CircuitBreakerError as error:
            if exchange is not None or CircuitBreakerError in connection.app.exception_handlers:
                raise  # and the middleware or the handler answers
            raise _unavailable(error) from error
        if exchange is not None:
            exchange.hand(permit)
        try:
            with Block(permit):
                yield permit
        except BaseException as error:
            outcome = _outcome_of(error, guarded, dependency)
            if outcome is not FAILURE:
                permit._settle(outcome, error)
            if exchange is None:  # which knows better: an exception handler may have an answer
                permit.raised(error)
                _answer_rejection(error, connection)
            raise
        if exchange is None:
            permit.success()

    # The exit of a function-scoped dependency runs before the response is sent: it sees what the
    # route raised, before the exchange sees the response.
    async def dependency(
        permit: Annotated[Permit, Depends(guard, scope="function")],
    ) -> Permit:
        return permit

    vars(dependency)["breaker"] = guarded
    return dependency


def _unavailable(error: CircuitBreakerError) -> Exception:
    from starlette.exceptions import HTTPException  # noqa: PLC0415

    headers = rejection_headers(retry_after(error.retry_after))
    fields = {name.decode(): value.decode() for name, value in headers}
    fields["content-type"] = PROBLEM_JSON.decode()
    return HTTPException(_UNAVAILABLE, "Temporarily unavailable.", fields)


def _answer_rejection(error: BaseException, connection: Any) -> None:
    """Raise the 503 to what was raised from a rejection, if nobody else has an answer to it."""
    rejection = rejection_behind(error)
    if rejection is not None and _is_unanswered(error, connection):
        raise _unavailable(rejection) from error


def _is_unanswered(error: BaseException, connection: Any) -> bool:
    """Return True if no exception handler answers, and an answer can be sent still."""
    from starlette.websockets import WebSocketState  # noqa: PLC0415

    if not isinstance(error, Exception) or _has_handler(error, connection.app.exception_handlers):
        return False
    waiting = WebSocketState.CONNECTING
    return getattr(connection, "application_state", waiting) is waiting


def _has_handler(error: Exception, handlers: Collection[Any]) -> bool:
    """Return True if there is an exception handler for this, and not for all exceptions.

    A handler for `httpx.HTTPError` is not for a rejection, even if that is one.
    """
    kind = CircuitBreakerError if isinstance(error, CircuitBreakerError) else Exception
    own = type(error).__mro__[: type(error).__mro__.index(kind) + (kind is not Exception)]
    return any(each in handlers for each in own)


def _outcome_of(error: BaseException, guarded: CircuitBreaker, dependency: Dependency) -> Outcome:
    """What an exception says that leaves a route: less than one that leaves a downstream call."""
    from fastapi.exceptions import (  # noqa: PLC0415
        RequestValidationError,
        WebSocketRequestValidationError,
    )
    from starlette.exceptions import WebSocketException  # noqa: PLC0415

    if (
        isinstance(error, RequestValidationError | WebSocketRequestValidationError)
        or client_has_left(error)
        or _is_of_another_dependency(error, dependency)
    ):
        return IGNORED
    outcome = guarded.outcome_of(error)
    if isinstance(error, WebSocketException) and guarded.config.failures is None:
        return SUCCESS if outcome is FAILURE and error.code not in BROKEN else outcome
    return outcome


def _is_of_another_dependency(error: BaseException, dependency: Dependency) -> bool:
    """Whether it was raised before the handler was called, by what does not depend on ours."""
    from fastapi.dependencies.utils import solve_dependencies  # noqa: PLC0415

    solving, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is solve_dependencies.__code__:
            solving = trace.tb_frame
        trace = trace.tb_next
    if solving is None:
        return False
    dependants = _all_below(solving.f_locals.get("sub_dependant"))
    return all(dependant.call is not dependency for dependant in dependants)


def install(app: Any) -> None:
    """Do what can only be done on a FastAPI application itself.

    A `CircuitBreakerError` that leaves a handler or a dependency is answered by the 503 with its
    problem document, without the middleware too. The OpenAPI schema tells of that 503 at each
    guarded route, unless the route describes its own.
    """
    app.add_exception_handler(CircuitBreakerError, _answer)
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


def _raising_rejections(app: ASGIApp) -> ASGIApp:
    """Raise the rejection that an exception was raised from, if nobody handles that exception."""

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        rejection = None
        try:
            await app(scope, receive, send)
        except Exception as error:
            rejection = rejection_behind(error)
            handlers, _ = scope.get("starlette.exception_handlers", ((), ()))
            if rejection in (None, error) or _has_handler(error, handlers):
                raise
        if rejection is not None:
            raise rejection

    return raising


async def _answer(request: Any, error: CircuitBreakerError) -> Any:
    return rejection(error.retry_after, request.scope)


def _guarded_operations(app: Any) -> Iterator[tuple[str, Iterable[str]]]:
    from fastapi.routing import iter_route_contexts  # noqa: PLC0415

    everywhere = any(issubclass(each.cls, BreakerMiddleware) for each in app.user_middleware)
    for route in iter_route_contexts(app.routes):
        said = mark_of(route.endpoint)
        if said is not None and (everywhere or said is not OWN or _depends_on_a_breaker(route)):
            yield route.path_format or "", route.methods or ()


def _depends_on_a_breaker(route: Any) -> bool:
    dependants = _all_below(getattr(route, "dependant", None))
    return any(hasattr(dependant.call, "breaker") for dependant in dependants)


def _all_below(dependant: Any) -> Iterator[Any]:
    """FastAPI's description of a dependency, and those of all that it depends on."""
    if dependant is not None:
        yield dependant
        for each in dependant.dependencies:
            yield from _all_below(each)


def _response() -> dict[str, Any]:
    """A 503, as OpenAPI describes it."""
    texts = {name: {"type": "string"} for name in ("type", "title", "detail")}
    numbers = {name: {"type": "integer"} for name in ("status", "retry_after")}
    schema = {"type": "object", "title": "Problem", "properties": texts | numbers}
    return {
        "description": "Temporarily unavailable.",
        "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
        "content": {"application/problem+json": {"schema": schema}},
    }
