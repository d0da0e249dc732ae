"""Clients of redis-py: for a URL, or a given one."""

from __future__ import annotations

import math
import os
import re
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from breaker_asgi._core.extras import needs

with needs(__name__, "redis"):
    from redis import ConnectionPool, Redis, SSLConnection
    from redis.backoff import NoBackoff
    from redis.cluster import ClusterNode, RedisCluster
    from redis.connection import parse_url
    from redis.exceptions import AskError, ClusterCrossSlotError, RedisError, ResponseError
    from redis.retry import Retry
    from redis.sentinel import Sentinel, SentinelConnectionPool

from breaker_asgi._core import validation
from breaker_asgi.stores.redaction import redact_url, split_url, without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_ALLOWED = (
    "redis://host:6379/0, rediss://user:password@host:6379/0, unix:///run/redis.sock, "
    "redis+sentinel://host1:26379,host2:26379/service or redis+cluster://host1:6379,host2:6379"
)
_THEIRS = "sentinel_"
"""Prefix of the settings for the Sentinels."""
_NODE = "the server is a node of a Cluster: use redis+cluster://, or a client of the whole"
_LOCATION = ("host", "port", "path")
_LIMITS = ("socket_timeout", "socket_connect_timeout")
_ENCODE = "Encode @ : / in a password as %40 %3A %2F"


_parse: Callable[[str], Mapping[str, Any]] = parse_url
# redis-py has no types for these.
_Node: Callable[..., Any] = ClusterNode
_Sentinels: Callable[..., Any] = Sentinel


class Server:
    """The server of a store: connections are made when they are needed."""

    def __init__(self, server: str | Redis | RedisCluster) -> None:
        self._own = _Own(None)
        self._make: Callable[[], Any] | None = None
        if isinstance(server, str):
            server = server.strip()  # as read from a file
            self._make = _maker(server)
            self.label = without_credentials(server)
        elif isinstance(server, Redis | RedisCluster):
            self._own.client = server
            self.label = _label(server)
        else:
            remedy = "An asyncio client doesn't do: the store is used from a thread"
            raise validation.not_allowed(
                "server", type(server), "a URL, or a client of redis-py", remedy
            )

    @property
    def client(self) -> Any:
        """The client; a Cluster's asks its nodes for the slots when it is made."""
        own = self._own_in_this_process()
        with own.lock:
            if own.client is None:
                assert self._make is not None  # noqa: S101
                own.client = self._make()
            return own.client

    @contextmanager
    def use(self) -> Iterator[Any]:
        """Yield the client. After an error from the server it connects anew.

        Otherwise its connections would remain with a primary that has become a replica.
        """
        client = self.client
        try:
            yield client
        except ResponseError as error:
            self._disconnect()
            elsewhere = isinstance(error, AskError | ClusterCrossSlotError)
            if elsewhere and not isinstance(client, RedisCluster):
                raise RedisError(_NODE) from error
            raise

    def _disconnect(self) -> None:
        """Close the client made here, or the idle connections of a given one."""
        if self._make is not None:
            self.close()
        else:
            for pool in _pools(self.client):
                pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close the client made here."""
        if self._make is not None:
            own = self._own_in_this_process()
            with own.lock:
                client, own.client = own.client, None
            if client is not None:
                client.close()

    def _own_in_this_process(self) -> _Own:
        own = self._own
        if own.process != os.getpid():
            # A thread of the parent may have held its locks, those in the client included.
            own = self._own = _Own(own.client if self._make is None else None)
        return own


class _Own:
    """The client of one process."""

    def __init__(self, client: Any) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.client = client


def _maker(url: str) -> Callable[[], Any]:
    """Return a function that makes a client. The URL is read now, without a connection."""
    try:
        split = split_url(url)
        _need("@" not in split.path + split.query + split.fragment)  # probably of a password
        _need(not split.fragment, "Encode # as %23")
        scheme, _, kind = split.scheme.partition("+")
        make = {"": _single, "sentinel": _through_sentinels, "cluster": _cluster}[kind]
        return make(url, scheme, split)
    except _UnfitError as unfit:
        remedy = str(unfit)
    except (ValueError, TypeError, KeyError):
        remedy = _ENCODE  # their messages may contain a part of a password
    raise validation.not_allowed("url", redact_url(url), _ALLOWED, remedy)


def _single(url: str, scheme: str, split: SplitResult) -> Callable[[], Any]:
    _need(split.path if scheme == "unix" else split.hostname)
    if scheme == "unix":
        _need(hasattr(socket, "AF_UNIX"), "This system has no sockets of Unix: name a host")
    else:
        _need("," not in split.netloc.rpartition("@")[2], "One server has one host")
        _need_number(split.path.removeprefix("/"))
    _need_options(scheme, split)
    _parse(url)
    return lambda: Redis.from_url(url, **_patience())


def _through_sentinels(_: str, scheme: str, split: SplitResult) -> Callable[[], Any]:
    service, _, db = split.path.strip("/").partition("/")
    _need(service)
    ours, theirs = _split_options(split)
    _need_number(db)
    _need_options(scheme, ours)
    _need_options(scheme, theirs, _THEIRS)
    nodes, options = _options(scheme, ours, db, 26379)
    secured = {name: value for name, value in options.items() if name.startswith("ssl")}
    to_sentinels = secured | _options(scheme, theirs, "", 26379)[1]

    def make() -> Any:
        sentinel = _Sentinels(nodes, sentinel_kwargs=to_sentinels, **options)
        return sentinel.master_for(unquote(service))

    return make


def _split_options(split: SplitResult) -> tuple[SplitResult, SplitResult]:
    """Return the URL for the server, and the one for the Sentinels, without the server's user."""
    ours, theirs = [], []
    for name, value in parse_qsl(split.query, keep_blank_values=True):
        if name.startswith(_THEIRS):
            theirs.append((name.removeprefix(_THEIRS), value))
        else:
            ours.append((name, value))
    hosts = split.netloc.rpartition("@")[2]
    return (
        split._replace(query=urlencode(ours)),
        split._replace(query=urlencode(theirs), netloc=hosts),
    )


