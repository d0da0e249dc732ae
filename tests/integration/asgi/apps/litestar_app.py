"""The shop in Litestar."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, MediaType, Request, get, post
from litestar.response import Stream

from tests.integration.asgi.apps import CHUNKS, charge, guarded

started: list[str] = []


@asynccontextmanager
async def lifespan(_app: Litestar) -> AsyncIterator[None]:
    started.append("started")
    yield
    print("ended", flush=True)  # noqa: T201


@get("/items/{number:str}", media_type=MediaType.TEXT)
async def item(number: str) -> str:
    return f"item {number}"


@get("/boom", media_type=MediaType.TEXT)
async def boom() -> str:
    raise RuntimeError("boom")


@get("/inner", media_type=MediaType.TEXT)
async def inner() -> str:
    await charge()
    return "charged"


@get("/stream")
async def stream() -> Stream:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return Stream(chunks())


@post("/echo", status_code=200)
async def echo(request: Request) -> bytes:  # type: ignore[type-arg]
    return await request.body()


@get("/started", media_type=MediaType.TEXT)
async def is_started() -> str:
    return " ".join(started)


handlers = [item, boom, inner, stream, echo, is_started]
app = guarded(Litestar(handlers, lifespan=[lifespan]))  # type: ignore[arg-type]
