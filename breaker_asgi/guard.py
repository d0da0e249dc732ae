"""Wraps callables of every kind in a breaker.

A call of a closed breaker runs in the code that `wrapper` makes; all else comes here.
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import Awaitable, Callable
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from breaker_asgi.admission import admit, admit_async
from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.generators import guard_async_generator, guard_generator
from breaker_asgi.outcome import SUCCESS
from breaker_asgi.permit import Block, Permit
from breaker_asgi.window import TimeWindow
from breaker_asgi.wrapper import ANY_ARGUMENTS, Shape, binder, signature

if TYPE_CHECKING:
    from breaker_asgi.circuit import Circuit
    from breaker_asgi.window import Record

Function = Callable[..., Any]

_MOST_PLAIN_TYPES = 1000


def guard(circuit: Circuit, target: Any) -> Any:
    """`target`, guarded. Raises `TypeError` for what cannot be."""
    if isinstance(target, staticmethod | classmethod):
        return type(target)(guard(circuit, target.__func__))
    if isinstance(target, type) and any("__call__" in each.__dict__ for each in target.__mro__):
        target.__call__ = guard(circuit, target.__call__)  # type: ignore[method-assign]
        return target
    if isinstance(target, type) or not callable(target):
        raise TypeError(
            f"{target!r} can't be guarded: give a function, a method, an object or a class with "
            "__call__; not what a call of it returned, nor a property"
        )
    body = _body(target)
    if inspect.isasyncgenfunction(body):
        return update_wrapper(guard_async_generator(circuit, target), target)
    if not inspect.iscoroutinefunction(body):
        _refuse_async_fallback(circuit, target)
    if inspect.isgeneratorfunction(body):
        return update_wrapper(guard_generator(circuit, target), target)
    return update_wrapper(_guard_call(circuit, target, body), target)


def _refuse_async_fallback(circuit: Circuit, target: Function) -> None:
    fallback = circuit.config.fallback
    if inspect.iscoroutinefunction(fallback) and not inspect.iscoroutinefunction(target):
        raise TypeError(
            f"fallback={fallback!r} is async, and {target!r} is not: its callers could not "
            "await what the fallback returns. Give a plain function as the fallback"
        )


def _body(target: Function) -> Function:
    """The function that runs when `target` is called, as far as it can be seen."""
    while isinstance(target, partial):
        target = target.func
    if inspect.isroutine(target):
        return target
    return type(target).__call__


def _guard_call(circuit: Circuit, target: Function, body: Function) -> Function:
    config = circuit.config
    asynchronous = inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(target)
    shape = Shape(
        *signature(target),
        asynchronous=asynchronous,
        judges=config.is_failure is not None,
        times=config.times,
        counts_seconds=config.rated and isinstance(config.window, TimeWindow),
    )
    guarded: Function = binder(shape)(
        circuit,
        target,
        call_async if asynchronous else call,
        circuit._settle,
        circuit._fail,
        circuit.outcome_of,
        circuit.outcome_of_result,
        circuit._raise_on_trip,
        _settle_later,
        _plain_types,
        _comes_later,
        config.clock,
        config.slow_after,
        CircuitBreakerError,
        SUCCESS,
    )
    if isinstance(target, types.FunctionType) and shape[:4] != ANY_ARGUMENTS:
        guarded.__defaults__ = target.__defaults__
        guarded.__kwdefaults__ = target.__kwdefaults__
    return guarded


_plain_types: set[type] = set()
"""Types of results that are what they are: asking the type itself each time is slow."""

_GENERATORS = (types.GeneratorType, types.AsyncGeneratorType)


def _comes_later(result: object) -> bool:
    """Whether a call has only begun when it returned `result`: an awaitable, or a generator."""
    if hasattr(type(result), "__await__") or isinstance(result, _GENERATORS):
        return True
    if len(_plain_types) > _MOST_PLAIN_TYPES:
        _plain_types.clear()
    _plain_types.add(type(result))
    return False


def _settle_later(circuit: Circuit, record: Record, result: Any, started: float | None) -> Any:
    """A plain function has only begun its call: the call is what its result does."""
    generation = circuit._generation
    late = generation.record is not record
    return _continued(Permit(circuit, generation, started, settled=late), result)


def _continued(permit: Permit, result: Any) -> Any:
    """`result`, settling `permit` when it is done; one that is never started says nothing."""
    if isinstance(result, asyncio.Future):
        result.add_done_callback(partial(_settle_by_future, permit))
        return result
    if isinstance(result, types.GeneratorType):
        return guard_generator(permit.breaker, lambda: result, permit)()
    if isinstance(result, types.AsyncGeneratorType):
        return guard_async_generator(permit.breaker, lambda: result, permit)()
    return _await(permit, result)


async def _await(permit: Permit, result: Awaitable[Any]) -> Any:
    with permit:
        value = await result
        permit.returned(value)
        return value


def _settle_by_future(permit: Permit, future: asyncio.Future[Any]) -> None:
    if future.cancelled():
        permit.ignore()
    elif error := future.exception():
        permit._settle(permit.breaker.outcome_of(error), error)
    else:
        permit.returned(future.result())


# Calls that need a permit


async def call_async(circuit: Circuit, function: Function, args: Any, kwargs: Any) -> Any:
    """Call an async function, or give the fallback's answer."""
    try:
        if circuit._fleet is None:
            permit = admit(circuit, function, args, kwargs)
        else:
            permit = await admit_async(circuit, function, args, kwargs)
    except CircuitBreakerError as error:
        if circuit.config.answer is None:
            raise
        answer = circuit.config.answer(error, args, kwargs)
        return await answer if inspect.isawaitable(answer) else answer
    with permit:
        result = await function(*args, **kwargs)
        permit.returned(result)
        return result


def call(circuit: Circuit, function: Function, args: Any, kwargs: Any) -> Any:
    """Call a plain function, or give the fallback's answer.

    If the function returns an awaitable or a generator, the call is what that does.
    """
    try:
        permit = admit(circuit, function, args, kwargs)
    except CircuitBreakerError as error:
        if circuit.config.answer is None:
            raise
        return circuit.config.answer(error, args, kwargs)
    try:
        with Block(permit):
            result = function(*args, **kwargs)
    except BaseException as error:
        permit.raised(error)
        raise
    if _comes_later(result):
        return _continued(permit, result)
    permit.returned(result)
    return result
