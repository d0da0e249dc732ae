"""A dependency that misbehaves in every way: a server process that writes HTTP itself.

`python -m tests.integration.clients.dependency` prints its port, and serves until its standard
input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from urllib.parse import parse_qs, urlsplit

HEAD = "HTTP/1.1 {} Somehow\r\nServer: dependency\r\n"
PATIENCE = 60

TOKEN = 'data: {"token": "Hello"}\n\n'
OVERLOADED = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'


class Dependency:
    """A server whose paths are ways to answer; `/burst?n=3` fails three times, then answers."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.burst = 0
        self.held = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.answer(reader, writer):
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request. Return False if the connection ends with it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        length = next((line for line in lines if line.lower().startswith("content-length:")), ":0")
        await reader.readexactly(int(length.partition(":")[2]))
        url = urlsplit(head.split(" ")[1])
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        way = url.path.strip("/").replace("-", "_")
        self.calls[way] += 1
        return bool(await getattr(self, f"on_{way}")(writer, **query))

    def say(
        self, writer: asyncio.StreamWriter, status: int, body: str = "ok", *fields: str
    ) -> bool:
        length = [] if status == 204 else [f"Content-Length: {len(body)}"]
        lines = "".join(f"{field}\r\n" for field in (*length, *fields))
        writer.write(f"{HEAD.format(status)}{lines}\r\n{body}".encode())
        return True

    async def on_ok(self, writer: asyncio.StreamWriter) -> bool:
        return self.say(writer, 200)

    async def on_calls(self, writer: asyncio.StreamWriter, of: str) -> bool:
        return self.say(writer, 200, str(self.calls[of.replace("-", "_")]))

    async def on_status(self, writer: asyncio.StreamWriter, code: str) -> bool:
        return self.say(writer, int(code), "" if code == "204" else "ok")

    async def on_wait(self, writer: asyncio.StreamWriter, code: str, after: str) -> bool:
        return self.say(writer, int(code), "later", f"Retry-After: {after}")

    async def on_moved(self, writer: asyncio.StreamWriter) -> bool:
        return self.say(writer, 302, "", "Location: /ok")

    async def on_burst(self, writer: asyncio.StreamWriter, n: str) -> bool:
        self.burst = (self.burst or int(n) + 1) - 1
        return self.say(writer, 500 if self.burst else 200)

    async def on_hold(self, writer: asyncio.StreamWriter) -> bool:
        """Answer when it is let go."""
        self.held = asyncio.Event()
        await self.held.wait()
        return self.say(writer, 200)

    async def on_begin(self, writer: asyncio.StreamWriter) -> bool:
        """Send the head, and the body when it is let go."""
        self.held = asyncio.Event()
        writer.write(f"{HEAD.format(200)}Content-Length: 2\r\n\r\n".encode())
        await writer.drain()
        await self.held.wait()
        writer.write(b"ok")
        return True

    async def on_let_go(self, writer: asyncio.StreamWriter) -> bool:
        self.held.set()
        return self.say(writer, 200)

    async def on_hang(self, _writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(PATIENCE)
        return False

    async def on_reset(self, writer: asyncio.StreamWriter) -> bool:
        writer.transport.abort()
        return False

    async def on_reset_mid_body(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"{HEAD.format(200)}Content-Length: 1000\r\n\r\nsome".encode())
        await writer.drain()
        writer.transport.abort()
        return False

    async def on_cut_short(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"{HEAD.format(200)}Content-Length: 1000\r\n\r\nsome".encode())
        return False

    async def on_break_chunks(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"{HEAD.format(200)}Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n".encode())
        return False

    async def on_hang_mid_body(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"{HEAD.format(200)}Content-Length: 1000\r\n\r\nsome".encode())
        await writer.drain()
        await asyncio.sleep(PATIENCE)
        return False

    async def on_drip(self, writer: asyncio.StreamWriter, every: str) -> bool:
        writer.write(f"{HEAD.format(200)}Content-Length: 4\r\n\r\n".encode())
        for byte in b"drip":
            await writer.drain()
            await asyncio.sleep(float(every))
            writer.write(bytes((byte,)))
        return True

    async def on_large(self, writer: asyncio.StreamWriter) -> bool:
        return self.say(writer, 200, "x" * 5_000_000)

    async def on_events(self, writer: asyncio.StreamWriter) -> bool:
        kind = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        writer.write(f"{HEAD.format(200)}{kind}\r\n\r\n9\r\ndata: 1\n\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(PATIENCE)
        return False

    async def on_tell(
        self, writer: asyncio.StreamWriter, events: str = "", then: str = "end"
    ) -> bool:
        """Send events, then end, cut the stream, or hang."""
        kind = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        writer.write(f"{HEAD.format(200)}{kind}\r\n\r\n".encode())
        for event in events.split():
            text = {"token": TOKEN, "overloaded": OVERLOADED, "ping": ": ping\n\n"}[event]
            writer.write(f"{len(text):x}\r\n{text}\r\n".encode())
            await writer.drain()
        if then == "hang":
            await asyncio.sleep(PATIENCE)
        if then == "end":
            writer.write(b"0\r\n\r\n")
        return then == "end"


async def main() -> None:
    server = await asyncio.start_server(Dependency().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
