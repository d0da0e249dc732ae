"""The result of a rejected call, which then raises nothing."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeAlias

from breaker_asgi._core import validation
from breaker_asgi._core.signatures import signature_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.errors import CircuitBreakerError

FallbackFunction: TypeAlias = (
    "Callable[[CircuitBreakerError, tuple[Any, ...], dict[str, Any]], Any]"
)
"""Makes the result of a rejected call out of the error and the arguments of the call."""


def fallback_function_of(fallback: object) -> FallbackFunction:
    """Return `fallback` as one kind of function.

    A value is itself; a built-in type, such as `list`, gives an empty one; a function gets the
    error and, if it takes more, the arguments of the call.
    """
    if not callable(fallback):
        return lambda _error, _args, _kwargs: fallback
    if isinstance(fallback, type) and fallback.__module__ == "builtins":
        return lambda _error, _args, _kwargs: fallback()
    try:
        parameters = signature_of(fallback).parameters.values()
    except ValueError:  # a builtin without a signature
        return lambda error, _args, _kwargs: fallback(error)
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    several = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    if not positional and not several:
        remedy = "Its first argument is the CircuitBreakerError"
        raise validation.not_allowed(
            "fallback", fallback, "a value, or a function of the error", remedy
        )
    if several or len(parameters) > 1:
        return lambda error, args, kwargs: fallback(error, *args, **kwargs)
    return lambda error, _args, _kwargs: fallback(error)


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
