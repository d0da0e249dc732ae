"""Wraps callables of every kind in a breaker.

A call of a closed breaker runs in the code that `wrapper` makes; all else comes here.
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.events import notify
from breaker_asgi.outcome import SUCCESS
from breaker_asgi.permit import Permit, entered
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
        return update_wrapper(_guard_async_generator(circuit, target), target)
    if inspect.isgeneratorfunction(body):
        return update_wrapper(_guard_generator(circuit, target), target)
    return update_wrapper(_guard_call(circuit, target, body), target)


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
    if inspect.iscoroutinefunction(config.fallback) and not asynchronous:
        raise TypeError(
            f"fallback={config.fallback!r} is async, and {target!r} is not: its callers could not "
            "await what the fallback returns. Give a plain function as the fallback"
        )
    shape = Shape(
        *signature(target),
        asynchronous=asynchronous,
        judges=config.is_failure is not None,
        times=config.slow_after > 0,
        counts_seconds=config.rated and isinstance(config.window, TimeWindow),
    )
    guarded: Function = binder(shape)(
        circuit,
        target,
        call_async if asynchronous else call,
        circuit._settle,
        circuit.outcome_of,
        circuit.outcome_of_result,
        circuit._raise_on_trip,
        _settle_later,
        _plain_types,
        _is_awaitable,
        config.clock,
        config.slow_after,
        CircuitBreakerError,
        SUCCESS,
    )
    if isinstance(target, types.FunctionType) and shape.parameters != ANY_ARGUMENTS:
        guarded.__defaults__ = target.__defaults__
        guarded.__kwdefaults__ = target.__kwdefaults__
    return guarded


_plain_types: set[type] = set()
"""Types of results that are not awaitable: asking the type itself each time is slow."""


def _is_awaitable(result: object) -> bool:
    if hasattr(type(result), "__await__"):
        return True
    if len(_plain_types) > _MOST_PLAIN_TYPES:
        _plain_types.clear()
    _plain_types.add(type(result))
    return False


def _settle_later(circuit: Circuit, record: Record, result: Any, started: float | None) -> Any:
    """A plain function returned an awaitable: the call is what that does."""
    generation = circuit._generation
    late = generation.record is not record
    return _awaited(Permit(circuit, generation, started, settled=late), result)


def _awaited(permit: Permit, result: Any) -> Any:
    """`result`, settling `permit` when it is done; one that is never awaited says nothing."""
    if isinstance(result, asyncio.Future):
        result.add_done_callback(partial(_settle_by_future, permit))
        return result
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


def announce(permit: Permit, function: Function | None, args: Any, kwargs: Any) -> None:
    """Tell the listeners that a call was admitted."""
    breaker = permit.breaker
    if breaker._listeners:
        notify(breaker._listeners, "before_call", breaker, function, *args, **kwargs)


async def call_async(circuit: Circuit, function: Function, args: Any, kwargs: Any) -> Any:
    """Call an async function, or give the fallback's answer."""
    try:
        permit = circuit._admit()
    except CircuitBreakerError as error:
        if circuit.config.answer is None:
            raise
        answer = circuit.config.answer(error, args, kwargs)
        return await answer if _is_awaitable(answer) else answer
    announce(permit, function, args, kwargs)
    with permit:
        result = await function(*args, **kwargs)
        permit.returned(result)
        return result


def call(circuit: Circuit, function: Function, args: Any, kwargs: Any) -> Any:
    """Call a plain function, or give the fallback's answer.

    If the function returns an awaitable, the call is what that does.
    """
    try:
        permit = circuit._admit()
    except CircuitBreakerError as error:
        if circuit.config.answer is None:
            raise
        return circuit.config.answer(error, args, kwargs)
    announce(permit, function, args, kwargs)
    outside = entered.get()
    entered.set((*outside, permit))
    try:
        result = function(*args, **kwargs)
    except BaseException as error:
        permit.raised(error)
        raise
    finally:
        entered.set(outside)
    if _is_awaitable(result):
        return _awaited(permit, result)
    permit.returned(result)
    return result


# Generators


def _guard_generator(circuit: Circuit, function: Function) -> Function:
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        try:
            permit = circuit._admit()
        except CircuitBreakerError as error:
            if circuit.config.answer is None:
                raise
            return (yield from circuit.config.answer(error, args, kwargs))
        announce(permit, function, args, kwargs)
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            permit.raised(error)
            raise
        permit.success()
        return result

    return guarded


def _guard_async_generator(circuit: Circuit, function: Function) -> Function:
    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        try:
            permit = circuit._admit()
        except CircuitBreakerError as error:
            if circuit.config.answer is None:
                raise
            async for item in circuit.config.answer(error, args, kwargs):
                yield item
            return
        announce(permit, function, args, kwargs)
        inner = function(*args, **kwargs)
        step = inner.__anext__()
        try:
            while True:
                item = await step
                try:
                    step = inner.asend((yield item))
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001
                    step = inner.athrow(thrown)
        except StopAsyncIteration:
            permit.success()
        except BaseException as error:
            permit.raised(error)
            raise

    return guarded
