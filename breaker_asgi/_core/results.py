"""Results of a plain function that are only the beginning of its call.

The call is what an awaitable, a generator or a context manager of contextlib does later; it is
settled by how that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import types
from collections.abc import Coroutine
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.awaitables import awaited_of
from breaker_asgi._core.generators import begun, guard_async_generator
from breaker_asgi._core.permit import Permit, TimedPermit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from types import TracebackType

    from breaker_asgi._core.engine import Engine
    from breaker_asgi._core.under_way import Slot
    from breaker_asgi._core.windows import WindowRecord

_MOST_PLAIN_TYPES = 1000
_GENERATORS = (types.GeneratorType, types.AsyncGeneratorType)

plain_types: set[type] = set()
"""Types of results that are what they are: asking the type itself each time is slow."""


def comes_later(result: object) -> bool:
    """Return True if a call has only begun when it returned `result`."""
    kind = type(result)
    if hasattr(kind, "__await__") or isinstance(result, _GENERATORS) or _is_of_contextlib(kind):
        return True
    if len(plain_types) >= _MOST_PLAIN_TYPES:
        plain_types.clear()
    plain_types.add(kind)
    return False


def _is_of_contextlib(kind: type) -> bool:
    """Return True for the context managers of contextlib, such as `@contextmanager` makes.

    Others, such as files, locks and connections, are results like any other.
    """
    abstract = (contextlib.AbstractContextManager, contextlib.AbstractAsyncContextManager)
    return any(
        base.__module__ == "contextlib" and base not in abstract and base is not _DECORATOR
        for base in kind.__mro__
    )


_DECORATOR = contextlib.ContextDecorator


class Later:
    """The results of one function that are only the beginning of its call."""

    __slots__ = ("awaited",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.awaited = awaited_of(function)

    def settle(
        self,
        engine: Engine,
        record: WindowRecord,
        result: Any,
        failures: int,
        started: float | None,
        *,
        slot: Slot | None = None,
    ) -> Any:
        """Return the guarded `result` of a call that had no permit, but was made under `record`."""
        self.awaited.note(result)
        generation = engine._generation
        kind = Permit if slot is None else TimedPermit
        permit = kind(engine, generation, started)
        if isinstance(permit, TimedPermit):
            permit.slot = slot
        if generation.record is not record:
            permit._hand_back()
        permit._failures = failures
        return continued(permit, result)


def continued(permit: Permit, result: Any) -> Any:
    """Return `result`, guarded: it settles `permit` when it is done."""
    if isinstance(result, asyncio.Future):
        result.add_done_callback(partial(_settle_by_future, permit))
        return result
    if isinstance(result, types.GeneratorType) and not inspect.isawaitable(result):
        return begun(permit, result)
    if isinstance(result, types.AsyncGeneratorType):
        return guard_async_generator(permit.breaker, lambda: result, permit)()
    if isinstance(result, types.CoroutineType | types.GeneratorType):
        is_probe = permit.generation.probes is not None
        return ProbeCoroutine(permit, result) if is_probe else _await(permit, result)
    kind: Any = type(result)
    return _proxy_of(kind)(permit, result)


class ProbeCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine under a probe's permit: if it ends before it has begun, the permit goes back.

    A task that is cancelled at once ends it so, and keeps its frames, and so the permit, alive.
    """

    def __init__(self, permit: Permit, result: Any) -> None:
        self._permit = permit
        self._result = result
        self._coroutine = _await(permit, result)

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *raised: Any) -> Any:
        self._end_unbegun()
        return self._coroutine.throw(*raised)

    def close(self) -> None:
        self._end_unbegun()
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def _end_unbegun(self) -> None:
        if inspect.getcoroutinestate(self._coroutine) == inspect.CORO_CREATED:
            self._permit.ignore()
            self._result.close()


async def _await(permit: Permit, result: Any) -> Any:
    with permit:
        value = await result
        permit.returned(value)
        return value


