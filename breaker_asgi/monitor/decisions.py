"""The decisions of users' functions that authorize requests."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeAlias

from breaker_asgi._core import validation
from breaker_asgi._core.logs import log_once
from breaker_asgi._core.process import at_fork
from breaker_asgi.asgi.requests import request_of
from breaker_asgi.monitor.credentials import Credential
from breaker_asgi.monitor.denial import DeniedError
from breaker_asgi.monitor.dependencies import Dependency, is_depends

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Receive, Scope

Authorize: TypeAlias = Callable[[Any], object]
"""A function, sync or async, of Starlette's request, or of the scope where Starlette is missing.
A true result, returned or awaited, allows the request. An exception denies it, and so does a
result that can only be a mistake: a function, a response, a generator. FastAPI's `Depends(...)` is
one, too, for type checkers as it is `Any`."""

_threads = ThreadPoolExecutor(8, "breaker_asgi authorizes")
"""Threads of the monitor's own: functions that hang must not use up the loop's default threads."""


def _start_anew() -> None:
    """Create new threads in a child process: a fork does not copy its parent's."""
    global _threads  # noqa: PLW0603
    _threads = ThreadPoolExecutor(_threads._max_workers, "breaker_asgi authorizes")


at_fork(in_child=_start_anew)


class Decision:
    """A user's function, as it is asked about a request."""

    def __init__(self, setting: str, function: Authorize) -> None:
        depends: Any = function
        self._dependency: Dependency | None = None
        if is_depends(depends):
            if depends.dependency is None:
                remedy = f"Write {setting}=Depends(current_admin)"
                raise validation.not_allowed(setting, depends, "a dependency", remedy)
            self._dependency = Dependency(depends)
        else:
            validation.function(setting, function, asynchronous=True)
        self._function = function
        self._culprit: object = self._dependency or function

    @property
    def has_login(self) -> bool:
        """True if a browser may ask its user for a name and a password."""
        return self._dependency is not None or self._challenge.startswith(b"Basic")

    @property
    def _challenge(self) -> bytes:
        return self._function.challenge if isinstance(self._function, Credential) else b""

    async def allow(self, scope: Scope, receive: Receive, denied: str) -> object:
        """Return the true result of the function. Raises `DeniedError`."""
        allowed = await self._result(scope, receive)
        if allowed:
            return allowed
        if self._challenge:
            raise DeniedError(denied, 401, [(b"www-authenticate", self._challenge)])
        raise DeniedError(denied)

    async def _result(self, scope: Scope, receive: Receive) -> object:
        try:
            if self._dependency is not None:
                allowed = await self._dependency.solve(scope, receive)
            else:
                allowed = await self._call(request_of(scope, receive))
            return _checked(allowed)
        except DeniedError:
            raise
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            # the awaited task was cancelled, not this one
            log_once(self._culprit, "the monitor", error)
        except Exception as error:  # noqa: BLE001
            log_once(self._culprit, "the monitor", error)
        return None

    async def _call(self, request: object) -> object:
        if validation.is_async(self._function):
            allowed = self._function(request)
        else:  # it may query a database, and block the event loop
            allowed = await _in_a_thread(self._function, request)
        return await allowed if inspect.isawaitable(allowed) else allowed


async def _in_a_thread(authorize: Authorize, request: object) -> object:
    """Call a plain function in a thread; in place if no asyncio loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return authorize(request)
    run = copy_context().run
    return await loop.run_in_executor(_threads, lambda: run(_result_of, authorize, request))


def _result_of(authorize: Authorize, request: object) -> object:
    """Call a plain function in a thread."""
    try:
        return authorize(request)
    except StopIteration as error:  # Python 3.11 can't carry it out of a thread, and would hang
        raise RuntimeError("it raised StopIteration") from error


def _checked(allowed: object) -> object:
    """Return the result, or None if it denies. Raise for a function, response or generator."""
    if callable(allowed) or inspect.isgenerator(allowed) or inspect.isasyncgen(allowed):
        raise TypeError(f"it gave a {type(allowed).__name__}, which is neither yes nor no")
    return allowed if bool(allowed) else None
