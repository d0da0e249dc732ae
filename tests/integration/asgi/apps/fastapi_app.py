"""The shop in FastAPI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse

from breaker_asgi import BreakerMiddleware
from tests.integration.asgi.apps import CHUNKS, SETTINGS, charge

started: list[str] = []


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    started.append("started")
    yield
    print("ended", flush=True)  # noqa: T201


app = FastAPI(lifespan=lifespan, default_response_class=PlainTextResponse)
app.add_middleware(BreakerMiddleware, websockets=True, **SETTINGS)


@app.api_route("/items/{id}", methods=["GET", "HEAD"])
async def item(id: str) -> str:  # noqa: A002
    return f"item {id}"


@app.api_route("/boom", methods=["GET", "HEAD"])
def boom() -> str:
    raise RuntimeError("boom")


@app.get("/inner")
async def inner() -> str:
    await charge()
    return "charged"


@app.get("/stream")
async def stream() -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return StreamingResponse(chunks())


@app.post("/echo")
async def echo(request: Request) -> Response:
    return Response(await request.body())


@app.get("/started")
async def is_started() -> str:
    return " ".join(started)


@app.websocket("/talk")
async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


@app.websocket("/dumb")
async def dumb(websocket: WebSocket) -> None:
    raise RuntimeError("boom")
