"""Permits for calls that need one, and the listeners that hear of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.listeners import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breaker_asgi._core.engine import Circuit
    from breaker_asgi._core.permit import Permit

_NOTHING: Mapping[str, Any] = {}


def admit(
    circuit: Circuit,
    function: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] = _NOTHING,
) -> Permit:
    """Admit one call; `function` is None where only a permit is wanted.

    Raises `CircuitBreakerError`.
    """
    permit = circuit._admit()
    if circuit._listeners and circuit._fast_record is None:
        notify(circuit._listeners, "before_call", circuit, function, *args, **kwargs)
    return permit


async def admit_async(
    circuit: Circuit,
    function: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] = _NOTHING,
) -> Permit:
    """Admit one call in async code, where a probe that a store lends can be waited for."""
    fleet = circuit._fleet
    if fleet is not None and fleet.lacks_a_probe():
        await fleet.ready()
    return admit(circuit, function, args, kwargs)
