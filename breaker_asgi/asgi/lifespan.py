"""Callbacks that run when an application is shut down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core.process import run_shutdown_callbacks

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Message, Send


def until_shutdown(send: Send) -> Send:
    """Wrap `send` so that the callbacks run before `lifespan.shutdown.complete` is sent."""

    async def sending(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            run_shutdown_callbacks()
        await send(message)

    return sending
