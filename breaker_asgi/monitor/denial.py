"""The denial of a request: the status and the headers of its response."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breaker_asgi.asgi.headers import Headers


class DeniedError(Exception):
    """A request that is not allowed."""

    def __init__(self, detail: str, status: int = 403, headers: Headers | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers: Headers = headers or []
