"""Stale answers: a route's last good response, while its breaker is open."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from weakref import WeakSet

from breaker_asgi._core import validation
from breaker_asgi.asgi.headers import headers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breaker_asgi._core.config import Clock, Duration
    from breaker_asgi.asgi.headers import Headers
    from breaker_asgi.asgi.types import Message, Receive, Scope, Send

_GOOD, _ERROR = 200, 400
_OVERHEAD = 1_000
"""Bytes that an entry takes beside its texts, roughly."""
_OVERHEAD_OF_A_CHUNK = 50
_CREDENTIALS = frozenset(
    (b"authorization", b"cookie", b"proxy-authorization", b"x-api-key", b"x-auth-token")
)
_NOT_FOR_ALL = {"private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate"}
_NOT_SENT_AGAIN = frozenset((b"age", b"cache-status", b"date", b"connection", b"transfer-encoding"))
_SAFE = frozenset(("HEAD", "OPTIONS", "TRACE", "QUERY"))
_Key: TypeAlias = tuple[bytes, ...]


class _Entry(NamedTuple):
    created: float
    """The time of its creation: it may have come with an `Age`."""
    max_age: float
    varies: tuple[tuple[bytes, bytes], ...]
    """The request headers that the response depends on, with their values."""
    public: bool
    headers: Headers
    body: bytes
    size: int


class _Copy:
    """The chunks so far of a body that is being sent."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.is_given_up = False


