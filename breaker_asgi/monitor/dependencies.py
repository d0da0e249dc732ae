"""FastAPI's `Depends(...)` as the function that authorizes, solved by FastAPI itself.

FastAPI is imported where a `Depends` was given, and nowhere else.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.logs import log_doubt
from breaker_asgi.monitor.denial import DeniedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send

_SOLVING = "breaker_asgi.solving"
"""The key of a scope for the solving of its dependency."""
_NONE = (
    "the dependency %s gave None to the monitor, which denies the request. Have it return the "
    "user, or True, where it allows one"
)


def is_depends(value: object) -> bool:
    """Return True for FastAPI's `Depends(...)` and `Security(...)`."""
    params = sys.modules.get("fastapi.params")
    return params is not None and isinstance(value, params.Depends)


class _Solving:
    """The request's own application, and the result."""

    def __init__(self, app: object) -> None:
        self.app = app
        self.is_solved = False
        self.result: object = None
        self.denial: DeniedError | None = None


class Dependency:
    """A `Depends(...)`, solved for a request by an application with one route.

    That route matches each request, and gets a copy of its scope. So the dependency sees the
    request as it came, with the application that it came to, and that one's overrides.
    """

    def __init__(self, depends: Any) -> None:
        self.__qualname__ = getattr(depends.dependency, "__qualname__", repr(depends.dependency))
        self._depends = depends
        self._app: Any = None

    async def solve(self, scope: Scope, receive: Receive) -> object:
        """Return the dependency's result. Raises `DeniedError` for its `HTTPException`."""
        self._app = self._app or _application(self._depends)
        solving = _Solving(scope.get("app"))
        self._app.dependency_overrides = getattr(solving.app, "dependency_overrides", {})
        await self._app({**scope, _SOLVING: solving}, receive, _ignore)
        if solving.denial is not None:
            raise solving.denial
        if not solving.is_solved:
            raise DeniedError("The request is not as its authorization needs it.")
        if solving.result is None:
            log_doubt(self, _NONE, self.__qualname__)
        return solving.result


async def _ignore(_message: Message) -> None:
    """Send nothing: the response is the monitor's."""


def _application(depends: Any) -> ASGIApp:
    """Return a FastAPI application whose only route solves the dependency."""
    from fastapi import FastAPI, Request, Response  # noqa: PLC0415
    from fastapi.routing import APIRoute  # noqa: PLC0415
    from starlette.exceptions import HTTPException  # noqa: PLC0415
    from starlette.routing import Match  # noqa: PLC0415

    class EveryRequest(APIRoute):
        """A route for every path and method."""

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            params = scope.get("path_params", {})
            return Match.FULL, {"endpoint": self.endpoint, "path_params": params}

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope["app"] = scope[_SOLVING].app or scope["app"]
            await self.app(scope, receive, send)

    async def endpoint(request: Any, result: Any = depends) -> Response:
        solving = request.scope[_SOLVING]
        solving.is_solved, solving.result = True, result
        return Response()

    async def deny(request: Request, error: Any) -> Response:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in (error.headers or {}).items()
        ]
        request.scope[_SOLVING].denial = DeniedError(
            "The request was not authorized.", error.status_code, headers
        )
        return Response()

    annotated: Callable[..., Awaitable[Response]] = endpoint
    annotated.__annotations__ = {"request": Request, "result": Any}
    app = FastAPI(openapi_url=None)
    app.add_exception_handler(HTTPException, deny)
    app.router.add_api_route("/", annotated, response_model=None, route_class_override=EveryRequest)
    return app
