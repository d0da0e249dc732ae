"""Stale answers: a route's last good response, while its breaker is open."""

from __future__ import annotations

import time
from collections import OrderedDict
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi import checks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.asgi.responses import Headers
    from breaker_asgi.asgi.types import Message, Scope, Send
    from breaker_asgi.config import Clock, Duration

_GOOD = 200
_OVERHEAD = 1_000
"""Bytes that an entry takes beside its body, roughly."""
_CREDENTIALS = frozenset((b"authorization", b"cookie"))
_NOT_FOR_ALL = ("private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate")
_NOT_SENT_AGAIN = frozenset((b"age", b"cache-status", b"date", b"connection", b"transfer-encoding"))


class _Entry(NamedTuple):
    stored: float
    age: int
    """What the response itself said of its age."""
    varies: tuple[tuple[bytes, bytes], ...]
    """The request headers that the response depends on, as they were."""
    public: bool
    headers: Headers
    body: bytes

    @property
    def size(self) -> int:
        return _OVERHEAD + len(self.body) + sum(len(field) for field in chain(*self.headers))


class LastGood:
    """A fallback that serves the last good response to the same `GET` request.

        BreakerMiddleware(app, fallback=LastGood(max_age=300))

    Kept are complete responses of status 200 that any reader may have: not one that sets a cookie,
    says `private`, `no-store`, `no-cache` or `must-revalidate`, or varies by a credential; nor,
    unless it says `public`, one to a request with a cookie or an `Authorization`. `max_age` is how
    old a served response may be. At most `max_entries` URLs and `max_bytes` are kept, those used
    last. A served response has an `Age` and a `Cache-Status` (RFC 9211).

    Raises `BreakerConfigError` for a wrong setting.
    """

    def __init__(
        self,
        *,
        max_age: Duration = 300,
        max_entries: int = 1_000,
        max_bytes: int = 10_000_000,
        clock: Clock = time.monotonic,
    ) -> None:
        self._max_age = checks.seconds("max_age", max_age)
        self._max_entries = checks.whole("max_entries", max_entries, "Leave it out for 1,000")
        self._max_bytes = checks.whole("max_bytes", max_bytes, "Leave it out for 10,000,000")
        self._clock = clock
        self._entries: OrderedDict[tuple[bytes, ...], _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def watch(self, scope: Scope, send: Send) -> Send:
        """`send`, keeping what is good."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return send
        start: Message | None = None
        chunks: list[bytes] = []
        size = 0

        async def watching(message: Message) -> None:
            nonlocal start, size
            if message["type"] == "http.response.start":
                start = message if _may_be_kept(scope, message) else None
            elif message["type"] == "http.response.body":
                if start is not None:
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > self._max_bytes:
                        start = None
                        chunks.clear()
            else:
                start = None
            await send(message)
            if start is not None and chunks and not message.get("more_body"):
                self._keep(scope, start, b"".join(chunks))

        return watching

    async def answer(self, scope: Scope, send: Send) -> None:
        """Send the last good response; nothing, if there is none."""
        entry = self._entries.get(_key(scope)) if scope["type"] == "http" else None
        if entry is None or scope["method"] not in ("GET", "HEAD"):
            return
        since = self._clock() - entry.stored
        for_everybody = entry.public or not _has_credentials(scope)
        if since > self._max_age or not for_everybody or entry.varies != _of(scope, entry.varies):
            return
        self._entries.move_to_end(_key(scope))
        age = b"%d" % (entry.age + since)
        marks = [(b"age", age), (b"cache-status", b"breaker-asgi; hit; detail=last-good")]
        headers = [*entry.headers, *marks]
        await send({"type": "http.response.start", "status": _GOOD, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else entry.body
        await send({"type": "http.response.body", "body": body})

    def _keep(self, scope: Scope, start: Message, body: bytes) -> None:
        headers = [(name.lower(), value) for name, value in start["headers"]]
        ages = [value for name, value in headers if name == b"age" and value.isdigit()]
        varies = [name.strip().lower() for name in _field(headers, b"vary").encode().split(b",")]
        entry = _Entry(
            self._clock(),
            int(ages[0]) if ages else 0,
            _of(scope, [(name, b"") for name in varies if name]),
            "public" in _field(headers, b"cache-control"),
            [field for field in headers if field[0] not in _NOT_SENT_AGAIN],
            body,
        )
        key = _key(scope)
        if (before := self._entries.pop(key, None)) is not None:
            self._bytes -= before.size
        if entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self._bytes += entry.size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.size


def _may_be_kept(scope: Scope, start: Message) -> bool:
    headers = [(name.lower(), value) for name, value in start.get("headers", ())]
    cache_control = _field(headers, b"cache-control")
    varies = {name.strip() for name in _field(headers, b"vary").encode().split(b",")}
    return (
        start["status"] == _GOOD
        and not any(name == b"set-cookie" for name, _ in headers)
        and not any(word in cache_control for word in _NOT_FOR_ALL)
        and not varies & {b"*", *_CREDENTIALS}
        and not _field(headers, b"content-type").startswith("text/event-stream")
        and ("public" in cache_control or not _has_credentials(scope))
    )


def _field(headers: Headers, name: bytes) -> str:
    """The values of a header, in lower case, as one."""
    return ",".join(value.decode("latin-1") for each, value in headers if each == name).lower()


def _has_credentials(scope: Scope) -> bool:
    return any(name in _CREDENTIALS for name, _ in scope["headers"])


def _of(scope: Scope, names: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of a request that have these names, in their order."""
    return tuple(
        (name, b",".join(value for each, value in scope["headers"] if each == name))
        for name, _ in names
    )


def _key(scope: Scope) -> tuple[bytes, ...]:
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    path = scope.get("raw_path") or scope["path"].encode()
    return host, path, scope.get("query_string", b"")
