"""`Depends(breaker("payments"))`: a breaker for one route, by name.

FastAPI is imported when `breaker` or `install` is first called: `breaker_asgi` works without it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import cache
from typing import Annotated, Any

from breaker_asgi.asgi.exchange import Exchange
from breaker_asgi.asgi.middleware import BreakerMiddleware
from breaker_asgi.asgi.protection import OWN, mark_of
from breaker_asgi.asgi.responses import PROBLEM_JSON, rejection_headers, retry_after, send_rejection
from breaker_asgi.asgi.types import Receive, Scope, Send
from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.permit import Block, Permit
from breaker_asgi.registry import default_registry

Dependency = Callable[..., Awaitable[Permit]]

_SERVER_ERROR = 500


def breaker(name: str, **settings: Any) -> Dependency:
    """A FastAPI dependency that guards a route by the breaker called `name`.

        @app.post("/pay")
        async def pay(permit: Annotated[Permit, Depends(breaker("payments", fail_max=3))]): ...

    The breaker is the default registry's; `settings` are those of `BreakerConfig`. An exception
    that leaves the route is a failure, an `HTTPException` below 500 and an invalid request are not.
    With `BreakerMiddleware` installed the response's status counts too. A rejected request gets a
    503 with `Retry-After`. The same name gives the same object, so that FastAPI resolves it once a
    request and `app.dependency_overrides[breaker("payments")]` works.

    Raises `BreakerConfigError` if the breaker exists with other settings.
    """
    default_registry.get(name, **settings)
    return _dependency(name)


@cache
def _dependency(name: str) -> Dependency:
    from fastapi import Depends  # noqa: PLC0415
    from fastapi.exceptions import RequestValidationError  # noqa: PLC0415
    from starlette.exceptions import HTTPException  # noqa: PLC0415
    from starlette.requests import HTTPConnection  # noqa: PLC0415

    guarded = default_registry.get(name)

    async def guard(connection: HTTPConnection) -> AsyncIterator[Permit]:
        exchange = Exchange.of(connection.scope)
        try:
            permit = guarded.acquire()
        except CircuitBreakerError as error:
            if exchange is not None or CircuitBreakerError in connection.app.exception_handlers:
                raise  # and the middleware or the handler answers
            headers = [*rejection_headers(retry_after(error)), (b"content-type", PROBLEM_JSON)]
            fields = {name.decode(): value.decode() for name, value in headers}
            raise HTTPException(503, "Temporarily unavailable.", fields) from error
        try:
            with Block(permit):
                yield permit
        except RequestValidationError as error:
            permit.ignore(error)
            raise
        except HTTPException as error:
            if error.status_code >= _SERVER_ERROR:
                permit.failure(error)
            else:
                permit.success()
            raise
        except BaseException as error:
            permit.raised(error)
            raise
        if exchange is None:
            permit.success()
        else:
            exchange.hand(permit)

    # The exit of a function-scoped dependency runs before the response is sent: it sees what the
    # route raised, and hands the permit on to the exchange in time.
    async def dependency(
        permit: Annotated[Permit, Depends(guard, scope="function")],
    ) -> Permit:
        return permit

    vars(dependency)["breaker"] = guarded
    return dependency


def install(app: Any) -> None:
    """Do what can only be done on a FastAPI application itself.

    A `CircuitBreakerError` that leaves a handler or a dependency is answered by the 503 with its
    problem document, without the middleware too. The OpenAPI schema tells of that 503 at each
    guarded route, unless the route describes its own.
    """
    app.add_exception_handler(CircuitBreakerError, _answer)
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


async def _answer(_request: Any, error: CircuitBreakerError) -> Any:
    async def response(scope: Scope, _receive: Receive, send: Send) -> None:
        await send_rejection(error, scope, send)

    return response


def _guarded_operations(app: Any) -> Iterator[tuple[str, Iterable[str]]]:
    from fastapi.routing import iter_route_contexts  # noqa: PLC0415

    everywhere = any(issubclass(each.cls, BreakerMiddleware) for each in app.user_middleware)
    for route in iter_route_contexts(app.routes):
        said = mark_of(route.endpoint)
        if said is not None and (everywhere or said is not OWN or _depends_on_a_breaker(route)):
            yield route.path_format or "", route.methods or ()


def _depends_on_a_breaker(route: Any) -> bool:
    waiting = [getattr(route, "dependant", None)]
    while waiting:
        dependant = waiting.pop()
        if dependant is not None:
            if hasattr(dependant.call, "breaker"):
                return True
            waiting += dependant.dependencies
    return False


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
