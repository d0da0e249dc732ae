"""The transports of httpx and httpx2, against a real server."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerRegistry


async def test_an_empty_pool_is_ignored(
    both: tuple[Any, Any], registry: BreakerRegistry, dependency: str
) -> None:
    library, ours = both
    pool = library.AsyncHTTPTransport(limits=library.Limits(max_connections=0))
    transport = ours.AsyncBreakerTransport(pool, registry=registry)
    async with library.AsyncClient(transport=transport, timeout=0.05) as client:
        with pytest.raises(library.PoolTimeout):
            await client.get(f"{dependency}/ok")
    (breaker,) = registry
    assert (breaker.failures, breaker.ignored) == (0, 1)


async def test_a_stream_closed_in_the_middle_is_a_success(
    both: tuple[Any, Any], registry: BreakerRegistry, dependency: str
) -> None:
    library, ours = both
    transport = ours.AsyncBreakerTransport(registry=registry)
    client = library.AsyncClient(transport=transport)
    async with client, client.stream("GET", f"{dependency}/large") as response:
        async for _ in response.aiter_bytes():
            break
    (breaker,) = registry
    assert breaker.successes == 1
