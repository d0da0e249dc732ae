"""A dependency that succeeds, fails or hangs, as each breaker's test sets it, and counts calls.

`python -m tests.integration.stores.dependency` prints its port, and serves until its standard
input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

PATIENCE = 60


class Dependency:
    """`GET /call/NAME` is a call, `GET /calls/NAME` counts them, `GET /WAY/NAME` sets the way."""

    def __init__(self) -> None:
        self.ways: dict[str, str] = {}
        self.calls: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status, body = await self.answer(*head.split(" ")[1].strip("/").split("/"))
            length = f"Content-Length: {len(body)}\r\nConnection: close"
            writer.write(f"HTTP/1.1 {status} Somehow\r\n{length}\r\n\r\n{body}".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, action: str, name: str) -> tuple[int, str]:
        if action == "calls":
            return 200, str(self.calls[name])
        if action != "call":
            self.ways[name] = action
            return 200, action
        self.calls[name] += 1
        way = self.ways.get(name, "well")
        if way == "hang":
            await asyncio.sleep(PATIENCE)
        return (500 if way == "sick" else 200), way


async def main() -> None:
    server = await asyncio.start_server(Dependency().serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
