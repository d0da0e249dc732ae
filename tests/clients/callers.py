"""Every client, behind one interface."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import httpx2
import requests

from breaker_asgi.clients.aiohttp import BreakerClientMiddleware
from breaker_asgi.clients.httpx import AsyncBreakerTransport, BreakerTransport
from breaker_asgi.clients.httpx2 import AsyncBreakerTransport as AsyncBreakerTransport2
from breaker_asgi.clients.httpx2 import BreakerTransport as BreakerTransport2
from breaker_asgi.clients.requests import BreakerAdapter

PATIENCE = 0.5
"""Seconds that a caller waits for bytes."""


class Caller(ABC):
    """A client whose requests are guarded."""

    error: type[Exception]
    """The common class of the errors of the library."""

    @abstractmethod
    def __init__(self, patience: float = PATIENCE, **settings: Any) -> None: ...

    @abstractmethod
    async def get(self, url: str) -> int:
        """Get all of the response, following redirects; return the status."""

    @abstractmethod
    async def glance(self, url: str) -> int:
        """Get the head, and close the response unread; return the status."""

    @abstractmethod
    async def taste(self, url: str) -> int:
        """Get the first piece of the body, and close the response; return the status."""

    @abstractmethod
    def response(self, status: int) -> Any:
        """Return a response, as a fallback makes it."""

    @abstractmethod
    async def close(self) -> None: ...


class _Httpx(Caller):
    library: Any = httpx
    transport: Any = AsyncBreakerTransport
    error: type[Exception] = httpx.TransportError

    def __init__(self, patience: float = PATIENCE, **settings: Any) -> None:
        self.client = self.library.AsyncClient(
            transport=self.transport(**settings), timeout=patience, follow_redirects=True
        )

    async def get(self, url: str) -> int:
        status: int = (await self.client.get(url)).status_code
        return status

    async def glance(self, url: str) -> int:
        async with self.client.stream("GET", url) as response:
            status: int = response.status_code
            return status

    async def taste(self, url: str) -> int:
        async with self.client.stream("GET", url) as response:
            async for _ in response.aiter_bytes():
                break
            status: int = response.status_code
            return status

    def response(self, status: int) -> Any:
        return self.library.Response(status)

    async def close(self) -> None:
        await self.client.aclose()


class _Httpx2(_Httpx):
    library = httpx2
    transport = AsyncBreakerTransport2
    error = httpx2.TransportError


class _HttpxSync(Caller):
    library: Any = httpx
    transport: Any = BreakerTransport
    error: type[Exception] = httpx.TransportError

    def __init__(self, patience: float = PATIENCE, **settings: Any) -> None:
        self.client = self.library.Client(
            transport=self.transport(**settings), timeout=patience, follow_redirects=True
        )

    async def get(self, url: str) -> int:
        status: int = (await asyncio.to_thread(self.client.get, url)).status_code
        return status

    async def glance(self, url: str) -> int:
        def glance() -> int:
            with self.client.stream("GET", url) as response:
                status: int = response.status_code
                return status

        return await asyncio.to_thread(glance)

    async def taste(self, url: str) -> int:
        def taste() -> int:
            with self.client.stream("GET", url) as response:
                next(response.iter_bytes(), None)
                status: int = response.status_code
                return status

        return await asyncio.to_thread(taste)

    def response(self, status: int) -> Any:
        return self.library.Response(status)

    async def close(self) -> None:
        self.client.close()


class _Httpx2Sync(_HttpxSync):
    library = httpx2
    transport = BreakerTransport2
    error = httpx2.TransportError


class _Aiohttp(Caller):
    error = aiohttp.ClientError

    def __init__(self, patience: float = PATIENCE, **settings: Any) -> None:
        guard = BreakerClientMiddleware(**settings)
        timeout = aiohttp.ClientTimeout(**self.limits(patience))
        self.session = aiohttp.ClientSession(middlewares=[guard], timeout=timeout)

    async def get(self, url: str) -> int:
        async with self.session.get(url) as response:
            await response.read()
            return response.status

    async def glance(self, url: str) -> int:
        async with self.session.get(url) as response:
            return response.status

    async def taste(self, url: str) -> int:
        async with self.session.get(url) as response:
            async for _ in response.content.iter_any():
                break
            return response.status

    def limits(self, patience: float) -> dict[str, Any]:
        return {"total": None, "sock_read": patience}

    def response(self, status: int) -> Any:
        async def other() -> Any:
            async with aiohttp.ClientSession() as session:
                return await session.get(self.mirror)

        return other()

    mirror = ""

    async def close(self) -> None:
        await self.session.close()


class _AiohttpTotal(_Aiohttp):
    """A caller with a total time limit, which is another mechanism of aiohttp."""

    def limits(self, patience: float) -> dict[str, Any]:
        return {"total": patience}


class _Requests(Caller):
    error = requests.RequestException

    def __init__(self, patience: float = PATIENCE, **settings: Any) -> None:
        self.patience = patience
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", BreakerAdapter(**settings))

    async def get(self, url: str) -> int:
        response = await asyncio.to_thread(self.session.get, url, timeout=self.patience)
        return response.status_code

    async def glance(self, url: str) -> int:
        def glance() -> int:
            with self.session.get(url, timeout=self.patience, stream=True) as response:
                return response.status_code

        return await asyncio.to_thread(glance)

    async def taste(self, url: str) -> int:
        def taste() -> int:
            with self.session.get(url, timeout=self.patience, stream=True) as response:
                next(response.iter_content(None), None)
                return response.status_code

        return await asyncio.to_thread(taste)

    def response(self, status: int) -> Any:
        response = requests.Response()
        response.status_code = status
        response._content = b""
        return response

    async def close(self) -> None:
        self.session.close()


CALLERS: dict[str, type[Caller]] = {
    "httpx": _Httpx,
    "httpx, sync": _HttpxSync,
    "httpx2": _Httpx2,
    "httpx2, sync": _Httpx2Sync,
    "aiohttp": _Aiohttp,
    "aiohttp, total": _AiohttpTotal,
    "requests": _Requests,
}
ASYNC = ["httpx", "httpx2", "aiohttp", "aiohttp, total"]

MakeCaller = Callable[..., Caller]
