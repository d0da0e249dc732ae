"""A proxy between processes and their server that delays, drops, cuts and hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Literal

Way = Literal["pass", "drop", "cut", "hang"]


class Proxy:
    """Forwards to a port of this host, in a thread of its own.

    `drop` loses what is sent, `hang` keeps it for later, `cut` closes each connection.
    """

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        """Seconds that data takes in each direction."""
        self._target = target
        self._way: Way = "pass"
        self._loop = asyncio.new_event_loop()
        self._goes_on = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def way(self) -> Way:
        return self._way

    @way.setter
    def way(self, way: Way) -> None:
        asyncio.run_coroutine_threadsafe(self._turn(way), self._loop).result(10)

    async def _turn(self, way: Way) -> None:
        dropped, self._way = self._way == "drop", way
        self._goes_on.clear() if way == "hang" else self._goes_on.set()
        if way == "cut" or dropped:  # a connection that has lost data can't go on
            for writer in self._writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            if self._way != "cut":
                theirs, to_them = await asyncio.open_connection("127.0.0.1", self._target)
                self._writers.add(to_them)
                await asyncio.gather(self._pump(reader, to_them), self._pump(theirs, writer))
        writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay)
                await self._goes_on.wait()
                if self._way != "drop":
                    writer.write(data)
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    @contextmanager
    def running(self) -> Iterator[int]:
        """Run the proxy, and yield its port."""
        thread = Thread(target=self._loop.run_forever)
        thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)
        try:
            self.way = "pass"
            yield server.sockets[0].getsockname()[1]
        finally:
            self._loop.call_soon_threadsafe(server.close)
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
