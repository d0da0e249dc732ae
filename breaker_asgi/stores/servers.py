"""Clients of redis-py: for a URL, or the one that was given."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from redis import Redis, SSLConnection
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from breaker_asgi import checks
from breaker_asgi.stores.labels import blotted, public

if TYPE_CHECKING:
    from collections.abc import Callable

_ALLOWED = (
    "redis://host:6379/0, rediss://user:password@host:6379/0, unix:///run/redis.sock, "
    "redis+sentinel://host1:26379,host2:26379/service or redis+cluster://host1:6379,host2:6379"
)


class Server:
    """Where a store is: connections are made when they are needed."""

    def __init__(self, server: str | Redis | RedisCluster) -> None:
        self._lock = threading.Lock()
        self._client: Redis | RedisCluster | None = None
        self._make: Callable[[], Redis | RedisCluster] | None = None
        if isinstance(server, str):
            self.label = public(server)
            self._make = _maker(server)
        elif isinstance(server, Redis | RedisCluster):
            self._client = server
            self.label = _label(server)
        else:
            remedy = "An asyncio client doesn't do: the store is used from a thread"
            raise checks.wrong("server", server, "a URL, or a client of redis-py", remedy)

    @property
    def client(self) -> Redis | RedisCluster:
        """The client; a Cluster's asks its nodes for the slots when it is made."""
        with self._lock:
            if self._client is None:
                assert self._make is not None  # noqa: S101
                self._client = self._make()
            return self._client

    def close(self) -> None:
        """Close what was made here."""
        if self._make is not None:
            with self._lock:
                client, self._client = self._client, None
            if client is not None:
                client.close()


def _maker(url: str) -> Callable[[], Redis | RedisCluster]:
    """What makes a client. The URL is read now, and nothing is connected."""
    try:
        split = urlsplit(url)
        scheme, _, kind = split.scheme.partition("+")
        if scheme not in {"redis", "rediss", "unix"} or kind not in {"", "sentinel", "cluster"}:
            raise ValueError(split.scheme)
        if not kind:
            parse_url(url)
            if not (split.hostname if scheme != "unix" else split.path):
                raise ValueError(split.netloc)
            return lambda: Redis.from_url(url, **_patience())
        user, _, hosts = split.netloc.rpartition("@")
        nodes = [_node(each, 26379 if kind == "sentinel" else 6379) for each in hosts.split(",")]
        service, _, db = split.path.strip("/").partition("/")
        same = f"{scheme}://{user}{'@' if user else ''}host/{db}?{split.query}"
        options = _patience() | dict(parse_url(same))
        del options["host"]
        if options.pop("connection_class", None) is SSLConnection:
            options["ssl"] = True
        if (kind == "sentinel") != bool(service):
            raise ValueError(split.path)
    except (ValueError, TypeError) as error:
        raise _wrong(url) from error
    if kind == "sentinel":
        return lambda: _through_sentinels(nodes, unquote(service), options)
    return lambda: RedisCluster(startup_nodes=[ClusterNode(*node) for node in nodes], **options)


def _patience() -> dict[str, Any]:
    """By itself redis-py tries a dead server for seconds; who calls the store tries again later."""
    return {
        "socket_connect_timeout": 1.0,
        "socket_timeout": 1.0,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
    }


def _through_sentinels(
    nodes: list[tuple[str, int]], service: str, options: dict[str, Any]
) -> Redis:
    theirs = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in list(options)
        if name.startswith("sentinel_")
    }
    sentinel = Sentinel(nodes, sentinel_kwargs=_patience() | theirs, **options)
    client: Redis = sentinel.master_for(service)
    return client


def _node(text: str, usual: int) -> tuple[str, int]:
    split = urlsplit(f"//{text}")
    if not split.hostname:
        raise ValueError(text)
    return split.hostname, split.port or usual


def _wrong(url: str) -> Exception:
    return checks.wrong("url", blotted(url), _ALLOWED, "Encode @ : / in a password as %40 %3A %2F")


def _label(client: Redis | RedisCluster) -> str:
    if isinstance(client, RedisCluster):
        node = client.get_default_node()
        return f"redis+cluster://{node.host}:{node.port}"
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        return f"redis+sentinel:///{pool.service_name}"
    options = pool.connection_kwargs
    if path := options.get("path"):
        return f"unix://{path}"
    return f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}"
