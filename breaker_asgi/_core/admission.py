"""Permits for calls that need one, and the notification of listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.listeners import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breaker_asgi._core.engine import Engine
    from breaker_asgi._core.permit import Permit

_NOTHING: Mapping[str, Any] = {}


def admit(
    engine: Engine,
    function: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] = _NOTHING,
) -> Permit:
    """Admit one call; `function` is None where only a permit is wanted.

    Raises `CircuitBreakerError`.
    """
    permit = engine._admit()
    if engine._listeners.all and engine._fast_record is None:
        notify(engine._listeners.all, "before_call", engine, function, *args, **kwargs)
    return permit


async def admit_async(
    engine: Engine,
    function: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] = _NOTHING,
) -> Permit:
    """Admit one call in async code, where a probe that a store lends can be waited for."""
    fleet = engine._fleet
    if fleet is not None and fleet.lacks_a_probe():
        await fleet.ready()
    return admit(engine, function, args, kwargs)
