"""The end of a service. Its server may end the process without Python's `atexit`.

uvicorn does so where it was sent a SIGTERM: it raises it again when the application has ended.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger("breaker_asgi")

_last: list[Callable[[], object]] = []


def before_the_end(do: Callable[[], object]) -> None:
    """Have something done when an application has ended; it may take half a second."""
    _last.append(do)


def watched(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """The `send` of a lifespan: before it tells the server that all is done, the last is done."""

    async def sending(message: Any) -> None:
        if message["type"].startswith("lifespan.shutdown"):
            for do in _last:
                try:
                    do()
                except Exception:
                    logger.exception("something failed at the end")
        await send(message)

    return sending
