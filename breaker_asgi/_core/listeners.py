"""Notification of listeners, which holds nothing up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from breaker_asgi._core import validation
from breaker_asgi._core.logs import log_once

EVENTS = ("before_call", "success", "failure", "ignored", "rejected", "state_change")
"""The methods of a listener."""

F = TypeVar("F", bound=Callable[..., Any])


def no_op(method: F) -> F:
    """Mark a method that does nothing: it is not called."""
    method.is_no_op = True  # type: ignore[attr-defined]
    return method


def check_listener(listener: object) -> None:
    """Refuse a listener without a method for any event. Raises `BreakerConfigError`."""
    remedy = f"Write a class with some of the methods {', '.join(EVENTS)}, and give an instance"
    if isinstance(listener, type):
        raise validation.not_allowed("a listener", listener, "an instance, not the class", remedy)
    methods = [name for name in dir(listener) if not name.startswith("_")]
    if methods != sorted(EVENTS) and not any(handles(listener, event) for event in EVENTS):
        allowed = f"one that hears an event; {type(listener).__name__} has only {methods}"
        raise validation.not_allowed("a listener", listener, allowed, remedy)


def handles_calls(listeners: Iterable[object]) -> bool:
    """Return True if a listener has a method for successful calls."""
    return any(
        handles(listener, "before_call") or handles(listener, "success") for listener in listeners
    )


def handles(listener: object, event: str) -> bool:
    """Return True if a listener overrides the method of an event."""
    method = getattr(listener, event, None)
    return method is not None and getattr(method, "is_no_op", None) is not True


class Listeners:
    """The listeners of a breaker, and those of them that some calls have to ask for."""

    __slots__ = ("all", "to_failures", "to_rejections")  # a call reads these faster than a tuple's

    def __init__(self, listeners: tuple[object, ...] = ()) -> None:
        self.all = listeners
        self.to_failures = tuple(listener for listener in listeners if handles(listener, "failure"))
        self.to_rejections = tuple(
            listener for listener in listeners if handles(listener, "rejected")
        )


NO_LISTENERS: Final = Listeners()


def notify(listeners: Iterable[object], event: str, /, *args: Any, **kwargs: Any) -> None:
    """Notify all listeners; an exception of theirs stays here."""
    for listener in listeners:
        try:
            method = getattr(listener, event, None)
            if method is None or getattr(method, "is_no_op", None) is True:
                continue
            result = method(*args, **kwargs)
            if result is not None and isinstance(result, Coroutine):  # which is slow to find out
                failed = partial(_has_failed, listener, event, (sys.exception(), *args))
                _background.run(result, failed)
            continue
        except Exception as raised:  # noqa: BLE001
            error = raised
        log_once(listener, event, error, sys.exception(), *args)  # that of a call, by now
        del error


def _has_failed(
    listener: object, event: str, during: tuple[object, ...], error: BaseException
) -> None:
    log_once(listener, event, error, *during)


class _Background:
    """Runs the coroutines of async listeners on the last running event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def notice(self) -> None:
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    def run(
        self, coroutine: Coroutine[Any, Any, Any], failed: Callable[[BaseException], None]
    ) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # called from a thread
            if self._loop is None or self._loop.is_closed():
                coroutine.close()
                raise
            self._loop.call_soon_threadsafe(self._start, coroutine, failed)
        else:
            self._start(coroutine, failed)

    def _start(
        self, coroutine: Coroutine[Any, Any, Any], failed: Callable[[BaseException], None]
    ) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)

        def done(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                failed(error)

        task.add_done_callback(done)


_background = _Background()


def remember_event_loop() -> None:
    """Remember the running event loop, if any: async listeners of other threads run there."""
    _background.notice()
