"""Stores by their URLs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from breaker_asgi import checks
from breaker_asgi.errors import BreakerConfigError
from breaker_asgi.stores.labels import blotted
from breaker_asgi.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from breaker_asgi.stores.protocol import Store

_SERVERS = tuple(
    f"{scheme}{kind}" for scheme in ("redis", "rediss") for kind in ("", "+sentinel", "+cluster")
)
_ALLOWED = "sqlite:///run/breakers.db, or one that begins with " + ", ".join(
    f"{each}://" for each in _SERVERS
)


def store_of(url: str) -> Store:
    """The store that a URL leads to: `sqlite:///run/breakers.db`, `redis://host:6379/0`.

    A path is absolute, unless it begins with a dot: `sqlite:///./breakers.db`. Services that share
    a Redis have a prefix each: `redis://host:6379/0?prefix=shop`.

    Raises `BreakerConfigError` for a wrong URL. Nothing is opened yet.
    """
    url = url.strip() if isinstance(url, str) else url  # as read from a file
    scheme, found, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    if found and scheme == "sqlite":
        return SQLiteStore(_path(url, rest))
    if found and scheme in {*_SERVERS, "unix"}:
        try:
            from breaker_asgi.stores.redis import RedisStore  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise BreakerConfigError(
                f"url={blotted(url)!r} needs redis-py. Install breaker_asgi with its extra `redis`."
            ) from error
        server, prefix = _apart(url)
        return RedisStore(server) if prefix is None else RedisStore(server, prefix)
    shown = blotted(url) if isinstance(url, str) else url
    raise checks.wrong("url", shown, _ALLOWED, "Check how it begins")


def _apart(url: str) -> tuple[str, str | None]:
    """The URL without the prefix in its query, and the prefix."""
    head, _, query = url.partition("?")
    parts = query.split("&") if query else []
    prefixes = [unquote(each[7:]) for each in parts if each.startswith("prefix=")]
    if not prefixes:
        return url, None
    rest = "&".join(each for each in parts if not each.startswith("prefix="))
    return f"{head}?{rest}" if rest else head, prefixes[-1]


def _path(url: str, rest: str) -> Path:
    path = unquote(rest)
    if not path.startswith("/") or not path.strip("/.") or path.endswith("/") or "?" in rest:
        remedy = "Three slashes, and the path; nothing after it"
        raise checks.wrong("url", blotted(url), "sqlite:///run/breakers.db", remedy)
    if path.startswith("/./"):
        return Path(path[1:])
    return Path("/", path.lstrip("/"))
