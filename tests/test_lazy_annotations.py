"""Annotations with names that only type checkers import, as Python 3.14 and newer allow them.

There is no `from __future__ import annotations` here. tests/conftest.py leaves this module out on
older Pythons, which evaluate annotations at once.
"""

from typing import TYPE_CHECKING

import pytest

from breaker_asgi import BreakerMiddleware, BreakerRegistry, CircuitBreaker, CircuitBreakerError
from tests.asgi.test_fallback import nothing
from tests.asgi.visitor import visit

if TYPE_CHECKING:
    from collections import abc
    from collections.abc import Awaitable, Callable

    Amount = int
    Scope = dict[str, object]


def start(amount: Amount) -> Awaitable[Amount]:
    raise NotImplementedError


def start_by_module(amount: Amount) -> abc.Awaitable[Amount]:
    raise NotImplementedError


def test_a_function_is_guarded() -> None:
    @CircuitBreaker(name="bank")
    def double(amount: Amount) -> Amount:
        return amount * 2

    assert double(2) == 4


def test_a_fallback_gets_the_arguments() -> None:
    def stored(_: CircuitBreakerError, amount: Amount) -> Amount:
        return amount

    breaker = CircuitBreaker(name="bank", fallback=stored)
    breaker.force_open()
    assert breaker.call(abs, 7) == 7


async def test_a_fallback_of_the_middleware_gets_what_it_takes() -> None:
    def page(scope: Scope, error: CircuitBreakerError) -> str:
        return f"{error.name} is away"

    registry = BreakerRegistry()
    registry.get("app").force_open()
    app = BreakerMiddleware(nothing, registry=registry, fallback=page)
    assert (await visit(app, "/")).body == b"app is away"


@pytest.mark.parametrize("function", [start, start_by_module])
async def test_a_call_is_rejected_when_it_is_awaited(
    function: "Callable[[Amount], Awaitable[Amount]]",
) -> None:
    breaker = CircuitBreaker(name="bank")
    breaker.force_open()
    waiting = breaker(function)(1)
    with pytest.raises(CircuitBreakerError):
        await waiting
