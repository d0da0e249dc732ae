"""Authorization of requests to the monitor: to read it, and to change breakers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from breaker_asgi._core import validation
from breaker_asgi._core.logs import log_once
from breaker_asgi._core.process import at_fork
from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.asgi.requests import request_of
from breaker_asgi.monitor.controls import one_line

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Receive, Scope

Authorize: TypeAlias = Callable[[Any], object]
"""A function, sync or async, of Starlette's request, or of the scope where Starlette is missing.
A true result, returned or awaited, allows the request. An exception denies it, and so does a
result that can only be a mistake: a function, a response, a generator."""

_SAME_SITE = {b"same-origin", b"none"}
_threads = ThreadPoolExecutor(8, "breaker_asgi authorizes")
"""Threads of the monitor's own: functions that hang must not use up the loop's default threads."""


def _start_anew() -> None:
    """Create new threads in a child process: a fork does not copy its parent's."""
    global _threads  # noqa: PLW0603
    _threads = ThreadPoolExecutor(_threads._max_workers, "breaker_asgi authorizes")


at_fork(in_child=_start_anew)


class Rights(NamedTuple):
    """The rights of a request."""

    read: bool = False
    details: bool = False
    """True if it may see settings, exception texts, and the authors of changes."""
    control: bool = False
    who: str | None = None
    """The operator's name, if `authorize_control` returns one."""


class Auth:
    """The two authorization functions; without them all requests may read, and none may control."""

    def __init__(self, authorize: Authorize | None, authorize_control: Authorize | None) -> None:
        for setting, function in (
            ("authorize", authorize),
            ("authorize_control", authorize_control),
        ):
            if function is not None:
                validation.function(setting, function, asynchronous=True)
        self._authorize = authorize
        self._authorize_control = authorize_control

    @property
    def has_controls(self) -> bool:
        """True if `authorize_control` is set."""
        return self._authorize_control is not None

    async def to_read(self, scope: Scope, receive: Receive) -> Rights:
        """Return the rights of a request that reads."""
        read = await self._call(self._authorize, scope, receive) if self._authorize else True
        if not read:
            return Rights()
        rights = await self.to_control(scope, receive)
        details = self._authorize is not None or rights.control
        return rights._replace(read=True, details=details)

    async def to_control(self, scope: Scope, receive: Receive) -> Rights:
        """Return the rights of a request that changes a breaker."""
        if self._authorize_control is None:
            return Rights()
        allowed = await self._call(self._authorize_control, scope, receive)
        if not allowed:
            return Rights()
        who = (one_line(allowed) or None) if isinstance(allowed, str) else None
        return Rights(read=True, details=True, control=True, who=who)

    async def _call(self, authorize: Authorize, scope: Scope, receive: Receive) -> object:
        try:
            request = request_of(scope, receive)
            if validation.is_async(authorize):
                allowed = authorize(request)
            else:  # it may query a database, and block the event loop
                allowed = await _in_a_thread(authorize, request)
            if inspect.isawaitable(allowed):
                allowed = await allowed
            return _checked(allowed)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            log_once(
                authorize, "the monitor", error
            )  # the awaited task was cancelled, not this one
        except Exception as error:  # noqa: BLE001
            log_once(authorize, "the monitor", error)
        return None


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


def is_cross_site(scope: Scope) -> bool:
    """Return True if a browser reports that another site's page made the request.

    The rule of Go's `http.CrossOriginProtection`: `Sec-Fetch-Site`, else `Origin` against
    `Host`. A client that sends neither is no browser.
    """
    if sites := _values(scope, b"sec-fetch-site"):
        return not _SAME_SITE.issuperset(sites)
    if origins := _values(scope, b"origin"):
        hosts = [host.decode("latin-1") for host in _values(scope, b"host")]
        return "" in hosts or any([_host_of(origin)] != hosts for origin in origins)
    return False


def _values(scope: Scope, header: bytes) -> list[bytes]:
    return [value for name, value in headers_of(scope) if name == header]


def _host_of(origin: bytes) -> str:
    try:
        return urlsplit(origin.decode("latin-1")).netloc
    except ValueError:
        return ""
