"""Plain functions that authorize, in a thread of their own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from threading import Event, current_thread, main_thread

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from tests.asgi.visitor import visit

tenant: ContextVar[str] = ContextVar("tenant")


@pytest.mark.parametrize("path", ["/", "/payments/open"])
async def test_a_plain_function_that_hangs_holds_up_no_event_loop(
    registry: BreakerRegistry, path: str
) -> None:
    called, answered = Event(), Event()

    def hang(_request: object) -> bool:
        called.set()
        return answered.wait(5)

    registry.get("payments")
    monitor = CircuitBreakerMonitor(registry=registry, authorize=hang, authorize_control=hang)
    visiting = asyncio.create_task(visit(monitor, path, "GET" if path == "/" else "POST"))
    assert await asyncio.to_thread(called.wait, 5)
    assert not visiting.done()
    answered.set()
    assert (await visiting).status == 200


async def test_a_plain_function_that_hangs_leaves_the_loop_its_threads(
    registry: BreakerRegistry,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    called, answered = asyncio.Event(), Event()

    def hang(_request: object) -> bool:
        loop.call_soon_threadsafe(called.set)
        return answered.wait(5)

    monitor = CircuitBreakerMonitor(registry=registry, authorize=hang)
    visiting = asyncio.create_task(visit(monitor))
    await called.wait()
    try:
        async with asyncio.timeout(0.5):
            assert await asyncio.to_thread(called.is_set)
    finally:
        answered.set()
        await visiting


async def test_a_plain_function_sees_the_context_of_the_request(registry: BreakerRegistry) -> None:
    contexts = []

    def authorize(_request: object) -> bool:
        contexts.append((tenant.get(), current_thread() is main_thread()))
        return True

    tenant.set("shop")
    await visit(CircuitBreakerMonitor(registry=registry, authorize=authorize))
    assert contexts == [("shop", False)]


@pytest.mark.parametrize("error", [StopIteration(), RuntimeError(), asyncio.CancelledError()])
async def test_any_exception_of_a_plain_function_denies(
    registry: BreakerRegistry, error: BaseException
) -> None:
    def authorize(_request: object) -> bool:
        raise error

    monitor = CircuitBreakerMonitor(registry=registry, authorize=authorize)
    async with asyncio.timeout(0.5):
        assert (await visit(monitor)).status == 403


@pytest.mark.parametrize(("answer", "status"), [("ann", 200), (None, 403)])
def test_a_plain_function_is_called_in_place_without_an_asyncio_loop(
    registry: BreakerRegistry, answer: str | None, status: int
) -> None:
    monitor = CircuitBreakerMonitor(registry=registry, authorize=lambda _: answer)
    visiting = visit(monitor)
    with pytest.raises(StopIteration) as ended:  # it has waited for nothing
        visiting.send(None)
    assert ended.value.value.status == status