def _settle_by_future(permit: Permit, future: asyncio.Future[Any]) -> None:
    if future.cancelled():
        permit.ignore()
        return
    error = future._exception  # exception() would mark it as retrieved, and asyncio not log it
    if error is not None:
        permit._settle(permit.breaker.outcome_of(error), error)
    else:
        permit.returned(future.result())


class Proxy:
    """An awaitable or a context manager with a protocol of its own, which stays as it is.

    Awaiting it is the call, or the block from enter to exit. Each after the first asks for a permit
    of its own.
    """

    __slots__ = ("__weakref__", "_breaker", "_entered", "_permit", "_result")

    def __init__(self, permit: Permit, result: Any) -> None:
        self._breaker = permit.breaker
        self._permit: Permit | None = permit
        self._entered: list[Permit] = []
        self._result = result

    __class__: Any = property(lambda self: type(self._result))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)

    def __repr__(self) -> str:
        return repr(self._result)

    def _take(self) -> Permit:
        permit, self._permit = self._permit, None
        return self._breaker.acquire() if permit is None else permit

    async def _take_async(self) -> Permit:
        permit, self._permit = self._permit, None
        return await self._breaker.acquire_async() if permit is None else permit

    def _leave(self, error: BaseException | None) -> None:
        self._entered.pop().__exit__(None, error, None)


def _await_proxy(self: Proxy) -> Generator[Any, Any, Any]:
    return _await(self._take(), self._result).__await__()


def _enter(self: Proxy) -> Any:
    permit = self._take()
    try:
        value = self._result.__enter__()
    except BaseException as error:
        permit.raised(error)
        raise
    self._entered.append(permit.__enter__())
    return value


def _exit(
    self: Proxy,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> Any:
    try:
        suppressed = self._result.__exit__(kind, error, trace)
    except BaseException as raised:
        self._leave(raised)
        raise
    self._leave(error)
    return suppressed


async def _aenter(self: Proxy) -> Any:
    permit = await self._take_async()
    try:
        value = await self._result.__aenter__()
    except BaseException as error:
        permit.raised(error)
        raise
    self._entered.append(permit.__enter__())
    return value


async def _aexit(
    self: Proxy,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> Any:
    try:
        suppressed = await self._result.__aexit__(kind, error, trace)
    except BaseException as raised:
        self._leave(raised)
        raise
    self._leave(error)
    return suppressed


def _aiter(self: Proxy) -> AsyncIterator[Any]:
    return _items(self._take(), self._result)


async def _items(permit: Permit, result: Any) -> AsyncIterator[Any]:
    try:
        async for item in result:
            yield item
    except BaseException as error:
        permit.raised(error)
        raise
    permit.success()


def _delegate(name: str) -> Any:
    def method(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._result, name)(*args, **kwargs)

    return method


_GUARDED = {
    "__await__": _await_proxy,
    "__enter__": _enter,
    "__exit__": _exit,
    "__aenter__": _aenter,
    "__aexit__": _aexit,
    "__aiter__": _aiter,
}
_OWN = {"__init__", "__new__", "__class__", "__getattribute__", "__getattr__", "__repr__"}
_OWN |= {
    "__setattr__",
    "__delattr__",
    "__del__",
    "__slots__",
    "__dict__",
    "__weakref__",
    "__init_subclass__",
    "__doc__",
}


@lru_cache(maxsize=256)
def _proxy_of(kind: Any) -> type[Proxy]:
    """Make the class of proxies for results of a type: special methods are looked up in it."""
    names = {name for base in kind.__mro__[:-1] for name in vars(base)}
    special = {
        name
        for name in names - _OWN
        if name.startswith("__") and name.endswith("__") and callable(getattr(kind, name, None))
    }
    methods = {name: _GUARDED.get(name) or _delegate(name) for name in special}
    return type(kind.__name__, (Proxy,), {"__slots__": (), **methods})
