"""Plain functions that return an awaitable: a call of theirs is rejected when that is awaited.

`asyncio.gather(charge(), return_exceptions=True)` has to get the rejection, not to be interrupted
by it. A function is known by what it has returned before, or by its annotation.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from breaker_asgi._core.signatures import annotated_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.errors import CircuitBreakerError

_AWAITABLE = re.compile(r"(\w+\.)*(Awaitable|Coroutine|Future|Task)\b")

_known: WeakKeyDictionary[Any, Awaited] = WeakKeyDictionary()


class Awaited:
    """The awaitables that a plain function returns, as far as is known."""

    __slots__ = ("is_awaited",)

    def __init__(self, *, is_awaited: bool) -> None:
        self.is_awaited = is_awaited
        """True once the function has returned an awaitable, or is annotated so."""

    def note(self, result: object) -> None:
        """Note what the function has returned."""
        self.is_awaited = self.is_awaited or hasattr(type(result), "__await__")

    @staticmethod
    async def rejection(error: CircuitBreakerError) -> Any:
        """Raise `error`, when it is awaited."""
        raise error


def awaited_of(function: Callable[..., Any]) -> Awaited:
    """Return what is known of a function: the same each time, as far as it has an identity."""
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
    return bool(_AWAITABLE.match(annotation if isinstance(annotation, str) else repr(annotation)))
