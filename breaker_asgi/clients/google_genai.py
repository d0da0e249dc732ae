"""The client of Google's Gen AI SDK: `guard(genai.Client())`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from breaker_asgi.clients.downstream import guarded_already
from breaker_asgi.clients.transport import GuardedTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google import genai

__all__ = ["guard"]


def guard(client: genai.Client, **settings: Any) -> genai.Client:
    """Guard a client that exists, and its `aio`: by httpx or httpx2, and by aiohttp; return it."""
    api: Any = client._api_client
    if isinstance(api._httpx_client._transport, GuardedTransport):
        raise guarded_already(client)
    for inner in (api._httpx_client, api._async_httpx_client):
        _guard(inner, settings)
    if getattr(api._async_httpx_client, "_per_loop", False):
        _guard_each_loops(api._async_httpx_client, settings)
    session = api._http_options.aiohttp_client
    if session is not None:
        _guard(session, settings)
    elif hasattr(api, "_get_aiohttp_session"):
        api._get_aiohttp_session = _guarded_session(api._get_aiohttp_session, settings)
    return client


def _guard(client: Any, settings: dict[str, Any]) -> None:
    """Guard a client of httpx or httpx2, or a session of aiohttp."""
    for kind in type(client).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in {"httpx", "httpx2", "aiohttp"}:
            importlib.import_module(f"breaker_asgi.clients.{library}").guard(client, **settings)
            return


def _guard_each_loops(client: Any, settings: dict[str, Any]) -> None:
    """Guard the clients that the SDK's async one makes, one for each event loop."""
    make = client._inner_client_cls

    def guarded(**kwargs: Any) -> Any:
        inner = make(**kwargs)
        _guard(inner, settings)
        return inner

    client._inner_client_cls = guarded
    for inner in client._loop_clients.values():
        _guard(inner, settings)


def _guarded_session(
    make: Callable[[], Awaitable[Any]], settings: dict[str, Any]
) -> Callable[[], Awaitable[Any]]:
    """Return `make`, whose sessions of aiohttp are guarded as they are made."""

    async def guarded() -> Any:
        from breaker_asgi.clients.aiohttp import BreakerClientMiddleware  # noqa: PLC0415

        session = await make()
        middlewares = getattr(session, "_middlewares", None)
        if middlewares is not None and not any(
            isinstance(middleware, BreakerClientMiddleware) for middleware in middlewares
        ):
            _guard(session, settings)
        return session

    return guarded