def _cluster(_: str, scheme: str, split: SplitResult) -> Callable[[], Any]:
    _need_options(scheme, split)
    nodes, options = _options(scheme, split, "", 6379)
    _need(not split.path.strip("/") and "db" not in options, "A Cluster has one database")
    return lambda: RedisCluster(startup_nodes=[_Node(*node) for node in nodes], **options)


def _options(
    scheme: str, split: SplitResult, db: str, port: int
) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Return the hosts, and the other options as redis-py would read them for one host."""
    user, at, hosts = split.netloc.rpartition("@")
    nodes = [_node(host, port) for host in hosts.split(",")]
    options = _patience() | dict(_parse(f"{scheme}://{user}{at}host/{db}?{split.query}"))
    del options["host"]
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    return nodes, options


class _UnfitError(ValueError):
    """A wrong URL, with a remedy that contains no secret."""


def _need(condition: object, remedy: str = _ENCODE) -> None:
    if not condition:
        raise _UnfitError(remedy)


def _need_number(db: str) -> None:
    _need(re.fullmatch(r"\d*/?", db, re.ASCII), "A database is a number")


def _need_options(scheme: str, split: SplitResult, prefix: str = "") -> None:
    for name, value in parse_qsl(split.query, keep_blank_values=True):
        remedy = f"The option {prefix}{name} is unknown there, or its value is wrong"
        _need(_is_option(scheme, name, value), remedy)


def _is_option(scheme: str, name: str, value: str) -> bool:
    """Return True if redis-py takes the option. A connection does no I/O before it is used."""
    if name in _LOCATION:
        return False
    url = f"{scheme}://host/0?{urlencode({name: value})}"
    try:
        setting = _parse(url)[name]
        connection: Any = ConnectionPool.from_url(url).make_connection()
        connection.pack_command("GET", "key")
    except Exception:  # noqa: BLE001
        return False
    if name in _LIMITS:
        return bool(0 < setting < math.inf)
    return bool(name != "db" or setting >= 0)


def _patience() -> dict[str, Any]:
    """Return short timeouts without retries: the fleet retries by itself."""
    return {
        "socket_connect_timeout": 1.0,
        "socket_timeout": 1.0,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
    }


def _node(text: str, usual: int) -> tuple[str, int]:
    split = urlsplit(f"//{text}")
    _need(split.hostname)
    return split.hostname or "", split.port or usual


def _pools(client: Any) -> list[Any]:
    is_cluster = isinstance(client, RedisCluster)
    clients = [node.redis_connection for node in client.get_nodes()] if is_cluster else [client]
    return [client.connection_pool for client in clients if client is not None]


def _label(client: Redis | RedisCluster) -> str:
    if isinstance(client, RedisCluster):
        node: Any = client.nodes_manager.default_node
        return f"redis+cluster://{node.host}:{node.port}"
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        return f"redis+sentinel:///{pool.service_name}"
    options = pool.connection_kwargs
    if path := options.get("path"):
        return f"unix://{path}"
    return f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}"
