"""Plain functions that return an awaitable: a call of theirs is rejected when that is awaited.

`asyncio.gather(charge(), return_exceptions=True)` has to get the rejection, not to be interrupted
by it. A function is recognised by its earlier results, or by its annotation.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from breaker_asgi._core.signatures import annotated_result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from breaker_asgi._core.errors import CircuitBreakerError

_AWAITABLE = re.compile(r"(\w+\.)*(Awaitable|Coroutine|Future|Task)\b")

_known: WeakKeyDictionary[Any, Awaited] = WeakKeyDictionary()


class Awaited:
    """The awaitables of a plain function."""

    __slots__ = ("is_awaited",)

    def __init__(self, *, is_awaited: bool) -> None:
        self.is_awaited = is_awaited
        """True once the function has returned an awaitable, or is annotated so."""

    def note(self, result: object) -> None:
        """Record a result of the function."""
        self.is_awaited = self.is_awaited or hasattr(type(result), "__await__")

    @staticmethod
    def rejection(error: CircuitBreakerError) -> Rejection:
        """Return the awaitable of a rejected call."""
        return Rejection(error)


class Rejection(Coroutine[Any, Any, Any]):
    """The awaitable of a rejected call: it raises the error when it is awaited.

    So it does when it is entered or iterated, as the requests of some clients can be.
    """

    def __init__(self, error: CircuitBreakerError) -> None:
        self._error = error

    def send(self, _value: Any) -> Any:
        raise self._error

    def throw(self, *raised: Any) -> Any:
        raise raised[0]

    def close(self) -> None:
        """Do nothing: it has not begun anything."""

    def __await__(self) -> Generator[Any, Any, Any]:
        raise self._error

    async def __aenter__(self) -> Any:
        raise self._error

    async def __aexit__(self, *_: object) -> None:  # pragma: no cover (never entered)
        """Do nothing: `async with` asks for the method before it enters."""

    def __aiter__(self) -> AsyncIterator[Any]:
        raise self._error


def awaited_of(function: Callable[..., Any]) -> Awaited:
    """Return the `Awaited` of a function: the same each time, as far as it has an identity."""
    function = _plain(function)
    try:
        awaited = _known.get(function)
        if awaited is None:
            awaited = _known[function] = Awaited(is_awaited=_says_so(function))
    except TypeError:  # it has no hash, or no weak references lead to it
        return Awaited(is_awaited=False)
    return awaited


def _plain(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__func__", function)


def _says_so(function: Any) -> bool:
    """Return True if a function is annotated to return an awaitable."""
    try:
        annotation = annotated_result(function)
    except Exception:  # noqa: BLE001 - none, or an error in one
        return False
    if isinstance(annotation, type):
        return hasattr(annotation, "__await__")
    return bool(_AWAITABLE.match(annotation if isinstance(annotation, str) else repr(annotation)))
