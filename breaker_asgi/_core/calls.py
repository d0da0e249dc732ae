"""Calls that need a permit: those that the code of a wrapper does not make itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.admission import admit, admit_async
from breaker_asgi._core.awaitables import awaited_of
from breaker_asgi._core.counted import is_wrong_call
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.permit import Block
from breaker_asgi._core.results import comes_later, continued

if TYPE_CHECKING:
    from breaker_asgi._core.engine import Engine
    from breaker_asgi._core.permit import Permit

Function = Callable[..., Any]


async def call_async(engine: Engine, function: Function, args: Any, kwargs: Any) -> Any:
    """Call an async function, or give the fallback's answer."""
    try:
        if engine._fleet is None:
            permit = admit(engine, function, args, kwargs)
        else:
            permit = await admit_async(engine, function, args, kwargs)
    except CircuitBreakerError as error:
        if engine.config.fallback_function is None:
            raise
        answer = engine.config.fallback_function(error, args, kwargs)
        return await answer if inspect.isawaitable(answer) else answer
    with permit:
        awaitable = _begin(permit, function, args, kwargs)
        if not inspect.isawaitable(awaitable):
            permit._hand_back()
            raise TypeError(
                f"call_async awaits what the function returns, and {function!r} returned "
                f"{type(awaitable).__name__!r}: use call"
            )
        result = await awaitable
        permit.returned(result)
        return result


def call(engine: Engine, function: Function, args: Any, kwargs: Any) -> Any:
    """Call a plain function, or give the fallback's answer.

    If the function returns an awaitable, a generator or a context manager of contextlib, the call
    is what that does.
    """
    try:
        permit = admit(engine, function, args, kwargs)
    except CircuitBreakerError as error:
        if engine.config.fallback_function is None:
            awaited = awaited_of(function)
            if awaited.is_awaited:
                return awaited.rejection(error)
            raise
        return engine.config.fallback_function(error, args, kwargs)
    try:
        with Block(permit):
            result = _begin(permit, function, args, kwargs)
    except BaseException as error:
        permit.raised(error)
        raise
    if comes_later(result):
        awaited_of(function).note(result)
        return continued(permit, result)
    permit.returned(result)
    return result


def _begin(permit: Permit, function: Function, args: Any, kwargs: Any) -> Any:
    """Call a function; a call that does not fit its parameters needs no permit."""
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        if is_wrong_call(error):
            permit._hand_back()
        raise
