"""Forms that a client posts, in pieces as they arrive."""

from __future__ import annotations

from typing import Any

from breaker_asgi import CircuitBreakerMonitor
from breaker_asgi.asgi.types import Message, Receive
from tests.asgi.visitor import Reply, visit

FORM = ("content-type", "application/x-www-form-urlencoded")


def arriving(*pieces: bytes) -> Receive:
    """Return a receive that yields a body in pieces, and then a disconnect."""
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    messages[-1]["more_body"] = False
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting, {"type": "http.disconnect"})

    return receive


async def post_form(
    monitor: CircuitBreakerMonitor, path: str, *pieces: bytes, fields: Any = (FORM,)
) -> Reply:
    receive = arriving(*pieces)

    async def app(scope: Any, _receive: Receive, send: Any) -> None:
        await monitor(scope, receive, send)

    return await visit(app, path, "POST", fields)
