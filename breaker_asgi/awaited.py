"""Plain functions that return an awaitable: a call of theirs is rejected when that is awaited.

`asyncio.gather(charge(), return_exceptions=True)` has to get the rejection, not to be interrupted
by it. A function is known by what it has returned before, or by its annotation.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.errors import CircuitBreakerError

_AWAITABLE = re.compile(r"(\w+\.)*(Awaitable|Coroutine|Future|Task)\b")

_known: WeakKeyDictionary[Any, list[object]] = WeakKeyDictionary()


def awaitables_of(function: Callable[..., Any]) -> list[object]:
    """Return a list that is empty, but for functions that are known to return awaitables.

    It stays the same for a function, so that what is found out later shows in it.
    """
    function = _plain(function)
    try:
        found = _known.get(function)
        if found is None:
            found = _known[function] = [_says_so] if _says_so(function) else []
    except TypeError:  # it has no hash, or no weak references lead to it
        return []
    return found


def note_awaitable(awaitables: list[object], result: object) -> None:
    """Note that a function has returned `result`, if that is an awaitable."""
    if not awaitables and hasattr(type(result), "__await__"):
        awaitables.append(type(result))


def rejection_to_await(error: CircuitBreakerError, awaitables: list[object]) -> Any:
    """Return what raises `error` when it is awaited. Raise it where there is no awaitable."""
    if not awaitables:
        raise error
    return _raise(error)


async def _raise(error: CircuitBreakerError) -> Any:
    raise error


def _plain(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__func__", function)


def _says_so(function: Any) -> bool:
    """Return True if a function is annotated to return an awaitable."""
    try:
        said = function.__annotations__.get("return", "")
    except Exception:  # noqa: BLE001 - none, or names that are not there
        return False
    return bool(_AWAITABLE.match(said if isinstance(said, str) else repr(said)))
