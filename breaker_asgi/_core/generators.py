"""Guards for generators: a call lasts until they end, but for what happens between their steps."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.admission import admit, admit_async
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.permit import Block
from breaker_asgi._core.stream_reading import reading_of_generator

if TYPE_CHECKING:
    from breaker_asgi._core.engine import Engine
    from breaker_asgi._core.permit import Permit

Function = Callable[..., Any]


def guard_generator(engine: Engine, function: Function, permit: Permit | None = None) -> Function:
    """Guard a generator function, or the one call of it that `permit` was given for."""

    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)  # runs nothing yet: a wrong call is the caller's fault
        try:
            own = permit or admit(engine, function, args, kwargs)
        except CircuitBreakerError as error:
            if engine.config.fallback_function is None:
                raise
            return (yield from engine.config.fallback_function(error, args, kwargs))
        whole = own.generation.probes is None and engine.config.stream == "head"
        try:
            if permit is not None:
                yield  # begun: a generator that is closed before its first step settles it
            result = yield from inner if whole else _inside(own, inner)
        except BaseException as error:
            own.raised(error)
            raise
        own.success()
        return result

    return guarded


def begun(permit: Permit, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Guard a generator that a call under `permit` has returned."""
    guarded: Generator[Any, Any, Any] = guard_generator(permit.breaker, lambda: generator, permit)()
    next(guarded)
    return guarded


def _inside(permit: Permit, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Yield from `inner`, where each step, and nothing in between, is inside of the call."""
    reading = reading_of_generator(permit)
    step: Callable[[], Any] = partial(next, inner)
    try:
        while True:
            reading.waits()
            with Block(permit):
                item = step()
            reading.received(item)
            step = yield from resumed(inner, item)
    except StopIteration as end:
        reading.ended()
        return end.value
    except BaseException as error:
        reading.broke(error)
        raise


def resumed(inner: Generator[Any, Any, Any], item: Any) -> Generator[Any, Any, Callable[[], Any]]:
    """Yield an item, and return the step by which `inner` goes on: by what was sent or thrown."""
    try:
        return partial(inner.send, (yield item))
    except GeneratorExit:
        inner.close()
        raise
    except BaseException as thrown:  # noqa: BLE001
        return partial(inner.throw, thrown)


def guard_async_generator(
    engine: Engine, function: Function, permit: Permit | None = None
) -> Function:
    """Guard an asynchronous generator function in the same way."""

    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        try:
            own = permit or await admit_async(engine, function, args, kwargs)
        except CircuitBreakerError as error:
            if engine.config.fallback_function is None:
                raise
            async for item in _items(engine.config.fallback_function(error, args, kwargs)):
                yield item
            return
        reading = reading_of_generator(own)
        step = inner.__anext__()
        try:
            while True:
                reading.waits()
                with Block(own):
                    item = await step
                reading.received(item)
                try:
                    step = inner.asend((yield item))
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001
                    step = inner.athrow(thrown)
        except StopAsyncIteration:
            reading.ended()
        except BaseException as error:
            reading.broke(error)
            raise

    return guarded


async def _items(answer: Any) -> AsyncGenerator[Any, None]:
    """Yield the items of a fallback's answer: an iterable, an asynchronous one, or one to await."""
    if inspect.isawaitable(answer):
        answer = await answer
    if hasattr(answer, "__aiter__"):
        async for item in answer:
            yield item
    else:
        for item in answer:
            yield item
