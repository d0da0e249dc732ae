"""Failover: one callable of several guarded ones, which calls the first whose breaker admits."""

from __future__ import annotations

import asyncio
import inspect
import sys
import types
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterable
from functools import partial, update_wrapper
from typing import Any, ParamSpec, TypeVar, overload

from breaker_asgi._core import validation
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.generators import resumed
from breaker_asgi._core.rejections import rejection_behind
from breaker_asgi._core.wrapping import _body, is_async

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

Function = Callable[..., Any]


@overload
def first_of(
    first: Callable[P, Coroutine[Any, Any, R]],
    second: Callable[P, Coroutine[Any, Any, S]],
    /,
    *,
    also_on: Iterable[type[Exception]] = (),
) -> Callable[P, Coroutine[Any, Any, R | S]]: ...


@overload
def first_of(
    first: Callable[P, R], /, *others: Callable[P, R], also_on: Iterable[type[Exception]] = ()
) -> Callable[P, R]: ...


def first_of(
    first: Function, /, *others: Function, also_on: Iterable[type[Exception]] = ()
) -> Function:
    """Return a function that calls the first of several guarded ones whose breaker admits.

        answer = first_of(openai, anthropic)

    All of them are async functions, or generators of one kind, or plain functions, which may return
    any of these. Only a rejection moves on to the next, and with `also_on` a failure of one of
    these types, too; a stream never does once it has yielded an item. If all are rejected, the
    rejection with the shortest `retry_after` is raised, with the others as its notes.

    Raises `BreakerConfigError` for objects that can't be called, for functions of several kinds,
    and for `also_on` that are no exception types.
    """
    functions = (first, *others)
    kinds = [_kind_of(function) for function in functions]
    for function, kind in zip(functions, kinds, strict=True):
        if kind != kinds[0]:
            remedy = "Wrap the odd one in a function of the same kind"
            allowed = f"functions of one kind: {first!r} is {kinds[0]}, and this is {kind}"
            raise validation.not_allowed("first_of", function, allowed, remedy)
    made = _MAKERS[kinds[0]](functions, partial(_Attempts, _checked(also_on)))
    try:
        update_wrapper(made, first)
    except TypeError:  # an object that makes up any attribute, `__name__` too
        update_wrapper(made, first, assigned=())
    vars(made).pop("_ignore_on_call", None)  # a breaker around all of them is another one
    return made


def _kind_of(function: object) -> str:
    if not callable(function):
        remedy = "Pass the function itself, without calling it: first_of(openai, anthropic)"
        raise validation.not_allowed("first_of", function, "functions", remedy)
    body = _body(function)
    if inspect.isasyncgenfunction(body):
        return "an async generator"
    if is_async(body) or is_async(function):
        return "an async function"
    if inspect.isgeneratorfunction(body):
        return "a generator"
    return "a plain function"


def _checked(also_on: object) -> tuple[type[Exception], ...]:
    kinds = validation.listed("also_on", also_on, "exception types")
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            remedy = "A cancellation never moves on; write also_on=[TimeoutError]"
            raise validation.not_allowed(
                "an item of also_on", kind, "subclasses of Exception", remedy
            )
    return kinds


class _Attempts:
    """Record of the failed and rejected calls of one failover."""

    def __init__(
        self, also_on: tuple[type[Exception], ...], errors: Iterable[Exception] = ()
    ) -> None:
        self._also_on = also_on
        self._errors = [*errors]
        self._before: BaseException | None = None

    def __enter__(self) -> None:
        self._before = sys.exception()

    def __exit__(self, *_: object) -> None:
        """Release the errors, whose tracebacks refer to this frame."""
        self._errors.clear()
        self._before = None

    def later(self) -> Begin:
        """Return a function that makes a record with the errors so far."""
        return partial(_Attempts, self._also_on, tuple(self._errors))

    def moves_on(self, error: Exception) -> bool:
        """Return True if `error` moves on to the next function."""
        rejection = rejection_behind(error, self._before)
        if rejection is None and not isinstance(error, self._also_on):
            self._explain(error)
            return False
        self._errors.append(rejection or error)
        return True

    def reason(self) -> Exception:
        """Return the error to raise when no function is left."""
        rejections = [error for error in self._errors if isinstance(error, CircuitBreakerError)]
        failures = [error for error in self._errors if not isinstance(error, CircuitBreakerError)]
        reason: Exception = (
            failures[-1] if failures else min(rejections, key=lambda error: error.retry_after)
        )
        self._explain(reason)
        return reason

    def _explain(self, reason: Exception) -> None:
        """Note at an error why the other functions gave no answer."""
        for error in self._errors:
            if error is not reason:
                is_rejection = isinstance(error, CircuitBreakerError)
                did = "rejected too" if is_rejection else f"failed too: {type(error).__name__}"
                reason.add_note(f"{did}: {error}")


