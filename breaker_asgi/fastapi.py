"""`Depends(breaker("payments"))`: a breaker for one route, by name.

FastAPI is imported when `breaker` is first called, so that `breaker_asgi` works without it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from typing import Annotated, Any

from breaker_asgi.asgi.exchange import Exchange
from breaker_asgi.asgi.responses import rejection_headers
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
            if exchange is not None:
                exchange.rejected = True
            detail, headers = "Temporarily unavailable.", rejection_headers(error)
            raise HTTPException(503, detail, headers) from error
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
            exchange.permits.append(permit)

    # The exit of a function-scoped dependency runs before the response is sent: it sees what the
    # route raised, and hands the permit on to the exchange in time.
    async def dependency(
        permit: Annotated[Permit, Depends(guard, scope="function")],
    ) -> Permit:
        return permit

    return dependency
