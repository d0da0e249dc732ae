"""The shop in Starlette."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from breaker_asgi import BreakerMiddleware
from tests.integration.asgi.apps import CHUNKS, SETTINGS, charge

started: list[str] = []


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    started.append("started")
    yield
    print("ended", flush=True)  # noqa: T201


async def item(request: Request) -> Response:
    return PlainTextResponse(f"item {request.path_params['id']}")


async def boom(_request: Request) -> Response:
    raise RuntimeError("boom")


async def inner(_request: Request) -> Response:
    await charge()
    return PlainTextResponse("charged")


async def stream(_request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return StreamingResponse(chunks())


async def echo(request: Request) -> Response:
    return Response(await request.body())


async def is_started(_request: Request) -> Response:
    return PlainTextResponse(" ".join(started))


app = Starlette(
    routes=[
        Route("/items/{id}", item),
        Route("/boom", boom),
        Route("/inner", inner),
        Route("/stream", stream),
        Route("/echo", echo, methods=["POST"]),
        Route("/started", is_started),
    ],
    middleware=[Middleware(BreakerMiddleware, **SETTINGS)],
    lifespan=lifespan,
)
