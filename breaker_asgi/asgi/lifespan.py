"""What there is left to do when an application is shut down.

A server that was ended by a signal ends itself by it once it has shut down, as uvicorn does: then
what is registered with `atexit` is never run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.logs import log_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.asgi.types import Message, Send

_left: list[Callable[[], None]] = []


def at_shutdown(function: Callable[[], None]) -> None:
    """Have `function` called when an application has shut down. The process may go on."""
    _left.append(function)


def until_shutdown(send: Send) -> Send:
    """How the application is to send: what is left is done before the server hears the last."""

    async def sending(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            for each in _left:
                try:
                    each()
                except Exception as error:  # noqa: BLE001
                    log_once(each, "at the shutdown", error)
        await send(message)

    return sending
