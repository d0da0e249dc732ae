"""One request as a server makes it, which an HTTP client would normalise first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from breaker_asgi.asgi.types import ASGIApp, Message

Fields: TypeAlias = Sequence[tuple[str, str]]

TEST_CLIENT = ("testclient", 50000)
"""The peer in requests of Starlette's `TestClient`, to which the monitor shows figures."""


class Reply:
    """The messages that an application has sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def receive(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def fields(self) -> Fields:
        return [(name.decode(), value.decode()) for name, value in self.messages[0]["headers"]]

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.fields)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def visit(
    app: ASGIApp, path: str = "/", method: str = "GET", fields: Fields = (), /, **more: Any
) -> Reply:
    """Make one request; exceptions of the application are raised."""
    path, _, query = path.partition("?")
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(errors="surrogatepass"),
        "query_string": query.encode(),
        "headers": [(b"host", b"shop"), *headers],
        "client": TEST_CLIENT,
    }
    reply = Reply()
    await app(scope | more, Waiting().receive, reply.receive)
    return reply


class Waiting:
    """A client that sends an empty body, and then waits for its response."""

    def __init__(self) -> None:
        self._messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Message:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop()
