"""An application for attacks, with a route that counts the objects of its process."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from breaker_asgi import BreakerMiddleware, Permit, breaker
from breaker_asgi.monitor import public

app = FastAPI()
app.add_middleware(BreakerMiddleware, authorize=public)


@app.get("/items/{item}")
async def read(item: str) -> str:
    return item


@app.post("/uploads")
async def upload(request: Request, _: Annotated[Permit, Depends(breaker("storage"))]) -> int:
    return len(await request.body())


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(endless())


@app.get("/events")
async def events() -> StreamingResponse:
    return StreamingResponse(endless(), media_type="text/event-stream")


async def endless() -> AsyncIterator[str]:
    while True:
        yield "data: more\n\n"
        await asyncio.sleep(0.01)


@app.get("/kept")
async def kept() -> dict[str, int]:
    """Count the objects that the process keeps."""
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
        "blocks of memory": sys.getallocatedblocks(),
    }


@app.exception_handler(ClientDisconnect)
async def gone(_request: Request, _error: Exception) -> PlainTextResponse:
    return PlainTextResponse("for nobody", 400)
