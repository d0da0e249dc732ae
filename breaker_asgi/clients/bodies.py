"""The bodies of requests and responses of httpx and httpx2, which break or end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi.clients.downstream import Sent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from breaker_asgi._core.stream_reading import Reading


class SentStream(Sent):
    """The body of a request, for clients of either kind."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.stream
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.stream:
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise


class ResponseBody:
    """A response's body, whose reading settles the call."""

    def __init__(self, stream: Any, reading: Reading) -> None:
        self._stream = stream
        self._reading = reading


class AsyncBody(ResponseBody):
    """The body of an async response."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reading = self._reading
        try:
            reading.waits()
            async for chunk in self._stream:
                reading.received(chunk)
                yield chunk
                reading.waits()
        except BaseException as error:
            reading.broke(error)
            raise
        reading.ended()

    async def aclose(self) -> None:
        self._reading.left()
        await self._stream.aclose()


class SyncBody(ResponseBody):
    """The body of a sync response."""

    def __iter__(self) -> Iterator[bytes]:
        reading = self._reading
        try:
            reading.waits()
            for chunk in self._stream:
                reading.received(chunk)
                yield chunk
                reading.waits()
        except BaseException as error:
            reading.broke(error)
            raise
        reading.ended()

    def close(self) -> None:
        self._reading.left()
        self._stream.close()
