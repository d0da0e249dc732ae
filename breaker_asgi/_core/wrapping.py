"""Guards for callables of every kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.codegen import ANY_ARGUMENTS, Shape, binder, signature
from breaker_asgi._core.generators import guard_async_generator, guard_generator
from breaker_asgi._core.results import Later
from breaker_asgi._core.windows import TimeWindow

if TYPE_CHECKING:
    from breaker_asgi._core.engine import Engine

Function = Callable[..., Any]


def guard(engine: Engine, target: Any) -> Any:
    """Guard `target`. Raises `TypeError` for what can't be guarded."""
    if isinstance(target, staticmethod | classmethod):
        return type(target)(guard(engine, target.__func__))
    if isinstance(target, type) and any("__call__" in base.__dict__ for base in target.__mro__):
        target.__call__ = guard(engine, target.__call__)  # type: ignore[method-assign]
        return target
    if isinstance(target, type) or not callable(target):
        raise TypeError(
            f"{target!r} can't be guarded: give a function, a method, an object or a class with "
            "__call__; not what a call of it returned, nor a property"
        )
    body = _body(target)
    if inspect.isasyncgenfunction(body):
        return _dress(guard_async_generator(engine, target), target)
    asynchronous = is_async(body) or is_async(target)
    if not asynchronous:
        _refuse_async_fallback(engine, target)
        if inspect.isgeneratorfunction(body):
            return _dress(guard_generator(engine, target), target)
    return _dress(_guard_call(engine, target, asynchronous=asynchronous), target)


def is_async(function: object) -> bool:
    """Return True for an `async def` function, and for a generator that `types.coroutine` marks."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", None)
    marked = isinstance(flags, int) and flags & inspect.CO_ITERABLE_COROUTINE
    return bool(marked) or inspect.iscoroutinefunction(function)


def _dress(guarded: Function, target: Function) -> Function:
    """Give a guarded function the name and the attributes of its target."""
    try:
        return update_wrapper(guarded, target)
    except TypeError:  # an object that makes up any attribute, `__name__` too
        return update_wrapper(guarded, target, assigned=())


def _refuse_async_fallback(engine: Engine, target: Function) -> None:
    fallback = engine.config.fallback
    if inspect.iscoroutinefunction(fallback):
        raise TypeError(
            f"fallback={fallback!r} is async, and {target!r} is not: its callers could not "
            "await what the fallback returns. Give a plain function as the fallback"
        )


def _body(target: Function) -> Function:
    """Return the function that runs when `target` is called, as far as it can be seen."""
    while isinstance(target, partial):
        target = target.func
    if inspect.isroutine(target):
        return target
    return type(target).__call__


def _guard_call(engine: Engine, target: Function, *, asynchronous: bool) -> Function:
    config = engine.config
    shape = Shape(
        *signature(target),
        asynchronous=asynchronous,
        judges=config.is_failure is not None,
        measures_duration=config.measures_duration,
        counts_seconds=config.rated and isinstance(config.window, TimeWindow),
    )
    guarded: Function = binder(shape)(
        engine,
        target,
        engine._fail,
        config.clock,
        config.slow_after,
        Later(target),
        engine._under_way,
    )
    if shape[:4] != ANY_ARGUMENTS:
        guarded.__defaults__ = target.__defaults__
        guarded.__kwdefaults__ = target.__kwdefaults__
    return guarded
