"""The shop in BlackSheep."""

from collections.abc import AsyncIterator

from blacksheep import Application, Content, Request, Response, StreamedContent, text

from tests.integration.asgi.apps import CHUNKS, charge, guarded

shop = Application()
get, post = shop.router.get, shop.router.post
started: list[str] = []


@shop.on_start
async def start(_app: Application) -> None:
    started.append("started")


@shop.on_stop
async def end(_app: Application) -> None:
    print("ended", flush=True)  # noqa: T201


@get("/items/{number}")
async def item(number: str) -> Response:
    return text(f"item {number}")


@get("/boom")
async def boom() -> Response:
    raise RuntimeError("boom")


@get("/inner")
async def inner() -> Response:
    await charge()
    return text("charged")


@get("/stream")
async def stream() -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return Response(200, content=StreamedContent(b"text/plain", chunks))


@post("/echo")
async def echo(request: Request) -> Response:
    body = await request.read()
    return Response(200, content=Content(b"application/octet-stream", body or b""))


@get("/started")
async def is_started() -> Response:
    return text(" ".join(started))


app = guarded(shop)
