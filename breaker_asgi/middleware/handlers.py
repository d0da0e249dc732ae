"""Exception handlers of Starlette applications, and rejections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.errors import CircuitBreakerError

if TYPE_CHECKING:
    from collections.abc import Collection

    from breaker_asgi.asgi.types import Scope


def has_handler(error: BaseException, handlers: Collection[Any]) -> bool:
    """Return True if there is an exception handler for `error`, other than for `Exception`.

    A handler for `httpx.HTTPError` is not for a rejection, even if the rejection is one.
    """
    kinds = type(error).__mro__
    last = CircuitBreakerError if isinstance(error, CircuitBreakerError) else Exception
    own = kinds[: kinds.index(last) + (last is not Exception)]
    return any(kind in handlers for kind in own)


def is_taken_for_another(error: BaseException, scope: Scope) -> bool:
    """Return True for a rejection that the handler of another exception answers.

    The rejection of a guarded client is an exception of the client's library too.
    """
    if not isinstance(error, CircuitBreakerError):
        return False
    handlers, _ = scope.get("starlette.exception_handlers", ((), ()))
    answered = any(kind in handlers for kind in type(error).__mro__)
    return answered and not has_handler(error, handlers)
