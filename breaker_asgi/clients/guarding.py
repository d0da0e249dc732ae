"""One name for the guards of all clients, of which only the one that is needed is imported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

from breaker_asgi import checks
from breaker_asgi.clients.downstream import ORIGIN_CONFIG
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.config import BreakerConfig
    from breaker_asgi.errors import BreakerConfigError

Client = TypeVar("Client")

_CLASSES = {
    "httpx": ("AsyncClient", "Client"),
    "httpx2": ("AsyncClient", "Client"),
    "aiohttp": ("ClientSession",),
    "requests": ("Session",),
    "grpc": ("Channel",),
}


def guard(
    client: Client,
    *,
    registry: BreakerRegistry = default_registry,
    name: Callable[[Any], str | None] | None = None,
    config: BreakerConfig = ORIGIN_CONFIG,
    is_failure: Callable[[Any], object] | None = None,
    fallback: Callable[[Any, Any], Any] | None = None,
    honour_retry_after: bool = False,
) -> Client:
    """Guard the requests of a client that exists, and return it: a breaker for every origin.

    It may be a client of httpx or httpx2, a session of aiohttp or of requests, or a channel of
    `grpc.aio`, whose breakers are those of its services. All of its ways out are guarded: mounts,
    proxies (those of the environment too) and adapters; its other settings are kept.
    docs/clients.md tells what the settings mean, and what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting, for what can't be guarded, and for a client
    that is guarded already.
    """
    for kind in type(client).__mro__:
        library = kind.__module__.partition(".")[0]
        if kind.__name__ in _CLASSES.get(library, ()):
            module = importlib.import_module(f"breaker_asgi.clients.{library}")
            guarded: Client = module.guard(
                client,
                registry=registry,
                name=name,
                config=config,
                is_failure=is_failure,
                fallback=fallback,
                honour_retry_after=honour_retry_after,
            )
            return guarded
    raise _refused(client)


def _refused(client: object) -> BreakerConfigError:
    if isinstance(client, type):
        remedy = f"Write guard({client.__name__}(...))"
    else:
        remedy = "Decorate the function that makes the calls with a CircuitBreaker"
    allowed = "a client of httpx or httpx2, a session of aiohttp or requests, or a grpc.aio channel"
    return checks.wrong("client", client, allowed, remedy)
