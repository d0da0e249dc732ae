"""The bodies of requests and responses of httpx and httpx2, which break or end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi.clients.downstream import Downstream, Sent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from breaker_asgi.permit import Permit


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


class Body:
    """A response's body: the call is over when it ends, when it is closed, or when it breaks."""

    def __init__(
        self, stream: Any, permit: Permit, downstream: Downstream[Any, Any], sent: Sent | None
    ) -> None:
        self._stream = stream
        self._permit = permit
        self._downstream = downstream
        self._sent = sent


class AsyncBody(Body):
    """The body of an async response."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except GeneratorExit:  # closed unread: nobody wants the rest
            self._permit.success()
            raise
        except BaseException as error:
            self._downstream.raised(self._permit, error, self._sent)
            raise
        self._permit.success()

    async def aclose(self) -> None:
        if not self._permit.settled:
            self._permit.success()
        await self._stream.aclose()


class SyncBody(Body):
    """The body of a sync response."""

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except GeneratorExit:
            self._permit.success()
            raise
        except BaseException as error:
            self._downstream.raised(self._permit, error, self._sent)
            raise
        self._permit.success()

    def close(self) -> None:
        if not self._permit.settled:
            self._permit.success()
        self._stream.close()
