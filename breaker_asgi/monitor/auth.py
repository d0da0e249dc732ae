"""Who may read the monitor, and who may change what it shows."""

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
What it gives or awaits says whether the request is allowed. An exception denies it, and so does
what can only be a mistake: a function, a response, a generator."""

_SAME_SITE = {b"same-origin", b"none"}
_threads = ThreadPoolExecutor(8, "breaker_asgi authorizes")
"""Threads of the monitor's own: functions that hang must not use up those that look hosts up."""


def _start_anew() -> None:
    """Begin with new threads in a child process: it has none of its parent's."""
    global _threads  # noqa: PLW0603
    _threads = ThreadPoolExecutor(_threads._max_workers, "breaker_asgi authorizes")


at_fork(in_child=_start_anew)


class Rights(NamedTuple):
    """What a request may do."""

    read: bool = False
    details: bool = False
    """Whether it may see settings, exceptions' texts, and who has changed what."""
    control: bool = False
    who: str | None = None
    """The name of who may control, if `authorize_control` tells one."""


class Access:
    """Asks the functions that were given; without one, everybody reads and nobody controls."""

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
        """Whether anybody may control at all."""
        return self._authorize_control is not None

    async def to_read(self, scope: Scope, receive: Receive) -> Rights:
        """The rights of a request that only wants to read."""
        read = await self._ask(self._authorize, scope, receive) if self._authorize else True
        if not read:
            return Rights()
        rights = await self.to_control(scope, receive)
        details = self._authorize is not None or rights.control
        return rights._replace(read=True, details=details)

    async def to_control(self, scope: Scope, receive: Receive) -> Rights:
        """The rights of a request that wants to change a breaker."""
        if self._authorize_control is None:
            return Rights()
        allowed = await self._ask(self._authorize_control, scope, receive)
        if not allowed:
            return Rights()
        who = (one_line(allowed) or None) if isinstance(allowed, str) else None
        return Rights(read=True, details=True, control=True, who=who)

    async def _ask(self, authorize: Authorize, scope: Scope, receive: Receive) -> object:
        try:
            request = request_of(scope, receive)
            if validation.is_async(authorize):
                allowed = authorize(request)
            else:  # it may ask a database, and hold up the event loop
                allowed = await _in_a_thread(authorize, request)
            if inspect.isawaitable(allowed):
                allowed = await allowed
            return _judged(allowed)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            log_once(authorize, "the monitor", error)  # not we are cancelled: what it waited for
        except Exception as error:  # noqa: BLE001
            log_once(authorize, "the monitor", error)
        return None


async def _in_a_thread(authorize: Authorize, request: object) -> object:
    """Call a plain function in a thread, or right here where the loop is not one of asyncio."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return authorize(request)
    ask = copy_context().run
    return await loop.run_in_executor(_threads, lambda: ask(_answer_of, authorize, request))


def _answer_of(authorize: Authorize, request: object) -> object:
    """Call a plain function in a thread."""
    try:
        return authorize(request)
    except StopIteration as error:  # Python 3.11 can't carry it out of a thread, and would hang
        raise RuntimeError("it raised StopIteration") from error


def _judged(allowed: object) -> object:
    """None for no. A function that was not called, a response or a generator is no yes."""
    if callable(allowed) or inspect.isgenerator(allowed) or inspect.isasyncgen(allowed):
        raise TypeError(f"it gave a {type(allowed).__name__}, which is neither yes nor no")
    return allowed if bool(allowed) else None


def is_cross_site(scope: Scope) -> bool:
    """Whether a browser says that another site's page has made the request.

    By the rule of Go's `http.CrossOriginProtection`: `Sec-Fetch-Site`, else `Origin` against
    `Host`. What sends neither is no browser.
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
