"""One `guard` for clients of all libraries; only the library in use is imported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

from breaker_asgi._core import validation
from breaker_asgi._core.profiles import PROFILES
from breaker_asgi.clients.downstream import ORIGIN_CONFIG
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.errors import BreakerConfigError

Client = TypeVar("Client")

_CLASSES = (
    ("httpx", "httpx", ("AsyncClient", "Client")),
    ("httpx2", "httpx2", ("AsyncClient", "Client")),
    ("aiohttp", "aiohttp", ("ClientSession",)),
    ("requests", "requests", ("Session",)),
    ("grpc", "grpc", ("Channel",)),
    ("openai", "openai", ("AsyncAPIClient", "SyncAPIClient")),
    ("anthropic", "anthropic", ("AsyncAPIClient", "SyncAPIClient")),
    ("google.genai", "google_genai", ("Client",)),
    ("google.cloud.client", "google_cloud", ("Client",)),
    ("botocore.client", "botocore", ("BaseClient",)),
    ("boto3.resources", "botocore", ("ServiceResource",)),
    ("redis", "redis", ("Redis", "RedisCluster")),
    ("sqlalchemy", "sqlalchemy", ("AsyncEngine", "Engine")),
)
"""Packages, the module here that guards their clients, and the classes of the clients."""

_ALLOWED = (
    "a client of httpx or httpx2, a session of aiohttp or requests, a grpc.aio channel, a client "
    "of openai, anthropic, google-genai, boto3, aiobotocore, google-cloud or redis, or an engine "
    "of SQLAlchemy"
)


def guard(
    client: Client,
    *,
    registry: BreakerRegistry = default_registry,
    name: Callable[[Any], str | None] | str | None = None,
    config: BreakerConfig | None = None,
    is_failure: Callable[[Any], object] | None = None,
    fallback: Callable[[Any, Any], Any] | None = None,
    honour_retry_after: bool = False,
) -> Client:
    """Guard the requests of an existing client, and return it: a breaker for every origin.

    It may be a client of httpx or httpx2, a session of aiohttp or of requests, or a channel of
    `grpc.aio`, whose breakers are those of its services. All of its ways out are guarded: mounts,
    proxies (those of the environment too) and adapters; its other settings are kept. It may be a
    client of openai, anthropic, google-genai, boto3, aiobotocore, google-cloud or redis, or an
    engine of SQLAlchemy, too, from which a rejection comes at once, as an error of theirs.
    docs/clients.md and docs/sdks.md explain the settings, and what counts as a failure.

    Raises `BreakerConfigError` for a wrong setting, for an object that can't be guarded, and for a
    client that is guarded already.
    """
    module = next((match for kind in type(client).__mro__ if (match := _module_of(kind))), None)
    if module is None:
        raise _refused(client)
    if config is None and module in PROFILES:
        config = ORIGIN_CONFIG.replace(profile=module)
    settings = {} if config is None else {"config": config}
    guarded: Client = importlib.import_module(f"breaker_asgi.clients.{module}").guard(
        client,
        registry=registry,
        name=name,
        is_failure=is_failure,
        fallback=fallback,
        honour_retry_after=honour_retry_after,
        **settings,
    )
    return guarded


def _module_of(kind: type) -> str | None:
    """Return the module that guards objects of a class; None if none does."""
    for package, module, names in _CLASSES:
        if kind.__name__ in names and f"{kind.__module__}.".startswith(f"{package}."):
            return module
    return None


def _refused(client: object) -> BreakerConfigError:
    if isinstance(client, type):
        remedy = f"Write guard({client.__name__}(...))"
    else:
        remedy = "Decorate the function that makes the calls with a CircuitBreaker"
    return validation.not_allowed("client", client, _ALLOWED, remedy)