class _Copies:
    """The bodies that are being copied. Above `max_bytes` the longest copy is given up."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._copies: WeakSet[_Copy] = WeakSet()
        self._bytes = 0
        """An upper bound: aborted responses are not subtracted."""

    def add(self, chunk: bytes, copy: _Copy) -> None:
        if copy.is_given_up or not chunk:
            return
        size = len(chunk) + _OVERHEAD_OF_A_CHUNK
        self._copies.add(copy)
        copy.chunks.append(chunk)
        copy.size += size
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes = sum(copy.size for copy in self._copies)
            if self._bytes > self._max_bytes:
                self.give_up(max(self._copies, key=lambda copy: copy.size))

    def give_up(self, copy: _Copy) -> None:
        self._copies.discard(copy)
        self._bytes -= copy.size
        copy.chunks, copy.size, copy.is_given_up = [], 0, True


class LastGood:
    """A fallback that serves the last good response to the same `GET` request.

        BreakerMiddleware(app, fallback=LastGood(max_age=300))

    Kept are complete responses of status 200 that any reader may have: not one that sets a cookie,
    has `private`, `no-store`, `no-cache` or `must-revalidate`, or varies by a credential; nor,
    unless it has `public`, one to a request with a credential: a cookie, an `Authorization`, an
    `X-API-Key`. A caller that is identified by something else has to be named in the response's
    `Vary`. `max_age` is how old a served response may be; its own `s-maxage` may be less. At most
    `max_entries` URLs and `max_bytes` are kept, those used last, and no more than `max_bytes` of
    responses that are on their way. A successful `POST`, `PUT`, `PATCH` or `DELETE` drops what is
    kept of its URL. A served response has an `Age` and a `Cache-Status` (RFC 9211).

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
        self._max_age = validation.seconds("max_age", max_age)
        self._max_entries = validation.integer("max_entries", max_entries, "Leave it out for 1,000")
        remedy = "Leave it out for 10,000,000"
        self._max_bytes = validation.integer("max_bytes", max_bytes, remedy)
        if max_bytes <= _OVERHEAD:
            why = f"a response takes more than {_OVERHEAD:,} bytes"
            raise validation.has_no_effect("max_bytes", max_bytes, why, remedy)
        self._clock = clock
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._bytes = 0
        self._copies = _Copies(max_bytes)

    def __len__(self) -> int:
        return len(self._entries)

    def watch(self, scope: Scope, send: Send, is_good: Callable[[], bool]) -> Send:
        """Wrap `send`: keep good responses, and drop those of changed URLs (RFC 9111, 4.4)."""
        if scope["type"] != "http" or scope["method"] in _SAFE:
            return send
        key, request = _key(scope), [*headers_of(scope)]  # a copy: applications change them
        if scope["method"] == "GET":
            return self._keeping(key, request, send, is_good)

        async def dropping(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < _ERROR:
                self._drop(key)
            await send(message)

        return dropping

    def _keeping(
        self, key: _Key, request: Headers, send: Send, is_good: Callable[[], bool]
    ) -> Send:
        headers: Headers = []
        copy = _Copy()

        async def keeping(message: Message) -> None:
            nonlocal headers
            kind = message["type"]
            if kind == "http.response.start":
                headers = [(name.lower(), value) for name, value in headers_of(message)]
                copy.is_given_up = message["status"] != _GOOD or not _may_be_kept(request, headers)
            elif kind == "http.response.body":
                self._copies.add(message.get("body", b""), copy)
            else:
                self._copies.give_up(copy)
            await send(message)
            if kind == "http.response.body" and not message.get("more_body"):
                if not copy.is_given_up and is_good():
                    self._keep(key, request, headers, b"".join(copy.chunks))
                self._copies.give_up(copy)

        return keeping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the last good response, if there is one."""
        entry = self._entries.get(_key(scope)) if scope["type"] == "http" else None
        if entry is None or scope["method"] not in ("GET", "HEAD"):
            return
        age = self._clock() - entry.created
        for_all_clients = entry.public or not _has_credentials(headers_of(scope))
        alike = entry.varies == _selected(headers_of(scope), entry.varies)
        if age > entry.max_age or not for_all_clients or not alike:
            return
        self._entries.move_to_end(_key(scope))
        marks = [(b"age", b"%d" % age), (b"cache-status", b"breaker-asgi; hit; detail=last-good")]
        headers = [*entry.headers, *marks]
        await send({"type": "http.response.start", "status": _GOOD, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else entry.body
        await send({"type": "http.response.body", "body": body})

    def _keep(self, key: _Key, request: Headers, headers: Headers, body: bytes) -> None:
        control = _directives(headers)
        age = _seconds(_field(headers, b"age").partition(",")[0])
        sent_again = [field for field in headers if field[0] not in _NOT_SENT_AGAIN]
        varies = _selected(request, [(name, b"") for name in _names(headers, b"vary")])
        entry = _Entry(
            self._clock() - age,
            min(
                self._max_age, _seconds(control["s-maxage"]) if "s-maxage" in control else math.inf
            ),
            varies,
            "public" in control,
            sent_again,
            body,
            _OVERHEAD + sum(map(len, chain((body, *key), *sent_again, *varies))),
        )
        self._drop(key)
        if entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self._bytes += entry.size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: _Key) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= entry.size


def _may_be_kept(request: Headers, headers: Headers) -> bool:
    control = _directives(headers)
    return (
        not any(name == b"set-cookie" for name, _ in headers)
        and control.keys().isdisjoint(_NOT_FOR_ALL)
        and "no-store" not in _directives(request)
        and not _names(headers, b"vary") & {b"*", *_CREDENTIALS}
        and not _field(headers, b"content-type").startswith("text/event-stream")
        and ("public" in control or not _has_credentials(request))
    )


def _field(headers: Headers, name: bytes) -> str:
    """Return the values of a header, in lower case, as one."""
    return ",".join(value.decode("latin-1") for key, value in headers if key == name).lower()


def _names(headers: Headers, name: bytes) -> set[bytes]:
    """Return the items of a header's list."""
    listed = _field(headers, name).encode("latin-1").split(b",")
    return {item.strip() for item in listed} - {b""}


def _directives(headers: Headers) -> dict[str, str]:
    """Return the directives of `Cache-Control`."""
    parts = [directive.partition("=") for directive in _field(headers, b"cache-control").split(",")]
    return {name.strip(): value.strip(' "') for name, _, value in parts}


def _seconds(text: str) -> int:
    """Parse a number of seconds, by its first eleven digits; 0 for anything else."""
    return int(text.strip()[:11]) if text.strip().isdecimal() else 0


def _has_credentials(request: Headers) -> bool:
    return any(name in _CREDENTIALS for name, _ in request)


def _selected(
    request: Headers, names: Iterable[tuple[bytes, bytes]]
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a request that have these names, in their order."""
    return tuple(
        (name, b",".join(value for key, value in request if key == name)) for name, _ in names
    )


def _key(scope: Scope) -> _Key:
    host = next((value for name, value in headers_of(scope) if name == b"host"), b"")
    path = scope["path"].encode(errors="surrogatepass")
    scheme = scope.get("scheme", "http").encode()
    return scheme, host, path, scope.get("raw_path") or b"", scope.get("query_string", b"")
