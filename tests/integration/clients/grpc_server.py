"""A gRPC service of raw bytes, in a process of its own; a request names its end.

`python -m tests.integration.clients.grpc_server` prints its port, and serves until its standard
input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import StatusCode, aio


async def end_as(request: bytes, context: Any) -> None:
    """End with the status that the request names."""
    if request == b"HANG":
        await asyncio.sleep(60)
    if request == b"CRASH":
        raise RuntimeError("crashed")
    if request != b"OK":
        await context.abort(StatusCode[request.decode()], "as asked for")


async def unary(request: bytes, context: Any) -> bytes:
    await end_as(request, context)
    return b"answer"


async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"first"
    await end_as(request, context)
    yield b"last"


async def all_of(requests: AsyncIterator[bytes], context: Any) -> bytes:
    messages = [message async for message in requests]
    await end_as(messages[-1], context)
    return b"answer"


async def each_of(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield b"heard"
        await end_as(request, context)


async def main() -> None:
    server = aio.server()
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
        "AllOf": grpc.stream_unary_rpc_method_handler(all_of),
        "EachOf": grpc.stream_stream_rpc_method_handler(each_of),
    }
    generic = grpc.method_handlers_generic_handler("bank.Payments", handlers)
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)  # noqa: T201
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main())
