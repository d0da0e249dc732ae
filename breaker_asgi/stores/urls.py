"""Stores by their URLs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from breaker_asgi._core import validation
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi._core.logs import log
from breaker_asgi.stores.redaction import redact_url
from breaker_asgi.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from breaker_asgi.stores.protocol import Store

_SERVERS = tuple(
    f"{scheme}{kind}" for scheme in ("redis", "rediss") for kind in ("", "+sentinel", "+cluster")
)
_ALLOWED = "sqlite:///breakers.db, or one that begins with " + ", ".join(
    f"{scheme}://" for scheme in _SERVERS
)


def store_of(url: str) -> Store:
    """Return the store that a URL leads to: `sqlite:////run/shop.db`, `redis://host:6379/0`.

    As in SQLAlchemy, a path after three slashes is relative to the working directory, and one after
    four is absolute; so is `sqlite:///C:/shop.db` on Windows. Services that share a Redis have a
    prefix each: `redis://host:6379/0?prefix=shop`.

    Raises `BreakerConfigError` for a wrong URL, and for a relative path where only the absolute
    one's folder exists. Nothing is opened yet.
    """
    url = url.strip() if isinstance(url, str) else url  # as read from a file
    scheme, separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    if separator and scheme == "sqlite":
        return SQLiteStore(_path(url, rest))
    if separator and scheme in {*_SERVERS, "unix"}:
        try:
            from breaker_asgi.stores.redis import RedisStore  # noqa: PLC0415 (an extra)
        except ImportError as error:
            if error.name != "redis":  # an error inside redis-py
                raise
            raise BreakerConfigError(f"url={redact_url(url)!r} can't be used: {error}") from error
        server, prefix = _split_prefix(url)
        return RedisStore(server) if prefix is None else RedisStore(server, prefix)
    text = redact_url(url) if isinstance(url, str) else url
    raise validation.not_allowed("url", text, _ALLOWED, "Check how it begins")


def _split_prefix(url: str) -> tuple[str, str | None]:
    """Return the URL without the prefix in its query, and the prefix."""
    head, _, query = url.partition("?")
    parts = query.split("&") if query else []
    prefixes = [unquote(part[7:]) for part in parts if part.startswith("prefix=")]
    if not prefixes:
        return url, None
    rest = "&".join(part for part in parts if not part.startswith("prefix="))
    return f"{head}?{rest}" if rest else head, prefixes[-1]


def _path(url: str, rest: str) -> Path:
    path = unquote(rest)
    if not path.startswith("/") or not path.strip("/.") or path.endswith("/") or "?" in rest:
        remedy = "Three slashes and a relative path, or four and an absolute one; nothing after it"
        raise validation.not_allowed("url", redact_url(url), "sqlite:///breakers.db", remedy)
    if path.startswith("//"):
        return Path("/", path.lstrip("/"))
    if Path(path[1:]).is_absolute():  # C:/shop.db, on Windows
        return Path(path[1:])
    return _relative(url, path)


def _relative(url: str, path: str) -> Path:
    """Return a relative path as an absolute one.

    It is refused where only the absolute path's folder exists: that one was meant. A warning names
    the file where both folders exist, where neither does, and where the working directory is the
    root, as it is in services without one.
    """
    here, absolute = Path.cwd() / path[1:], Path(path)
    if here != absolute and absolute.parent != Path("/") and absolute.parent.is_dir():
        remedy = f"For {absolute} write sqlite:///{absolute}, with four slashes"
        if not here.parent.is_dir():
            allowed = f"a path that is not in doubt: this one leads to {here}"
            raise validation.not_allowed("url", redact_url(url), allowed, remedy)
        log(logging.WARNING, "%s leads to %s. %s", redact_url(url), here, remedy)
    elif Path.cwd() == Path("/"):
        text = "%s leads to %s: the working directory is /. Write the path out, with four slashes"
        log(logging.WARNING, text, redact_url(url), here)
    elif not here.parent.is_dir():
        text = "%s leads to %s, in a folder that is to be made. For %s write four slashes"
        log(logging.WARNING, text, redact_url(url), here, absolute)
    return here
