from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import pytest

from breaker_asgi.asgi.types import ASGIApp
from breaker_asgi.fastapi import _dependency
from breaker_asgi.testing import fresh_registry

Get = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def call() -> AsyncIterator[Get]:
    """Make one request to an application; its exceptions become a 500."""
    clients: list[httpx.AsyncClient] = []

    async def call(app: ASGIApp, path: str, method: str = "GET", **more: object) -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://shop")
        clients.append(client)
        return await client.request(method, path, **more)  # type: ignore[arg-type]

    yield call
    for client in clients:
        await client.aclose()


@pytest.fixture(autouse=True)
def _nothing_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the monitor's warning at the start out of the log."""
    monkeypatch.setattr("breaker_asgi.monitor.announcement.Announcement.make", lambda *_: None)


@pytest.fixture(autouse=True)
def _own_default_registry() -> Iterator[None]:
    """Give each test the default registry to itself."""
    with fresh_registry():
        yield
    _dependency.cache_clear()
