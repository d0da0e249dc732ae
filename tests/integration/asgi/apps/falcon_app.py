"""The shop in Falcon."""

from collections.abc import AsyncIterator
from typing import Any

import falcon.asgi
from falcon.asgi import Request, Response

from tests.integration.asgi.apps import CHUNKS, charge, guarded

started: list[str] = []


class Lifespan:
    async def process_startup(self, scope: Any, event: Any) -> None:
        started.append("started")

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        print("ended", flush=True)  # noqa: T201


class Item:
    async def on_get(self, _request: Request, response: Response, number: str) -> None:
        response.text = f"item {number}"


class Boom:
    async def on_get(self, _request: Request, _response: Response) -> None:
        raise RuntimeError("boom")


class Inner:
    async def on_get(self, _request: Request, response: Response) -> None:
        await charge()
        response.text = "charged"


class Stream:
    async def on_get(self, _request: Request, response: Response) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in CHUNKS:
                yield chunk

        response.stream = chunks()


class Echo:
    async def on_post(self, request: Request, response: Response) -> None:
        response.data = await request.stream.read()


class Started:
    async def on_get(self, _request: Request, response: Response) -> None:
        response.text = " ".join(started)


shop = falcon.asgi.App(middleware=[Lifespan()])
shop.add_route("/items/{number}", Item())
shop.add_route("/boom", Boom())
shop.add_route("/inner", Inner())
shop.add_route("/stream", Stream())
shop.add_route("/echo", Echo())
shop.add_route("/started", Started())
app = guarded(shop)  # type: ignore[arg-type]
