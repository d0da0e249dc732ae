"""A fleet whose process forks, and one whose store blocks for seconds."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import Any

import pytest

from breaker_asgi import CircuitBreakerError
from breaker_asgi.stores.memory import MemoryStore
from tests.stores.place import OPEN_TIME, Place


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_is_a_worker_of_its_own(place: Place) -> None:
    one = place.worker()
    one.fails(5)
    place.later(0)
    place.clock.advance(OPEN_TIME + 1)
    with pytest.raises(CircuitBreakerError):
        one.breaker.acquire()
    one.step()
    name, member = one.fleet.worker, one.fleet._links[one.breaker]
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            one.fleet.start_anew()
            probes: Any = one.breaker._generation.probes
            right = one.fleet.worker != name and not probes.holds_some
            right = right and one.fleet._thread is not None and one.fleet._thread.is_alive()
            os.write(writes, b"1" if right else b"0")
        finally:
            os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    assert os.read(reads, 1) == b"1"
    assert member.wanted == 0


class Slow(MemoryStore):
    """Each command blocks for a second."""

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        if name in {"exchange", "changes", "claim", "settle", "change"}:
            time.sleep(1)
        return attribute


# The calls go on for seconds, longer than a logic test may take.
async def test_nothing_on_the_event_loop_waits_for_the_store(run_fleet: Any) -> None:
    registry = await asyncio.to_thread(
        run_fleet, Slow(), fail_max=2, timeout_duration=0.3, half_open_timeout=5
    )
    breaker = registry.get("payments")
    longest, outcomes = 0.0, Counter[str]()

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began)

    async def call(number: int) -> None:
        try:
            permit = await breaker.acquire_async()
        except CircuitBreakerError:
            outcomes["rejected"] += 1
            return
        outcomes[permit.state] += 1
        if number < 40:
            permit.failure()
        else:
            permit.success()

    ticker = asyncio.create_task(tick())
    calls = []
    for number in range(250):
        calls.append(asyncio.create_task(call(number)))
        await asyncio.sleep(0.01)
    await asyncio.gather(*calls)
    ticker.cancel()
    assert longest < 0.5
    assert outcomes["rejected"] > 10
    assert outcomes["closed"] > 10
