"""Headers, which ASGI lets be any iterable, or missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Message, Scope

Headers: TypeAlias = list[tuple[bytes, bytes]]

_QUALITY = re.compile(rb"(0(\.\d{0,3})?|1(\.0{0,3})?)")


def headers_of(owner: Scope | Message) -> Headers:
    """Return the headers of a request or a response, as a list that can be read repeatedly.

    A one-shot iterable is replaced by a list of its items, as the application reads it too.
    """
    headers = owner.get("headers")
    if headers is None:
        return []
    if not isinstance(headers, list):
        owner["headers"] = headers = list(headers)
    return headers


def qualities(value: bytes) -> dict[bytes, float]:
    """Return the qualities of a list's members by RFC 9110, 12.4.2; of a malformed one, 0."""
    accepted: dict[bytes, float] = {}
    for member in value.lower().split(b","):
        kind, *parameters = map(bytes.strip, member.split(b";"))
        quality = next((field[2:] for field in parameters if field.startswith(b"q=")), b"1")
        accepted[kind] = float(quality) if _QUALITY.fullmatch(quality) else 0.0
    return accepted


def accepts_gzip(scope: Scope) -> bool:
    """Return True if a response may be compressed, and the client prefers that."""
    values = [value for name, value in headers_of(scope) if name == b"accept-encoding"]
    accepted = qualities(b",".join(values))
    quality = accepted.get(b"gzip", accepted.get(b"*", 0.0))
    return quality > 0 and quality >= accepted.get(b"identity", 0.0)
