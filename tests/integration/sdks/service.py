"""A service on an LLM, a PostgreSQL and a Redis, each behind a guarded client.

`python -m tests.integration.sdks.service` has 20 clients call it while its dependencies hang, break
and stop in turn, and prints a table of the answers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import openai
import redis.asyncio
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from breaker_asgi import BreakerMiddleware
from breaker_asgi.clients import guard
from breaker_asgi.clients.downstream import ORIGIN_CONFIG

LLM_URL = os.environ.get("LLM_URL", "http://127.0.0.1:1")
DATABASE = os.environ.get("DATABASE", "app@127.0.0.1:1/postgres")
CACHE_URL = os.environ.get("CACHE_URL", "redis://127.0.0.1:1")
PATIENCE = 1.0

CONFIG = ORIGIN_CONFIG.replace(fail_max=3, timeout_duration=1, backoff=1)

llm = guard(
    openai.AsyncOpenAI(api_key="k", base_url=f"{LLM_URL}/v1", timeout=PATIENCE),
    name="llm",
    config=CONFIG.replace(profile="openai", stream="end"),
)
engine = guard(
    create_async_engine(
        f"postgresql+asyncpg://{DATABASE}",
        pool_size=10,
        connect_args={"timeout": PATIENCE, "command_timeout": PATIENCE},
    ),
    name="database",
    config=CONFIG.replace(profile="postgres"),
)
cache = guard(
    redis.asyncio.from_url(
        CACHE_URL,
        socket_connect_timeout=PATIENCE,
        socket_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    ),
    name="cache",
    config=CONFIG.replace(profile="redis"),
)

app = FastAPI(title="Service")
app.add_middleware(BreakerMiddleware)


async def tokens() -> AsyncIterator[str]:
    stream: Any = await llm.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "why"}], stream=True
    )
    async for chunk in stream:
        yield chunk.choices[0].delta.content


@app.get("/chat")
async def chat() -> StreamingResponse:
    events = (f"data: {token}\n\n" async for token in tokens())
    return StreamingResponse(events, media_type="text/event-stream")


@app.get("/answer")
async def answer() -> str:
    return " ".join([token async for token in tokens()])


@app.get("/items/{number}")
async def item(number: int) -> int:
    async with engine.connect() as connection:
        result: int = await connection.scalar(text("select :number + 0"), {"number": number})
        return result


@app.get("/visits")
async def visits() -> int:
    number: int = await cache.incr("visits")
    return number


@app.exception_handler(openai.APIError)
@app.exception_handler(SQLAlchemyError)
@app.exception_handler(RedisError)
@app.exception_handler(OSError)
async def failed(_request: Request, error: Exception) -> JSONResponse:
    """Answer failures with a 502, so that a 500 is an unrecognised rejection."""
    return JSONResponse({"detail": type(error).__name__}, 502)


if __name__ == "__main__":
    from tests.integration.sdks.load import play, table

    sys.stdout.write(table(play(seconds=5)))
