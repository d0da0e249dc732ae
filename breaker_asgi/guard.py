"""Wraps callables of every kind in a breaker.

A guarded call must cost next to nothing while the breaker is closed. Two things make it so: the
wrapper has the function's own parameters, so that no call packs and unpacks its arguments, and it
adds one frame, not two. That takes code made for each signature; it is compiled once for all the
functions that share it.
"""

from __future__ import annotations

import asyncio
import inspect
import linecache
import re
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from functools import lru_cache, partial, update_wrapper
from typing import TYPE_CHECKING, Any, NamedTuple

from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.events import notify
from breaker_asgi.permit import Permit, entered
from breaker_asgi.state import Outcome
from breaker_asgi.window import TimeWindow

if TYPE_CHECKING:
    from breaker_asgi.circuit import Circuit
    from breaker_asgi.fallback import Answer
    from breaker_asgi.window import Record

Function = Callable[..., Any]


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


# Functions

_TEMPLATE = """\
def bind(_circuit, _function, _admit, _run, _refuse, _raised, _settle, _judge, _clock, _slow_after,
         _Rejection, _Success, _settle_later):
    {define} guarded({parameters}):
        _record = _circuit._calm
        if _record is None:
            _permit = _admit()
            if _permit.__class__ is _Rejection:
                {reject}
            return {wait}_run(_permit, _function, ({items}), {{{pairs}}})
        {start}
        try:
            _result = {wait}_function({arguments})
        except BaseException as _error:
            _raised(_record, _error, {started})
            raise
        {judge}
        if {well}:
            _circuit.successes += 1
            {count}
        else:
            _settle(_record, {outcome}, None, {started})
        return _result
    return guarded
"""
_RESERVED = frozenset(re.findall(r"\b_[A-Za-z]\w*|BaseException", _TEMPLATE))


class _Shape(NamedTuple):
    """All that the code of a wrapper depends on."""

    parameters: str
    arguments: str
    items: str
    """The positional arguments, as the items of a tuple."""
    pairs: str
    """The keyword arguments, as the items of a dict."""
    asynchronous: bool
    answers: bool
    judges: bool
    times: bool
    """Whether it has to find out how long a call takes."""
    counts_seconds: bool
    """Whether its record is a `TimeRecord`."""


def _guard_call(circuit: Circuit, target: Function, body: Function) -> Function:
    config = circuit.config
    asynchronous = inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(target)
    if inspect.iscoroutinefunction(config.fallback) and not asynchronous:
        raise TypeError(
            f"fallback={config.fallback!r} is async, and {target!r} is not: its callers could not "
            "await what the fallback returns. Give a plain function as the fallback"
        )
    shape = _Shape(
        *_signature(target),
        asynchronous=asynchronous,
        answers=config.answer is not None,
        judges=config.is_failure is not None,
        times=config.slow_after is not None,
        counts_seconds=config.rated and isinstance(config.window, TimeWindow),
    )
    guarded: Function = _binder(shape)(
        circuit,
        target,
        circuit._admit,
        run_async if asynchronous else run,
        partial(answer_async, config.answer) if asynchronous else config.answer,
        circuit._raised,
        circuit._settle,
        circuit.outcome_of_result,
        config.clock,
        config.slow_after,
        CircuitBreakerError,
        Outcome.SUCCESS,
        _settle_later,
    )
    if isinstance(target, types.FunctionType) and shape.parameters != _ANY:
        guarded.__defaults__ = target.__defaults__
        guarded.__kwdefaults__ = target.__kwdefaults__
    return guarded


_ANY = "*args, **kwargs"


def _signature(target: Function) -> tuple[str, str, str, str]:
    """A function's parameters; as arguments; as the items of a tuple; and of a dict."""
    if not isinstance(target, types.FunctionType):
        return _ANY, _ANY, "*args", "**kwargs"
    code = target.__code__
    if not _RESERVED.isdisjoint(code.co_varnames):
        return _ANY, _ANY, "*args", "**kwargs"
    names = iter(code.co_varnames)
    positional = [next(names) for _ in range(code.co_argcount)]
    keywords = [next(names) for _ in range(code.co_kwonlyargcount)]
    first_default = len(positional) - len(target.__defaults__ or ())
    parameters = [
        name if index < first_default else f"{name}=None" for index, name in enumerate(positional)
    ]
    if code.co_posonlyargcount:
        parameters.insert(code.co_posonlyargcount, "/")
    items = list(positional)
    arguments = [f"{name}={name}" for name in keywords]
    pairs = [f"{name!r}: {name}" for name in keywords]
    if code.co_flags & inspect.CO_VARARGS:
        items.append(f"*{next(names)}")
        parameters.append(items[-1])
    elif keywords:
        parameters.append("*")
    has_default = target.__kwdefaults__ or {}
    parameters += [f"{name}=None" if name in has_default else name for name in keywords]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        pairs.append(f"**{next(names)}")
        arguments.append(pairs[-1])
        parameters.append(pairs[-1])
    several = "".join(f"{item}, " for item in items)
    return ", ".join(parameters), several + ", ".join(arguments), several, ", ".join(pairs)


