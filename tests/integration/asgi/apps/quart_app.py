"""The shop in Quart."""

from collections.abc import AsyncIterator

from quart import Quart, request

from tests.integration.asgi.apps import CHUNKS, charge, guarded

quart = Quart(__name__)
started: list[str] = []


@quart.before_serving
async def start() -> None:
    started.append("started")


@quart.after_serving
async def end() -> None:
    print("ended", flush=True)  # noqa: T201


@quart.get("/items/<number>")
async def item(number: str) -> str:
    return f"item {number}"


@quart.get("/boom")
async def boom() -> str:
    raise RuntimeError("boom")


@quart.get("/inner")
async def inner() -> str:
    await charge()
    return "charged"


@quart.get("/stream")
async def stream() -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return chunks()


@quart.post("/echo")
async def echo() -> str | bytes:
    return await request.get_data()


@quart.get("/started")
async def is_started() -> str:
    return " ".join(started)


app = guarded(quart)  # type: ignore[arg-type]