Begin = Callable[[], _Attempts]


def _plain(functions: tuple[Function, ...], begin: Begin) -> Function:
    def first(*args: Any, **kwargs: Any) -> Any:
        attempts = begin()
        with attempts:
            for number, function in enumerate(functions, 1):
                try:
                    result = function(*args, **kwargs)
                except Exception as error:
                    if not attempts.moves_on(error):
                        raise
                else:
                    maker = _maker_for(result)
                    if maker is None:
                        return result
                    rest = (_given(result), *functions[number:])
                    later = maker(rest, attempts.later())(*args, **kwargs)
                    break
            else:
                raise attempts.reason()
        if isinstance(result, asyncio.Future):
            return result.get_loop().create_task(later)
        return later

    return first


def _awaited(functions: tuple[Function, ...], begin: Begin) -> Function:
    async def first(*args: Any, **kwargs: Any) -> Any:
        attempts = begin()
        with attempts:
            for function in functions:
                try:
                    result = function(*args, **kwargs)
                    return await result if inspect.isawaitable(result) else result
                except Exception as error:
                    if not attempts.moves_on(error):
                        raise
            raise attempts.reason()

    return first


def _generated(functions: tuple[Function, ...], begin: Begin) -> Function:
    def first(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        attempts = begin()
        with attempts:
            for function in functions:
                try:
                    inner = iter(function(*args, **kwargs))
                    item = next(inner)
                except StopIteration as end:
                    return end.value
                except Exception as error:
                    if not attempts.moves_on(error):
                        raise
                else:
                    break
            else:
                raise attempts.reason()
        return (yield from _continued(inner, item))

    return first


def _continued(inner: Any, item: Any) -> Generator[Any, Any, Any]:
    """Yield from a generator whose first item was read already."""
    while True:
        step = yield from resumed(inner, item)
        try:
            item = step()
        except StopIteration as end:
            return end.value


def _generated_async(functions: tuple[Function, ...], begin: Begin) -> Function:
    async def first(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        try:
            inner, item = await _begun(functions, begin(), args, kwargs)
            while True:
                try:
                    step = inner.asend((yield item))
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001
                    step = inner.athrow(thrown)
                item = await step
        except StopAsyncIteration:
            pass

    return first


async def _begun(
    functions: tuple[Function, ...], attempts: _Attempts, args: Any, kwargs: Any
) -> tuple[Any, Any]:
    """Return the first generator that gives an item, and that item.

    Raises `StopAsyncIteration` for a generator that ends without one.
    """
    with attempts:
        for function in functions:
            try:
                items = function(*args, **kwargs)
                inner = items if hasattr(items, "asend") else _closed_at_the_end(items)
                return inner, await inner.__anext__()
            except StopAsyncIteration:
                raise
            except Exception as error:
                if not attempts.moves_on(error):
                    raise
        raise attempts.reason()


async def _closed_at_the_end(items: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """Yield the items of an iterator, and close it, if it can be closed."""
    try:
        async for item in items:
            yield item
    finally:
        close = getattr(items, "aclose", None) or getattr(items, "close", None)
        closed = close and close()
        if inspect.isawaitable(closed):
            await closed


_MAKERS: dict[str, Callable[[tuple[Function, ...], Begin], Function]] = {
    "a plain function": _plain,
    "an async function": _awaited,
    "a generator": _generated,
    "an async generator": _generated_async,
}


def _maker_for(result: object) -> Callable[[tuple[Function, ...], Begin], Function] | None:
    """Return the maker that goes on with a result whose call has only begun; None for others."""
    if inspect.isawaitable(result):
        return _awaited
    if isinstance(result, types.GeneratorType):
        return _generated
    return _generated_async if hasattr(type(result), "__anext__") else None


def _given(result: object) -> Function:
    return lambda *_, **__: result