@lru_cache(maxsize=512)
def _binder(shape: _Shape) -> Function:
    """The function that makes wrappers of this shape."""
    call = f"({shape.items}), {{{shape.pairs}}}"
    wait = "await " if shape.asynchronous else ""
    conditions = ["_clock() < _record.settled_until" if shape.counts_seconds else "_record.settled"]
    if shape.times:
        conditions.insert(0, "_clock() - _started <= _slow_after")
    if shape.judges:
        conditions.insert(0, "_outcome is _Success")
    source = _TEMPLATE.format(
        define="async def" if shape.asynchronous else "def",
        wait=wait,
        parameters=shape.parameters,
        arguments=shape.arguments,
        items=shape.items,
        pairs=shape.pairs,
        reject=f"return {wait}_refuse(_permit, {call})" if shape.answers else "raise _permit",
        start="_started = _clock()" if shape.times else "",
        started="_started" if shape.times else "None",
        judge="\n        ".join(_judgement(shape)),
        outcome="_outcome" if shape.judges else "_Success",
        well=" and ".join(conditions),
        count="_record.total += 1" if shape.counts_seconds else "",
    )
    filename = f"<breaker_asgi guard {abs(hash(shape)):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102
    bind: Function = namespace["bind"]
    return bind


def _judgement(shape: _Shape) -> Iterator[str]:
    """Lines that look at the result of a call that raised nothing."""
    if not shape.asynchronous:
        started = "_started" if shape.times else "None"
        yield 'if hasattr(_result, "__await__"):'
        yield f"    return _settle_later(_circuit, _record, _result, {started})"
    if shape.judges:
        yield "_outcome = _judge(_result)"


def _settle_later(
    circuit: Circuit, record: Record, result: Any, started: float | None
) -> Any:
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

def announce(permit: Permit, function: Function, args: Any, kwargs: Any) -> None:
    """Tell the listeners that a call was admitted."""
    breaker = permit.breaker
    if breaker._listeners:
        notify(breaker._listeners, "before_call", breaker, function, *args, **kwargs)


async def run_async(permit: Permit, function: Function, args: Any, kwargs: Any) -> Any:
    """Make an admitted call, and settle its permit."""
    announce(permit, function, args, kwargs)
    with permit:
        result = await function(*args, **kwargs)
        permit.returned(result)
        return result


def run(permit: Permit, function: Function, args: Any, kwargs: Any) -> Any:
    """The same for a plain function; if it returns an awaitable, the call is what that does."""
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
    if hasattr(result, "__await__"):
        return _awaited(permit, result)
    permit.returned(result)
    return result


async def answer_async(answer: Answer, error: CircuitBreakerError, args: Any, kwargs: Any) -> Any:
    """The answer to a rejected call, awaited if it has to be."""
    value = answer(error, args, kwargs)
    return await value if hasattr(value, "__await__") else value


# Generators

def _guard_generator(circuit: Circuit, function: Function) -> Function:
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        permit = circuit._admit()
        if isinstance(permit, CircuitBreakerError):
            if circuit.config.answer is None:
                raise permit
            return (yield from circuit.config.answer(permit, args, kwargs))
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
        permit = circuit._admit()
        if isinstance(permit, CircuitBreakerError):
            if circuit.config.answer is None:
                raise permit
            async for item in circuit.config.answer(permit, args, kwargs):
                yield item
            return
        announce(permit, function, args, kwargs)
        inner = function(*args, **kwargs)
        step = inner.__anext__()
        try:
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001
                    step = inner.athrow(thrown)
                else:
                    step = inner.asend(sent)
        except BaseException as error:
            permit.raised(error)
            raise
        permit.success()

    return guarded
