"""Headers, which ASGI lets be any iterable, or missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Message, Scope

Headers: TypeAlias = list[tuple[bytes, bytes]]


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
