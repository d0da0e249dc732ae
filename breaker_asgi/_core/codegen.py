"""Code for wrappers: made for each shape of function, compiled once.

A guarded call must cost next to nothing while the breaker is closed. Three things make it so: the
wrapper has the function's own parameters, so that no call packs and unpacks its arguments; it adds
one frame, not two; and it closes over few names, as each call copies those. The others are globals
of its code.
"""

from __future__ import annotations

import inspect
import linecache
import re
import types
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from breaker_asgi._core.calls import call, call_async
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.outcome import SUCCESS
from breaker_asgi._core.results import comes_later, plain_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TEMPLATE = """\
def bind(_engine, _function, _fail, _clock, _slow_after, _later, _under_way):
    {define} guarded({parameters}):
        _record = _engine._fast_record
        if _record is not None{admitted}:
            _failures = _engine.failures
            {begin}
            try:
                _result = {wait}_function({arguments})
            except BaseException as _error:
                {end}
                if _fail(_record, _error, {started}, _failures{place}):
                    _engine._raise_on_trip(_error)
                raise
            {judge}
            {end}
            if {well}:
                _engine.successes += 1
                {count}
            else:
                _engine._settle(_record, {outcome}, None, {started}{place})
            return _result
        _shut = _engine._fast_reject
        if _shut is not None and _shut.since <= (_now := _engine.config.clock()) <= _shut.until:
            if _engine._listeners.to_rejections:
                {reject_aloud}
                raise _engine._rejection(_shut.terms, _now)
            _engine.rejected += 1
            {reject}
            raise _Error(_shut.terms, _now)
        return {call}(_engine, _function, ({items}), {{{pairs}}})
    return guarded
"""
_IN_TIME = "(_started := _clock()) < _under_way.edge or _engine._count_overdue(_started)"
"""Holds if a timed call has a slot: it may have to begin one, after which others may be overdue."""
_GLOBALS = {
    "_Error": CircuitBreakerError,
    "_SUCCESS": SUCCESS,
    "_call": call,
    "_call_async": call_async,
    "_comes_later": comes_later,
    "_plain": plain_types,
}
_RESERVED = {
    *re.findall(r"\b_[A-Za-z]\w*|BaseException", _TEMPLATE),
    *_GLOBALS,
    *("_outcome", "_started", "_slot", "_place"),
}  # fmt: skip


class Shape(NamedTuple):
    """All that the code of a wrapper depends on."""

    parameters: str
    arguments: str
    items: str
    """The positional arguments, as the items of a tuple."""
    pairs: str
    """The keyword arguments, as the items of a dict."""
    asynchronous: bool
    judges: bool
    measures_duration: bool
    """True if the duration of a call is measured."""
    counts_seconds: bool
    """True if the record is a `TimeRecord`."""


ANY_ARGUMENTS = ("*args, **kwargs", "*args, **kwargs", "*args, ", "**kwargs")
"""The signature of a callable whose parameters can't be read."""


def signature(target: Callable[..., Any]) -> tuple[str, str, str, str]:
    """Return the parameters: as such, as arguments, as items of a tuple and of a dict.

    None has a default here: the wrapper gets those of the target.
    """
    if not isinstance(target, types.FunctionType):
        return ANY_ARGUMENTS
    code = target.__code__
    if not _RESERVED.isdisjoint(code.co_varnames):
        return ANY_ARGUMENTS
    names = iter(code.co_varnames)
    positional = [next(names) for _ in range(code.co_argcount)]
    keywords = [next(names) for _ in range(code.co_kwonlyargcount)]
    parameters = list(positional)
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
    parameters += keywords
    if code.co_flags & inspect.CO_VARKEYWORDS:
        pairs.append(f"**{next(names)}")
        arguments.append(pairs[-1])
        parameters.append(pairs[-1])
    several = "".join(f"{item}, " for item in items)
    return ", ".join(parameters), several + ", ".join(arguments), several, ", ".join(pairs)


@lru_cache(maxsize=512)
def binder(shape: Shape) -> Callable[..., Any]:
    """Compile the function that makes wrappers of this shape."""
    wait = "await " if shape.asynchronous else ""
    timed = shape.measures_duration
    now = "(_now := _clock())" if timed else "_clock()"
    well = [f"{now} < _record.settled_until" if shape.counts_seconds else "_record.settled"]
    if timed:
        well.append(f"{'_now' if shape.counts_seconds else now} - _started <= _slow_after")
        well.append("_now < _under_way.edge")
    if shape.judges:
        well.insert(0, "_outcome is _SUCCESS")
    source = _TEMPLATE.format(
        define="async def" if shape.asynchronous else "def",
        wait=wait,
        call="await _call_async" if shape.asynchronous else "_call",
        parameters=shape.parameters,
        arguments=shape.arguments,
        items=shape.items,
        pairs=shape.pairs,
        admitted=f" and ({_IN_TIME})" if timed else "",
        begin="_slot = _under_way.newest; _slot.calls += 1" if timed else "",
        end="_slot.calls -= 1; _place = _slot.place" if timed else "",
        started="_started" if timed else "None",
        place=", place=_place" if timed else "",
        judge="\n            ".join(_judgement(shape)),
        outcome="_outcome" if shape.judges else "_SUCCESS",
        well=" and ".join(well),
        count="_record.calls += 1" if shape.counts_seconds else "",
        reject="" if shape.asynchronous else _later("_Error"),
        reject_aloud="" if shape.asynchronous else _later("_engine._rejection"),
    )
    filename = f"<breaker_asgi guard {abs(hash(shape)):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = dict(_GLOBALS)
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102
    bind: Callable[..., Any] = namespace["bind"]
    return bind


def _later(made: str) -> str:
    """Return the lines that reject a call of a plain function that returns an awaitable."""
    return (
        f"if _later.awaited.is_awaited: return _later.awaited.rejection({made}(_shut.terms, _now))"
    )


def _judgement(shape: Shape) -> Iterator[str]:
    """Lines that look at the result of a call that raised nothing."""
    if not shape.asynchronous:
        timed = "_started, slot=_slot" if shape.measures_duration else "None"
        yield "if type(_result) not in _plain and _comes_later(_result):"
        yield f"    return _later.settle(_engine, _record, _result, _failures, {timed})"
    if shape.judges:
        yield "_outcome = _engine.outcome_of_result(_result)"
