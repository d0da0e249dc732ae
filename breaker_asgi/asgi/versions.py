"""Older versions of FastAPI and Starlette: their differences, in one place."""

from __future__ import annotations

import inspect
import re
import sys
from functools import cache
from traceback import walk_stack, walk_tb
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breaker_asgi.asgi.types import Scope

_OLDEST = (0, 115)
_BLIND = ((0, 137, 0), (0, 137, 1))
"""Versions of FastAPI that hide the routes of included routers."""
_DENIES_WEBSOCKETS = (0, 41)
_HANDLER = "get_request_handler.<locals>.app"
"""The name of FastAPI's function that solves dependencies and calls the handler of a route."""


def check_fastapi() -> None:
    """Raise `RuntimeError` for a version of FastAPI that is not supported."""
    if version_of("fastapi") < _OLDEST:
        raise _unsupported("breaker() and install() need FastAPI 0.115 or later")
    check_included_routers()


def check_included_routers() -> None:
    """Raise `RuntimeError` for a version of FastAPI whose included routers hide their routes."""
    if "fastapi" in sys.modules and version_of("fastapi") in _BLIND:
        raise _unsupported(
            "The routes of included routers can't be found in FastAPI 0.137.0 and 0.137.1"
        )


def _unsupported(why: str) -> Exception:
    version = sys.modules["fastapi"].__version__
    remedy = 'pip install --upgrade "breaker-asgi[fastapi]"'
    return RuntimeError(f"{why}; installed is {version}. Install another version: {remedy}")


@cache
def version_of(package: str) -> tuple[int, ...]:
    """Return the version of an imported package, its first three numbers."""
    return tuple(map(int, re.findall(r"\d+", sys.modules[package].__version__)[:3]))


def function_scoped(depends: Callable[..., Any], guard: Callable[..., Any]) -> Any:
    """Return a dependency whose exit code runs before the response is sent, where possible.

    FastAPI before 0.118 always runs it before, 0.118 to 0.120 always after, and 0.121 by `scope`.
    """
    has_scope = "scope" in inspect.signature(depends).parameters
    return depends(guard, scope="function") if has_scope else depends(guard)


def raised_after_handler(error: BaseException, scope: Scope) -> bool:
    """Return True if `error` was raised after the handler had returned.

    Only in FastAPI 0.118 to 0.120 does the exit code of a dependency get such an error.
    """
    if scope["type"] != "http" or not (0, 118) <= version_of("fastapi") < (0, 121):
        return False
    codes = (frame.f_code for frame, _ in walk_tb(error.__traceback__))
    return all(code.co_qualname != _HANDLER for code in codes)


def request_is_invalid() -> bool:
    """Return True in the exit code of a dependency if the request is invalid.

    FastAPI before 0.118 runs that code before it raises the error; later it raises it through it.
    """
    if version_of("fastapi") >= (0, 118):
        return False
    frames = (frame for frame, _ in walk_stack(None) if frame.f_code.co_qualname == _HANDLER)
    handler = next(frames, None)
    return handler is not None and bool(handler.f_locals.get("errors"))


def with_included(routes: Iterable[Any]) -> Iterable[Any]:
    """Return routes with those of included routers, which FastAPI before 0.137 copies."""
    iter_contexts = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    return routes if iter_contexts is None else iter_contexts(list(routes))


def denies_websockets_by_http() -> bool:
    """Return True if an `HTTPException` denies a websocket, as it does since Starlette 0.41."""
    return version_of("starlette") >= _DENIES_WEBSOCKETS


@cache
def cuts_within_segments() -> bool:
    """Return True if the root path `/a` is cut off the path `/a.json`: before Starlette 0.39."""
    return "starlette" in sys.modules and version_of("starlette") < (0, 39)
